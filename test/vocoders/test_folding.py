"""Folded generation: where segments lie, which draws they take, how they are joined."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.vocoders import folding
from toolkit.vocoders.folding import SEAM_FRAMES, Segment, SegmentNoise, cross_fade, cut, quietest_difference
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavenet_generation import Generation

HOP, BANDS = 20, 8
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=80, n_fft=256, n_mels=BANDS, f_min=0.0, f_max=4000.0)


def build(**knobs: object) -> WaveNet:
    torch.manual_seed(0)
    sizes = {"layers": 4, "cycles": 2, "residual": 6, "gate": 5, "skip": 7, "mixtures": 3, "condition": 4, "condition_layers": 1}
    net = WaveNet(BANDS, HOP, FEATURES, **(sizes | knobs)).double().eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in net.stack.parameters():
            parameter.mul_(1.5)
    return net


def mels(rows: int, frames: int) -> Tensor:
    return torch.randn(rows, frames, BANDS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 3


def folded(net: WaveNet, folds: int, mel: Tensor, lengths: Sequence[int], seeds: Sequence[int]) -> Tensor:
    net.execution = Execution(folds=folds)
    return net.generate(mel, torch.tensor(lengths), Noise.of_rows(seeds))


@given(st.lists(st.floats(-10, 0), min_size=1, max_size=300), st.integers(1, 40), st.integers(SEAM_FRAMES, 12))
def test_segments_cover_the_utterance_and_share_the_overlap(level: list[float], folds: int, shared: int) -> None:
    parts = cut(level, folds, shared)
    assert len(parts) <= folds and parts[0][0] == 0 and parts[-1][1] == len(level)
    assert all(old_end - start == shared for (_, old_end), (start, _) in zip(parts, parts[1:], strict=False))
    assert len(parts) == 1 or sum(end - start for start, end in parts) <= 1.5 * len(level) + 1
    sizes = [end - start for start, end in parts]
    assert max(sizes) - min(sizes) <= 0.5 * max(sizes) + 2


def test_a_segment_ends_where_it_is_quiet() -> None:
    level = [0.0] * 100
    level[54:57] = [-9.0] * 3
    assert cut(level, 2, 10) == [(0, 57), (47, 100)]


def test_segments_take_the_draws_of_their_row() -> None:
    segments = [Segment(0, 0, 4), Segment(1, 0, 3), Segment(0, 2, 6)]
    noise = SegmentNoise(Noise.of_rows([5, 6]), segments, HOP)
    whole = Noise.of_rows([5, 6]).uniform("sample", 0, 100, 2, 4)
    some = noise.uniform("sample", 7, 30, 3, 4)
    assert torch.equal(some, torch.stack([whole[0, 7:37], whole[1, 7:37], whole[0, 47:77]]))


@pytest.mark.parametrize("upsample", ["linear", "transposed"])
def test_a_net_without_memory_of_its_samples_is_not_changed_by_folding(upsample: str) -> None:
    """Then a segment that has warmed up says what the whole utterance says, sample by sample, and no seam can be found."""
    net, mel, lengths, seeds = build(upsample=upsample), mels(3, 90), [90, 40, 64], [1, 2, 3]
    with torch.no_grad():
        net.stack.first.weight.zero_()
    exact = folded(net, 1, mel, lengths, seeds)
    torch.testing.assert_close(folded(net, 5, mel, lengths, seeds), exact, rtol=0, atol=1e-9)


def test_nothing_changes_before_the_first_seam() -> None:
    net, mel = build(pre_emphasis=0.999), mels(1, 90)
    shared = folding.overlap(net.receptive_field + 1, HOP)
    exact, other = folded(net, 1, mel, [90], [1]), folded(net, 4, mel, [90], [1])
    first = (cut(mel[0].mean(1).tolist(), 4, shared)[0][1] - SEAM_FRAMES) * HOP
    torch.testing.assert_close(other[:, :first], exact[:, :first], rtol=0, atol=1e-9)
    assert other.shape == exact.shape and other.abs().max() <= 1


def test_a_folded_row_does_not_depend_on_its_batch() -> None:
    net, mel, lengths = build(lp_shift=True, lp_order=4), mels(3, 80), [80, 10, 47]
    together = folded(net, 3, mel, lengths, [5, 6, 7])
    for i, frames in enumerate(lengths):
        alone = folded(net, 3, mel[i : i + 1, :frames], [frames], [5 + i])
        torch.testing.assert_close(together[i : i + 1, : frames * HOP], alone, rtol=0, atol=1e-9)
        assert (together[i, frames * HOP :] == 0).all()


def test_a_short_utterance_stays_whole() -> None:
    net, mel = build(), mels(1, 15)
    assert torch.equal(folded(net, 8, mel, [15], [1]), folded(net, 1, mel, [15], [1]))


def test_without_noise_there_is_no_draw() -> None:
    net, mel = build(), mels(1, 60)
    net.execution = Execution(folds=2)
    assert torch.equal(net.generate(mel, torch.tensor([60]), None), net.generate(mel, torch.tensor([60]), None))


def test_a_seam_lies_where_waves_differ_least() -> None:
    old = torch.sin(torch.arange(300) * 0.1)
    new = old + 0.1 * torch.randn(300, generator=torch.Generator().manual_seed(0))
    new[120:150] = old[120:150]
    assert 120 <= quietest_difference(old, new, 20) <= 130


def test_equal_waves_fade_into_themselves_and_independent_ones_keep_the_level() -> None:
    old, new = torch.randn(2, 40000, generator=torch.Generator().manual_seed(0)) * 0.1
    torch.testing.assert_close(cross_fade(old, old), old)
    torch.testing.assert_close(cross_fade(torch.zeros(9), torch.zeros(9)), torch.zeros(9))
    faded = cross_fade(old, new)
    for part in faded.view(10, -1):
        assert 20 * math.log10(part.std().item() / 0.1) == pytest.approx(0, abs=0.3)
    assert faded[:1000].sub(old[:1000]).std() < 0.01 and faded[-1000:].sub(new[-1000:]).std() < 0.01


def test_bf16_is_near_fp32() -> None:
    net, mel = build(layers=6, residual=16, gate=16).float(), mels(4, 12).float()
    held = torch.cat([mel[:, :1].expand(-1, net.before, -1), mel, mel[:, -1:].expand(-1, net.lookahead, -1)], 1)
    mixtures = []
    for precision in ("fp32", "bf16"):
        generation = Generation(net, 4, Noise.of_rows([1, 2, 3, 4]), Execution(precision))
        generation.trace = []
        with torch.inference_mode():
            generation.speak(held[:, : net.before + 1 + net.lookahead])
        mixtures.append(torch.stack(generation.trace))
    exact, low = mixtures
    assert 0 < (low - exact)[:3].abs().max() <= 0.03 * exact.abs().max()
    net.execution = Execution("bf16", folds=3, native=False)
    assert bool(net.generate(mel, torch.tensor([12] * 4), Noise.of_rows([1, 2, 3, 4])).isfinite().all())
