"""The convolution module of conformers by a plain loop, and that padding is nobody's neighbour."""

import pytest
import torch
from torch import Tensor

from toolkit.errors import ConfigError
from toolkit.nn.convolution_module import ConvolutionModule
from toolkit.nn.masks import padding_mask

LENGTHS = torch.tensor([7, 4])


def built(norm: str) -> ConvolutionModule:
    torch.manual_seed(0)
    return ConvolutionModule(4, 5, norm).double()


def frames() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 7, 4, dtype=torch.float64)


def test_a_row_by_hand() -> None:
    """Gulati et al. 2020, figure 2, time by time: gate, each channel's own five taps, layer norm, Swish, product."""
    module, x = built("layer"), frames()
    a, b = (x[0] @ module.gates.weight.T + module.gates.bias).chunk(2, 1)
    gated = a * torch.sigmoid(b)
    for t in range(7):
        taps = [(t + k - 2, k) for k in range(5) if 0 <= t + k - 2 < 7]
        mixed = module.depthwise.bias + sum(gated[at] * module.depthwise.weight[:, 0, k] for at, k in taps)
        normed = (mixed - mixed.mean()) / (mixed.var(unbiased=False) + 1e-5).sqrt()
        expected = (normed * torch.sigmoid(normed)) @ module.join.weight.T + module.join.bias
        torch.testing.assert_close(module(x, padding_mask(torch.tensor([7, 7])))[0, t], expected)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("training", [True, False])
def test_padding_is_nobodys_neighbour(norm: str, training: bool) -> None:
    """Neither through the taps nor, in training, through the statistics of the batch."""
    module, x, mask = built(norm).train(training), frames(), padding_mask(LENGTHS)
    loud = x.masked_fill(mask[..., None], 50.0)
    wider = torch.cat([loud, torch.full((2, 3, 4), -9.0, dtype=torch.float64)], 1)
    for other in (module(loud, mask), module(wider, padding_mask(LENGTHS, 10))[:, :7]):
        torch.testing.assert_close(other[~mask], module(x, mask)[~mask])


def test_batch_statistics_move_as_those_of_other_convolutions() -> None:
    module = built("batch").train()
    module(frames(), padding_mask(LENGTHS))
    assert len(module.norm.pending) == 1
    assert not module.norm.running_mean.any()


@pytest.mark.parametrize(
    ("kernel_size", "norm", "message"),
    [(4, "batch", "kernel_size: must be odd, got 4; nearest: 5"), (5, "bach", "convolution_norm: unknown, got 'bach'; .*batch")],
)
def test_mistakes_are_refused(kernel_size: int, norm: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ConvolutionModule(4, kernel_size, norm)
