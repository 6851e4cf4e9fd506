"""Predictors of one value a symbol, and their convolutions."""

import torch
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.conv_layer import ConvLayer
from toolkit.nn.masks import padding_mask
from toolkit.nn.variance_predictor import VariancePredictor

LENGTHS = torch.tensor([5, 3])
MASK = padding_mask(LENGTHS)


def features() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 5, 4, dtype=torch.float64).masked_fill(MASK[..., None], 0.0)


def test_a_layer_is_convolution_relu_and_layer_norm() -> None:
    """In plain loops: a position sees one on each side, and has zero mean and unit variance over its channels."""
    x, layer = features(), ConvLayer(4, 6, 3, 0.5).double().eval()
    made = layer(x, MASK)
    padded = F.pad(x, (0, 0, 1, 1))
    for row in range(2):
        for t in range(int(LENGTHS[row])):
            hidden = sum(layer.conv.weight[:, :, k] @ padded[row, t + k] for k in range(3)) + layer.conv.bias
            hidden = hidden.clamp(min=0.0)
            expected = (hidden - hidden.mean()) / (hidden.var(unbiased=False) + 1e-5).sqrt()
            torch.testing.assert_close(made[row, t], expected)
    assert not made[1, 3:].any()


def test_dropout_is_drawn_in_training_only() -> None:
    x, layer = features(), ConvLayer(4, 64, 3, 0.5).double()
    assert abs(float((layer(x, MASK)[0] == 0).double().mean()) - 0.5) < 0.1
    layer.eval()
    assert torch.equal(layer(x, MASK), layer(x, MASK))


def test_a_row_in_a_batch_is_the_row_alone() -> None:
    x, predictor = features(), VariancePredictor(4, 6, 3, 0.5).double().eval()
    both = predictor(x, MASK)
    assert both.shape == (2, 5) and not both[1, 3:].any()
    torch.testing.assert_close(predictor(x[1:, :3], MASK[1:, :3]), both[1:, :3])
