"""From frames to samples."""

import pytest
import torch

from toolkit.errors import ConfigError
from toolkit.nn.upsampling import LinearUpsampling, TransposedUpsampling, default_scales, hold_edges


def test_linear_passes_through_the_frames() -> None:
    frames = torch.randn(2, 4, 3, dtype=torch.float64)
    samples = LinearUpsampling(3, 5)(frames)
    assert samples.shape == (2, 15, 3)
    assert torch.equal(samples[:, ::5], frames[:, :3])
    torch.testing.assert_close(samples[:, 2], 0.6 * frames[:, 0] + 0.4 * frames[:, 1])


def test_linear_commutes_with_a_product() -> None:
    frames, weight = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64)
    torch.testing.assert_close(LinearUpsampling(3, 5)(frames) @ weight, LinearUpsampling(7, 5)(frames @ weight))


@pytest.mark.parametrize("scales", [[6], [2, 3], [3, 2], [2, 3, 1], [1, 6]])
def test_transposed_gives_hop_samples_a_frame(scales: list[int]) -> None:
    part = TransposedUpsampling(3, 4, 6, scales)
    assert part(torch.randn(2, 5 + part.after, 3)).shape == (2, 30, 4)


@pytest.mark.parametrize("scales", [[6], [2, 3], [3, 2]])
def test_transposed_depends_on_after_frames_only(scales: list[int]) -> None:
    part = TransposedUpsampling(3, 4, 6, scales).double()
    frames = torch.randn(1, 6 + part.after, 3, dtype=torch.float64)
    whole = part(frames)
    torch.testing.assert_close(whole[:, 12:24], part(frames[:, 2 : 4 + part.after]))


def test_transposed_starts_as_interpolation() -> None:
    part = TransposedUpsampling(3, 4, 6, [6])
    constant = part(torch.ones(1, 4, 3))
    torch.testing.assert_close(constant, constant[:, :1].expand_as(constant))  # no checkerboard


def test_wrong_scales_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"upsample scales \[4, 4\] = 16 but hop is 300; e.g. \[15, 20\]"):
        TransposedUpsampling(3, 4, 300, [4, 4])


@pytest.mark.parametrize(("hop", "scales"), [(300, [15, 20]), (275, [11, 25]), (200, [10, 20]), (256, [16, 16]), (7, [1, 7])])
def test_default_scales(hop: int, scales: list[int]) -> None:
    assert default_scales(hop) == scales


def test_edges_are_held() -> None:
    frames = torch.arange(5.0)[None, :, None].repeat(2, 1, 1)
    held = hold_edges(frames, torch.tensor([0, 1]), torch.tensor([5, 3]), 1, 2)[..., 0]
    assert held.tolist() == [[0, 0, 1, 2, 3, 4, 4, 4], [1, 1, 1, 2, 2, 2, 2, 2]]
