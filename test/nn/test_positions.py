"""Sinusoids by hand, and how they are added."""

import math

import pytest
import torch

from toolkit.errors import ConfigError
from toolkit.nn.positions import Positions, sinusoids


def test_values_by_hand() -> None:
    """Vaswani et al. 2017, section 3.5, with 4 units: wavelengths 2 pi and 200 pi."""
    made = sinusoids(torch.tensor([0.0, 1.0, 3.0, -2.0], dtype=torch.float64), 4)
    expected = [[math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)] for p in (0.0, 1.0, 3.0, -2.0)]
    torch.testing.assert_close(made, torch.tensor(expected, dtype=torch.float64))
    assert made[0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_exponents_of_all_pairs() -> None:
    """PE(p, 2i) = sin(p / 10000^(2i / D)) with D = 512 at p = 1000."""
    made = sinusoids(torch.tensor([1000.0], dtype=torch.float64), 512)[0]
    for pair in (0, 1, 100, 255):
        angle = 1000 / 10000 ** (2 * pair / 512)
        assert made[2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-9)
        assert made[2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-9)


def test_alpha_scales_what_is_added_and_is_trained() -> None:
    positions, x = Positions(6, "scaled", 0.0), torch.randn(2, 5, 6)
    torch.testing.assert_close(positions(x), Positions(6, "absolute", 0.0)(x))
    assert isinstance(positions.alpha, torch.nn.Parameter)
    positions.alpha.data.fill_(0.25)
    torch.testing.assert_close(positions(x), x + 0.25 * sinusoids(torch.arange(5.0), 6))
    assert not list(Positions(6, "absolute", 0.0).parameters())


def test_a_later_start_is_a_later_piece() -> None:
    positions, x = Positions(6, "absolute", 0.0), torch.randn(1, 9, 6)
    torch.testing.assert_close(positions(x[:, 4:], 4), positions(x)[:, 4:])


@pytest.mark.parametrize(
    ("kind", "units", "message"),
    [("sclaed", 6, "positions: unknown, got 'sclaed'; .*scaled"), ("scaled", 5, "units: must be even, got 5; nearest: 6")],
)
def test_mistakes_are_refused(kind: str, units: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Positions(units, kind, 0.0)
