"""WaveNet: the likelihood of crops, the range of samples, training, knobs. What it has in common: ``test_autoregressive``."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import Counts, WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.vocoders.sample_loop import LEVEL_MAX
from toolkit.vocoders.wavenet import WaveNet

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
        ({"upsample": "cubic"}, "upsample: must be transposed, linear or smoothed, got 'cubic'"),
        ({"scales": [4, 4]}, r"upsample scales \[4, 4\] = 16 but hop is 20; e.g. \[4, 5\]"),
        ({"precision": "fp16"}, "precision: must be fp32 or bf16, got 'fp16'"),
        ({"lp_shift": True, "target_scale": 127.5}, "target_scale: must be 1.0 with lp_shift"),
    ],
)
def test_wrong_knobs_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WaveNet(BANDS, HOP, FEATURES, **(SMALL | knobs))
