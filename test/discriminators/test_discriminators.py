"""Shapes of discriminators by hand, and their settings."""

from typing import Any

import pytest
import torch

from toolkit.discriminators import DISCRIMINATORS
from toolkit.errors import ConfigError


def judged(name: str, samples: int = 1000, **knobs: Any) -> Any:
    torch.manual_seed(0)
    return DISCRIMINATORS.part(name, **knobs).build(sample_rate=8000)(torch.rand(2, samples) - 0.5)


def test_multi_period_folds_and_keeps_a_third_four_times() -> None:
    """Of 1000 samples period 7 sees 143 rows (one sample is mirrored), then 48, 16, 6, 2, 2 of them."""
    found = judged("multi_period", channels=(4, 5, 6, 7, 8))
    assert [f.shape[-1] for f in (judgement.features[0] for judgement in found)] == [2, 3, 5, 7, 11]
    assert [tuple(f.shape[1:]) for f in found[3].features] == [(4, 48, 7), (5, 16, 7), (6, 6, 7), (7, 2, 7), (8, 2, 7), (1, 2, 7)]
    assert found[3].score.shape == (2, 14)


def test_a_period_sees_only_its_own_samples() -> None:
    part = DISCRIMINATORS.part("multi_period", periods=(5,), channels=(4,)).build(sample_rate=8000)
    wave = torch.rand(1, 100, requires_grad=True)
    part(wave)[0].features[0][0, :, 0, 3].sum().backward()
    assert [n for n in wave.grad[0].nonzero().flatten().tolist() if n % 5 != 3] == []


def test_multi_scale_halves_the_rate_and_keeps_a_64th() -> None:
    """Strides 2, 2, 4, 4: 1000 -> 500 -> 250 -> 63 -> 16; averages of 4 every 2 make 501 and 251 samples."""
    found = judged("multi_scale", width=4)
    assert [tuple(f.shape[1:]) for f in found[0].features] == [
        (4, 1000), (4, 500), (8, 250), (16, 63), (32, 16), (32, 16), (32, 16), (1, 16)
    ]  # fmt: skip
    assert [judgement.features[0].shape[-1] for judgement in found] == [1000, 501, 251]
    first, second = DISCRIMINATORS.part("multi_scale", width=4).build(sample_rate=8000).discriminators[:2]
    kinds = [type(part.convs[1].parametrizations.weight[0]).__name__ for part in (first, second)]
    assert kinds == ["SpectralNorm", "_WeightNorm"]


def test_multi_resolution_sees_bins_and_frames() -> None:
    """512 points every 128 samples: 257 bins and 8 frames of 1000 samples, then strides 2x2, 2x1, 2x2, 2x1, 2x2."""
    found = judged("multi_resolution", channels=4)
    shapes = [(4, 129, 4), (4, 65, 4), (4, 33, 2), (4, 17, 2), (4, 9, 1), (1, 9, 1)]
    assert [tuple(f.shape[1:]) for f in found[2].features] == shapes
    assert [judgement.features[0].shape[2] for judgement in found] == [257, 513, 129]


def test_parallel_wavegan_judges_every_sample() -> None:
    """Layers of dilation 1, 1, 2, ... 8 and 1: 38 samples on both sides."""
    part = DISCRIMINATORS.part("parallel_wavegan", channels=4).build(sample_rate=8000).double()
    wave = torch.rand(1, 200, dtype=torch.float64, requires_grad=True)
    (judgement,) = part(wave)
    assert judgement.score.shape == (1, 200) and len(judgement.features) == 9
    judgement.score[0, 100].backward()
    seen = wave.grad[0].nonzero().flatten()
    assert (int(seen[0]), int(seen[-1])) == (100 - 38, 100 + 38)


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("multi_period", {"periods": ()}, "periods: samples between two"),
        ("multi_scale", {"scales": 0}, "scales, width: must be at least 1, got 0 and 128"),
        ("multi_resolution", {"sizes": (2,)}, "sizes: of Fourier transforms"),
        ("parallel_wavegan", {"layers": 1}, "layers, channels: must be at least 2 and 1, got 1 and 64"),
        ("multi_period", {"channels": ()}, "channels: of each layer, at least 1"),
        ("multi_resolution", {"channels": 0}, "channels: of all layers, at least 1, got 0"),
        ("multi_period", {"weight": -1.0}, "weight: of judgements, at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        judged(name, **knobs)
