"""The convolution bank with highways and a bidirectional GRU: its steps by hand, padding, and the published sizes."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError
from toolkit.nn.cbhg import CBHG
from toolkit.nn.conv_norm import ConvNorm
from toolkit.nn.masks import padding_mask


def small(width: int = 3) -> CBHG:
    torch.manual_seed(1)
    return CBHG(width, banks=3, channels=4, projection=5, highways=2, highway=6, gru=2).double()


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def by_hand(layer: ConvNorm, x: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """Convolution of ``B C T`` and batch norm with the statistics of a fresh layer, which are 0 and 1."""
    return F.conv1d(F.pad(x, (before, after)), layer.conv.weight, layer.conv.bias) / (1 + layer.norm.epsilon) ** 0.5


def test_the_steps_by_hand() -> None:
    net, features = small().eval(), torch.randn(1, 9, 3, dtype=torch.float64)
    x = features.transpose(1, 2)
    bank = torch.cat([by_hand(net.bank[k], x, *reach).relu() for k, reach in enumerate([(0, 0), (1, 0), (1, 1)])], 1)
    pooled = bank.clone()
    pooled[..., 1:] = torch.maximum(bank[..., 1:], bank[..., :-1])
    first = by_hand(net.projections[0], pooled, 1, 1).relu()
    second = by_hand(net.projections[1], first, 1, 1)
    expected = net.gru(net.highways(net.widen((x + second).transpose(1, 2))))[0]
    torch.testing.assert_close(net(features, torch.zeros(1, 9, dtype=torch.bool)), expected)


@pytest.mark.parametrize("training", [True, False])
def test_what_stands_on_padding_changes_nothing(training: bool) -> None:
    net, lengths = small().train(training), torch.tensor([9, 5, 1])
    mask = padding_mask(lengths)
    features = torch.randn(3, 9, 3, dtype=torch.float64)
    other = torch.where(mask[..., None], 50.0, features).requires_grad_()
    out = net(other, mask)
    torch.testing.assert_close(out, net(features, mask))
    assert not out[mask].any() and out[~mask].all()
    out.square().sum().backward()
    assert other.grad is not None and not other.grad[mask].any() and other.grad[~mask].any()


def test_statistics_of_every_norm_count_valid_steps_only() -> None:
    features, lengths = torch.randn(2, 6, 3, dtype=torch.float64), torch.tensor([6, 4])
    net, wider = small(), small()
    net(features, padding_mask(lengths))
    wider(F.pad(features, (0, 0, 0, 5), value=9.0), padding_mask(lengths, 11))
    norms = [(a.norm, b.norm) for a, b in zip([*net.bank, *net.projections], [*wider.bank, *wider.projections], strict=True)]
    for narrow, wide in norms:
        torch.testing.assert_close(narrow.pending[0], wide.pending[0])


def test_a_row_without_valid_steps_is_zero() -> None:
    net = small().eval()
    out = net(torch.randn(2, 4, 3, dtype=torch.float64), padding_mask(torch.tensor([4, 0])))
    assert out[0].all() and not out[1].any()


def test_an_even_kernel_reaches_further_back_than_ahead() -> None:
    layer = ConvNorm(1, 1, 4, None, 0.0).eval()
    torch.nn.init.ones_(layer.conv.weight)
    torch.nn.init.zeros_(layer.conv.bias)
    impulse = torch.zeros(1, 1, 9)
    impulse[..., 4] = 1.0
    seen = layer(impulse, torch.zeros(1, 9, dtype=torch.bool))[0, 0].nonzero().flatten().tolist()
    assert seen == [3, 4, 5, 6]  # the step at 3 sees one ahead, that at 6 two back


@pytest.mark.parametrize(("width", "banks", "projection"), [(128, 16, 128), (80, 8, 256)])
def test_the_published_sizes(width: int, banks: int, projection: int) -> None:
    """Tacotron, table 1: both nets, counted by hand. A convolution has weights, biases and two numbers of its norm a channel."""
    net = CBHG(width, banks, channels=128, projection=projection, highways=4, highway=128, gru=128)
    bank = sum((width * size + 3) * 128 for size in range(1, banks + 1))
    projections = (banks * 128 * 3 + 3) * projection + (projection * 3 + 3) * width
    widen = 0 if width == 128 else (width + 1) * 128
    highways, gru = 4 * 2 * (128 + 1) * 128, 2 * 3 * (128 + 128 + 2) * 128
    assert parameters(net) == bank + projections + widen + highways + gru
    assert net.out_dim == 256


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="banks: must be at least 1, got 0"):
        CBHG(3, 0, 4, 4, 2, 4, 4)
