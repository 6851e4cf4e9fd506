"""From frames to samples by repetition and smoothing."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.nn.smoothed_upsampling import SmoothedFrames, SmoothedUpsampling


def frames(count: int) -> Tensor:
    return torch.randn(2, count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def built(aux_context: int, scales: list[int], hop: int = 6) -> SmoothedUpsampling:
    torch.manual_seed(0)
    part = SmoothedUpsampling(3, hop, aux_context, scales).double()
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return part


def by_hand(part: SmoothedFrames, x: Tensor) -> Tensor:
    """A sum for every sample of one row ``T F``, by the definition: zeros beyond the ends of what is smoothed."""
    side, kernel = part.kernel // 2, part.conv_in.weight
    held = torch.stack([x[min(max(t, 0), len(x) - 1)] for t in range(-side, len(x) + side)])
    x = torch.stack([sum(kernel[:, :, k] @ held[t + k] for k in range(part.kernel)) for t in range(len(x))])  # type: ignore[misc]
    for scale, layer in zip(part.scales, part.up_layers, strict=True):
        repeated = [x[n // scale] for n in range(len(x) * scale)]
        taps = cast(nn.Conv2d, layer).weight[0, 0, 0]
        reach = range(-scale, scale + 1)
        x = torch.stack(
            [
                sum(taps[k + scale] * repeated[n + k] for k in reach if 0 <= n + k < len(repeated))  # type: ignore[misc]
                for n in range(len(repeated))
            ]
        )
    return x


@pytest.mark.parametrize(("aux_context", "scales"), [(2, [6]), (1, [2, 3]), (0, [3, 2])])
def test_samples_are_filtered_repetitions(aux_context: int, scales: list[int]) -> None:
    part, x = built(aux_context, scales), frames(7)
    torch.testing.assert_close(part.frames(x)[1], by_hand(part.frames, x[1]))
    whole = part(x)
    assert whole.shape == (2, (7 - part.before - part.after) * 6, 3)
    torch.testing.assert_close(whole[1], by_hand(part.frames, x[1])[part.before * 6 : (7 - part.after) * 6])


@pytest.mark.parametrize(("aux_context", "scales"), [(2, [6]), (1, [2, 3]), (0, [3, 2]), (0, [6, 1])])
def test_no_sample_depends_on_what_is_beyond_the_frames(aux_context: int, scales: list[int]) -> None:
    part, x = built(aux_context, scales), frames(14)
    whole, some = part(x), slice(3, 4 + part.before + part.after)
    torch.testing.assert_close(part(x[:, some]), whole[:, 18:24])


def test_a_frame_begins_as_itself() -> None:
    """First filters are means: constant frames stay constant."""
    part = SmoothedUpsampling(3, 12, 0, [4, 3])
    samples = part(torch.ones(1, 9, 3))
    torch.testing.assert_close(samples, samples[:, :1].expand_as(samples))


@pytest.mark.parametrize(
    ("aux_context", "scales", "message"),
    [
        (1, [4, 4], r"^upsample scales \[4, 4\] = 16 but hop is 6; e.g. \[3, 2\]$"),
        (1, [-2, -3], r"^upsample scales \[-2, -3\] = 6 but hop is 6"),
        (-1, [6], "^aux_context: must be at least 0, got -1$"),
    ],
)
def test_what_makes_no_sense_is_refused(aux_context: int, scales: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SmoothedUpsampling(3, 6, aux_context, scales)
