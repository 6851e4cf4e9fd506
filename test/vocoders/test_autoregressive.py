"""Vocoders that speak sample by sample: parallel and incremental forms, causality, likelihood, generation in batches and chunks."""

from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.nn.noise import Noise
from toolkit.nn.sample_heads import HALF_BIN
from toolkit.nn.upsampling import hold_edges
from toolkit.vocoders.autoregressive import AutoregressiveVocoder
from toolkit.vocoders.sample_loop import LEVEL_MAX
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavernn import WaveRNN

HOP, BANDS = 20, 8
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=80, n_fft=256, n_mels=BANDS, f_min=0.0, f_max=4000.0)
SMALL: dict[str, dict[str, Any]] = {
    "wavenet": {"layers": 4, "cycles": 2, "residual": 6, "gate": 5, "skip": 7, "mixtures": 3, "condition": 4},
    "wavernn": {"units": 6, "hidden": 7, "mixtures": 3, "condition": 4},
}
SHIFTED = {"lp_shift": True, "lp_order": 4, "pre_emphasis": 0.85, "upsample": "linear", "condition_layers": 2, "input_scale": 9.0}
KINDS: dict[str, dict[str, Any]] = {
    "wavenet published": {"target_scale": 127.5, "scales": [4, 5]},
    "wavenet two_taps": {"kernel_size": 2, "upsample": "linear", "pre_emphasis": 0.5, "dilations": [1, 5, 2]},
    "wavenet gaussian": {"head": "gaussian", "log_scale_min": -7.0, "pre_emphasis": 0.5, "upsample": "linear"},
    "wavenet mulaw": {"head": "mulaw", "upsample": "linear", "input_scale": 4.0},
    "wavenet smoothed": {"upsample": "smoothed", "scales": [4, 5], "aux_context": 1, "condition_layers": 1},
    "wavenet lp_shift": SHIFTED,
    "wavernn default": {"scales": [4, 5]},
    "wavernn one_layer": {"layers": 1, "upsample": "linear", "pre_emphasis": 0.5, "condition_layers": 0},
    "wavernn gaussian": {"head": "gaussian", "log_scale_min": -7.0, "upsample": "linear", "layers": 3},
    "wavernn mulaw": {"head": "mulaw", "upsample": "linear", "input_scale": 4.0},
    "wavernn smoothed": {"upsample": "smoothed", "scales": [20], "aux_context": 0},
    "wavernn lp_shift": SHIFTED,
}


def build(kind: str, **knobs: Any) -> AutoregressiveVocoder:
    torch.manual_seed(0)
    name = kind.partition(" ")[0]
    cls = {"wavenet": WaveNet, "wavernn": WaveRNN}[name]
    net = cls(BANDS, HOP, FEATURES, **(SMALL[name] | KINDS[kind] | knobs)).double().eval()
    net.use_statistics(torch.full((BANDS,), -3.0), torch.full((BANDS,), 1.5))
    with torch.no_grad():
        for parameter_name, parameter in net.named_parameters():
            if not parameter_name.startswith(("frame_network.", "upsampling.", "shift.")):
                parameter.mul_(1.5)  # far from the first state, so that samples and conditions matter
        if net.shift.order:
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
    generation = net.speaking(2, Noise.of_rows([1, 2]))
    generation.trace = []
    with torch.inference_mode():
        held = hold_edges(mel, torch.zeros(2, dtype=torch.int64), lengths, net.before, net.lookahead)
        wave = generation.speak(held)
        assert wave.std() > 1e-3
        torch.testing.assert_close(torch.stack(generation.trace, 1), net.predict(mel, wave, lengths), rtol=0, atol=1e-9)


def test_parallel_equals_incremental_in_float32(kind: str) -> None:
    net, mel = build(kind).float(), mels(1, 6).float()
    generation = net.speaking(1, Noise.of_rows([1]))
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
    net, mel, wave = build(kind), mels(1, 9), waves(1, 9)
    other = mel.clone()
    other[:, 4 + net.lookahead :] += 1
    lengths = torch.tensor([9])
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


def test_nothing_to_stream(kind: str) -> None:
    assert list(build(kind).stream([], None)) == []


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
