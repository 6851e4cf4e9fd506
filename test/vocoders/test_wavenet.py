"""WaveNet: parallel and incremental forms, causality, likelihood of crops, generation in batches and chunks."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import Counts, WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.nn.sample_heads import HALF_BIN
from toolkit.nn.upsampling import hold_edges
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavenet_generation import LEVEL_MAX, Generation

HOP, BANDS = 20, 8
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=80, n_fft=256, n_mels=BANDS, f_min=0.0, f_max=4000.0)
SMALL = {"layers": 4, "cycles": 2, "residual": 6, "gate": 5, "skip": 7, "mixtures": 3, "condition": 4}
KINDS: dict[str, dict[str, Any]] = {
    "published": {"target_scale": 127.5, "scales": [4, 5]},
    "two_taps": {"kernel_size": 2, "upsample": "linear", "pre_emphasis": 0.5, "dilations": [1, 5, 2]},
    "gaussian": {"head": "gaussian", "log_scale_min": -7.0, "pre_emphasis": 0.5, "upsample": "linear"},
    "mulaw": {"head": "mulaw", "upsample": "linear", "input_scale": 4.0},
    "lp_shift": {"lp_shift": True, "lp_order": 4, "pre_emphasis": 0.85, "upsample": "linear", "condition_layers": 2, "input_scale": 9.0},
}


def build(kind: str, **knobs: Any) -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(BANDS, HOP, FEATURES, **(SMALL | KINDS[kind] | knobs)).double().eval()
    net.use_statistics(torch.full((BANDS,), -3.0), torch.full((BANDS,), 1.5))
    with torch.no_grad():
        for parameter in net.stack.parameters():
            parameter.mul_(1.5)  # far from the first state, so that samples and conditions matter
        if kind == "lp_shift":
            net.shift.log_gain_offset.fill_(0.3)
    return net


def mels(rows: int, frames: int) -> Tensor:
    return torch.randn(rows, frames, BANDS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 3


def waves(rows: int, frames: int) -> Tensor:
    return 0.2 * torch.randn(rows, frames * HOP, generator=torch.Generator().manual_seed(2), dtype=torch.float64).clamp(-3, 3)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_parallel_equals_incremental(kind: str) -> None:
    net, mel, lengths = build(kind), mels(2, 6), torch.tensor([6, 6])
    generation = Generation(net, 2, Noise.of_rows([1, 2]))
    generation.trace = []
    with torch.inference_mode():
        held = hold_edges(mel, torch.zeros(2, dtype=torch.int64), lengths, net.before, net.lookahead)
        wave = generation.speak(held)
        assert wave.std() > 1e-3
        torch.testing.assert_close(torch.stack(generation.trace, 1), net.predict(mel, wave, lengths), rtol=0, atol=1e-9)


def test_parallel_equals_incremental_in_float32(kind: str) -> None:
    net, mel = build(kind).float(), mels(1, 6).float()
    generation = Generation(net, 1, Noise.of_rows([1]))
    generation.trace = []
    with torch.inference_mode():
        wave = generation.speak(hold_edges(mel, torch.tensor([0]), torch.tensor([6]), net.before, net.lookahead))
        error = torch.stack(generation.trace, 1) - net.predict(mel, wave, torch.tensor([6]))
    assert error.abs().max() <= 1e-5 * max(1.0, generation.trace[0].abs().max().item())


@pytest.mark.parametrize("changed", [0, 1, 37, 80])
def test_causal_bit_for_bit(kind: str, changed: int) -> None:
    net, mel, wave = build(kind), mels(1, 6), waves(1, 6)
    other = wave.clone()
    other[:, changed:] = waves(2, 6)[1:, changed:]
    lengths = torch.tensor([6])
    one, two = net.predict(mel, wave, lengths), net.predict(mel, other, lengths)
    assert torch.equal(one[:, : changed + 1], two[:, : changed + 1])
    assert not torch.equal(one[:, changed + 1 :], two[:, changed + 1 :])


def test_conditions_look_no_further_than_stated(kind: str) -> None:
    net, mel, wave = build(kind), mels(1, 8), waves(1, 8)
    other = mel.clone()
    other[:, 4 + net.lookahead :] += 1
    lengths = torch.tensor([8])
    one, two = net.predict(mel, wave, lengths), net.predict(other, wave, lengths)
    torch.testing.assert_close(one[:, : 4 * HOP], two[:, : 4 * HOP])
    assert not torch.equal(one, two)


def test_a_row_does_not_depend_on_its_batch(kind: str) -> None:
    net, mel, lengths = build(kind), mels(3, 9), torch.tensor([4, 9, 6])
    wave = net.generate(mel, lengths, Noise.of_rows([5, 6, 7]))
    assert wave.shape == (3, 9 * HOP) and not wave.requires_grad
    for i, frames in enumerate(lengths.tolist()):
        alone = net.generate(mel[i : i + 1, :frames], lengths[i : i + 1], Noise.of_rows([5 + i]))
        torch.testing.assert_close(wave[i : i + 1, : frames * HOP], alone, rtol=0, atol=1e-9)
        assert (wave[i, frames * HOP :] == 0).all()


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [3, 1, 3], [2, 5]])
def test_stream_equals_generate(kind: str, sizes: list[int]) -> None:
    net, mel = build(kind), mels(1, 7)
    streamed = torch.cat(list(net.stream(mel.split(sizes, 1), Noise.of_rows([3]))), 1)
    torch.testing.assert_close(streamed, net.generate(mel, torch.tensor([7]), Noise.of_rows([3])), rtol=0, atol=1e-9)


def test_nothing_to_stream() -> None:
    assert list(build("published").stream([], None)) == []


@pytest.mark.parametrize("first_scored", [0, 1, 5, 10])
def test_crops_have_the_likelihood_of_the_whole(kind: str, first_scored: int) -> None:
    """At the start, in the middle and at the end of an utterance of 12 frames; 4 frames are scored, the last crop holds 2."""
    net, mel, wave, frames, size = build(kind), mels(1, 12), waves(1, 12), 12, 4
    first = first_scored - net.context
    index = torch.arange(first, first_scored + size + net.lookahead)
    samples = torch.arange(first * HOP, (first_scored + size) * HOP)
    inside = (samples >= 0) & (samples < frames * HOP)
    crop = torch.where(inside, wave[:, samples.clamp(0, frames * HOP - 1)], 0.0)
    end = min(first_scored + size, frames)
    scored = (end - first_scored) * HOP
    batch = WaveBatch(
        ["a"], mel[:, index.clamp(0, frames - 1)], crop, torch.tensor([first]), torch.tensor([(end - first) * HOP]),
        net.context, Counts(1, size, scored), (0, 0, 0),
    )  # fmt: skip
    loss = net.losses(batch, "main")["nll"]
    lengths = torch.tensor([frames])
    mixture, (target, gain) = net.predict(mel, wave, lengths), net._targets(mel, wave, lengths)
    part = slice(first_scored * HOP, end * HOP)
    expected = -net._nats(mixture, target, gain, wave)[:, part].mean()
    torch.testing.assert_close(loss, expected)


def test_likelihood_is_that_of_the_16_bit_sample(kind: str) -> None:
    """Over all levels of the last sample the mass is one, whatever shift and gain are."""
    net, mel, wave = build(kind), mels(1, 2), waves(1, 2)
    lengths = torch.tensor([2])
    mixture, gain = net.predict(mel, wave, lengths)[:, -1], net._targets(mel, wave, lengths)[1][:, -1]
    levels = torch.arange(-(2**15), 2**15, dtype=torch.float64) / 2**15
    assert levels[-1] == LEVEL_MAX and HALF_BIN * 2 == levels[1] - levels[0]
    shifted = wave.clone()
    shifted[:, -1] = 0
    base, _ = net._targets(mel, shifted, lengths)
    nats = net._nats(mixture, base[:, -1] + levels / gain, gain.expand(2**16), levels)
    assert nats.exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_log_likelihood_ignores_padding(kind: str) -> None:
    net, mel, wave = build(kind), mels(2, 6), waves(2, 6)
    both = net.log_likelihood(mel, wave, torch.tensor([4, 6]))
    alone = net.log_likelihood(mel[:1, :4], wave[:1, : 4 * HOP], torch.tensor([4]))
    torch.testing.assert_close(both[:1], alone)


def test_gradient_reaches_every_parameter(kind: str) -> None:
    net = build(kind)
    net.log_likelihood(mels(1, 6), waves(1, 6), torch.tensor([6])).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_without_noise_there_is_no_draw(kind: str) -> None:
    net, mel, lengths = build(kind), mels(1, 3), torch.tensor([3])
    wave = net.generate(mel, lengths, None)
    assert torch.equal(wave, net.generate(mel, lengths, None))
    net.temperature = 0.0
    torch.testing.assert_close(wave, net.generate(mel, lengths, Noise.of_rows([1])))


def test_wave_stays_in_range() -> None:
    net = build("published")
    with torch.no_grad():
        net.stack.last.bias[6:] = 20.0
    wave = net.generate(mels(1, 3), torch.tensor([3]), Noise.of_rows([1]))
    assert wave.min() == -1 and wave.max() == LEVEL_MAX


def test_training_lowers_the_loss() -> None:
    """A sine is learned in a few steps, from a crop that starts before the utterance."""
    net = build("published", precision="bf16", dropout=0.05).float().train()
    frames = net.context + 6
    wave = torch.zeros(1, frames * HOP)
    wave[:, net.context * HOP :] = 0.3 * torch.sin(torch.arange(6 * HOP) * 2 * math.pi / 16)
    batch = WaveBatch(
        ["a"], torch.zeros(1, frames + net.lookahead, BANDS), wave, torch.tensor([-net.context]), torch.tensor([frames * HOP]),
        net.context, Counts(1, 6, 6 * HOP), (0, 0, 0),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = net.losses(batch, "main")["nll"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"cycles": 3}, "cycles: must divide layers = 4, got 3"),
        ({"kernel_size": 1}, "kernel_size: must be at least 2, got 1"),
        ({"upsample": "cubic"}, "upsample: must be transposed or linear, got 'cubic'"),
        ({"scales": [4, 4]}, r"upsample scales \[4, 4\] = 16 but hop is 20; e.g. \[4, 5\]"),
        ({"precision": "fp16"}, "precision: must be fp32 or bf16, got 'fp16'"),
        ({"lp_shift": True, "target_scale": 127.5}, "target_scale: must be 1.0 with lp_shift"),
    ],
)
def test_wrong_knobs_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WaveNet(BANDS, HOP, FEATURES, **(SMALL | knobs))
