"""The WaveNet kernel against its plain twin: every target, both kernel sizes and upsamplers, rows, threads, streams, precisions."""

import logging
import os
from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.kernels import native
from toolkit.kernels import wavenet as kernel
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavenet_generation import Generation

HOP, BANDS = 20, 8
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=80, n_fft=256, n_mels=BANDS, f_min=0.0, f_max=4000.0)
SMALL = {"layers": 6, "cycles": 2, "residual": 32, "gate": 32, "skip": 32, "mixtures": 3, "condition": 4}
KINDS: dict[str, dict[str, Any]] = {
    "published": {"target_scale": 127.5, "scales": [4, 5]},
    "linear": {"upsample": "linear", "gate": 64, "residual": 64, "skip": 128, "mixtures": 13},
    "two_taps": {"kernel_size": 2, "upsample": "linear", "pre_emphasis": 0.5, "dilations": [1, 5, 2], "residual": 128},
    "lp_shift": {"lp_shift": True, "pre_emphasis": 0.85, "upsample": "linear", "condition_layers": 2, "input_scale": 9.0},
    "gaussian": {"head": "gaussian", "log_scale_min": -7.0, "lp_shift": True, "pre_emphasis": 0.85, "upsample": "linear"},
    "lp_shift_transposed": {"lp_shift": True, "lp_order": 4, "kernel_size": 2, "scales": [4, 5]},
}
PLAIN = Execution(native=False)
TOLERANCE = {"bf16": 0.03, "int8": 0.05}  # of the largest value of a random net's mixtures


def build(kind: str, **knobs: Any) -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(BANDS, HOP, FEATURES, **(SMALL | KINDS[kind] | knobs)).eval()
    net.use_statistics(torch.full((BANDS,), -3.0), torch.full((BANDS,), 1.5))
    with torch.no_grad():
        for parameter in net.stack.parameters():
            parameter.mul_(1.5)  # far from the first state, so that samples and conditions matter
    return net


def mels(rows: int, frames: int) -> Tensor:
    return torch.randn(rows, frames, BANDS, generator=torch.Generator().manual_seed(3)) * 0.5 - 3.0


def material(rows: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Condition, wave, lengths; the second row is shorter."""
    wave = torch.rand(rows, frames * HOP, generator=torch.Generator().manual_seed(4)) * 0.4 - 0.2
    lengths = torch.full((rows,), frames)
    lengths[1:2] -= 2
    return mels(rows, frames), wave, lengths


@pytest.fixture
def best(compiled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best target is loaded."""
    monkeypatch.setenv(native.PLACE, str(compiled))
    monkeypatch.delenv(native.CHOICE, raising=False)


def compare(kind: str, rows: int) -> None:
    net = build(kind)
    condition, wave, lengths = material(rows, 5)
    with torch.inference_mode():
        plain = net.predict(condition, wave, lengths)
    inside = torch.arange(5)[None] < lengths[:, None]
    for precision in ("fp32", "bf16", "int8"):
        packed = kernel.PackedNet(net, precision)
        one, two = (kernel.forced(net, condition, wave, lengths, packed, threads) for threads in (1, 2))
        error = (one - plain).abs()[inside.repeat_interleave(HOP, 1)].max()
        if precision == "fp32":
            assert torch.equal(one, two)
            assert error <= 1e-4
        else:
            assert torch.allclose(one, two, atol=1e-2 * float(plain.abs().max()))
            assert error <= TOLERANCE[precision] * plain.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 3, 20])
def test_given_the_wave_it_predicts_what_the_parallel_net_predicts(target: str, kind: str, rows: int) -> None:
    compare(kind, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_spoken_waves_equal_those_of_torch(target: str, kind: str) -> None:
    net = build(kind)
    condition, _, lengths = material(3, 6)
    waves = []
    for execution in (PLAIN, Execution(threads=1), Execution(threads=2)):
        net.execution = execution
        waves.append(net.generate(condition, lengths, Noise.of_rows([5, 6, 7])))
    assert torch.equal(waves[1], waves[2])
    assert bool((waves[0].std(1) > 0).all())
    # Once in a while a choice between two components of nearly equal weight falls otherwise: a wave may then leave its twin.
    apart = (waves[1] - waves[0]).abs() > 1e-5 * waves[0].abs().max()
    assert apart.float().mean() < 0.01 or int(apart.any(1).sum()) < 2


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_row_does_not_depend_on_its_batch_and_threads_and_streams_change_nothing(best: None, precision: str) -> None:
    net = build("linear")
    net.execution = Execution(precision, threads=1)
    condition, _, lengths = material(4, 6)
    together = net.generate(condition, lengths, Noise.of_rows([5, 6, 7, 8]))
    for threads in (1, 2):
        net.execution = Execution(precision, threads=threads)
        alone = net.generate(condition[2:3], lengths[2:3], Noise.of_rows([7]))
        streamed = torch.cat(list(net.stream(condition[2:3].split([1, 3, 2], 1), Noise.of_rows([7]))), 1)
        assert torch.equal(alone, streamed)
        if precision == "fp32":
            assert torch.equal(alone[0], together[2])
    assert not together[1, lengths[1] * HOP :].any()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no choice of cores here")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("kind", ["published", "linear"])
def test_a_helper_that_comes_late_changes_nothing(best: None, kind: str, precision: str) -> None:
    """Both threads of one row share a core, so that the one often overtakes the other."""
    net, condition = build(kind), mels(1, 60)
    packed, lengths = kernel.PackedNet(net, precision), torch.tensor([60])
    wave = torch.rand(1, 60 * HOP, generator=torch.Generator().manual_seed(4)) * 0.4 - 0.2
    alone = kernel.forced(net, condition, wave, lengths, packed, threads=1)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        helped = kernel.forced(net, condition, wave, lengths, packed, threads=2)
    finally:
        os.sched_setaffinity(0, cores)
    assert torch.equal(alone, helped)


def test_long_blocks_and_dense_conditions_of_one_row(best: None) -> None:
    net = build("published", scales=None)
    condition, wave, lengths = material(1, 40)  # more samples than are projected at once
    packed = kernel.PackedNet(net)
    generation = kernel.NativeGeneration(net, 1, None, packed, threads=2)
    held = torch.cat([condition[:, :1].expand(-1, net.before, -1), condition, condition[:, -1:].expand(-1, net.lookahead, -1)], 1)
    with torch.inference_mode():
        at_once = generation.mixtures(held, wave)
        assert torch.allclose(at_once, net.predict(condition, wave, lengths), atol=1e-4)
    assert torch.equal(at_once, kernel.forced(net, condition, wave, lengths, packed))


def test_without_noise_the_most_probable_mean_is_spoken(best: None) -> None:
    net = build("lp_shift", temperature=0.7)
    condition, _, lengths = material(2, 4)
    fast = net.generate(condition, lengths, None)
    net.execution = PLAIN
    assert torch.allclose(fast, net.generate(condition, lengths, None), atol=1e-5)


def test_what_the_kernel_cannot_do_takes_the_torch_path_and_says_why(
    best: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    net = build("published")
    assert kernel.supports(net) is None
    for width in ("residual", "gate", "skip"):
        assert f"needs {width} in multiples of 32, not 48" in str(kernel.supports(build("published", **{width: 48})))
    assert "not float64 on cpu" in str(kernel.supports(build("published").double()))
    assert "not float32 on meta" in str(kernel.supports(build("published").to("meta")))
    assert "switched off" in str(kernel.supports(net, PLAIN))
    assert "not from MuLaw" in str(kernel.supports(build("linear", head="mulaw")))
    with caplog.at_level(logging.WARNING):
        assert kernel.generation(net.double(), 1, None, Execution("int8")) is None
    assert len(caplog.records) == 1 and "fp32 by torch, not in int8" in caplog.text
    monkeypatch.setenv(native.CHOICE, "none")
    assert kernel.supports(build("published")) == native.why_not()
    assert isinstance(build("published").speaking(1, None), Generation)
