"""WaveRNN: the recursion against a plain loop, likelihood of crops after a warm-up, training, knobs. The rest: ``test_autoregressive``."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import Counts, WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.vocoders.folding import SETTLE_FRAMES
from toolkit.vocoders.wavernn import WaveRNN

HOP, BANDS = 20, 8
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=80, n_fft=256, n_mels=BANDS, f_min=0.0, f_max=4000.0)
KINDS: dict[str, dict[str, Any]] = {
    "one_layer": {"layers": 1, "warm_up": 1},
    "two_layers": {"layers": 2, "warm_up": 3},
    "lp_shift": {"lp_shift": True, "lp_order": 4, "pre_emphasis": 0.85, "warm_up": 2, "condition_layers": 1},
}
Array = NDArray[np.float64]


def build(kind: str, **knobs: Any) -> WaveRNN:
    torch.manual_seed(0)
    small = {"units": 6, "hidden": 7, "mixtures": 3, "condition": 4, "condition_layers": 0, "upsample": "linear"}
    net = WaveRNN(BANDS, HOP, FEATURES, **(small | KINDS[kind] | knobs)).double().eval()
    net.use_statistics(torch.full((BANDS,), -3.0), torch.full((BANDS,), 1.5))
    with torch.no_grad():
        for module in (net.first, net.layers, net.hidden, net.last):
            for parameter in module.parameters():
                parameter.mul_(1.5)  # far from the first state, so that samples and conditions matter
        for layer in net.layers:
            layer.bias_ih_l0[6:12] += 3.0  # update gates that keep a state for many samples
        if net.shift.order:
            net.shift.log_gain_offset.fill_(6.0)  # residuals near 1, where gates are not at their ends
    return net


def mels(rows: int, frames: int) -> Tensor:
    return torch.randn(rows, frames, BANDS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 3


def waves(rows: int, frames: int) -> Tensor:
    return 0.2 * torch.randn(rows, frames * HOP, generator=torch.Generator().manual_seed(2), dtype=torch.float64).clamp(-3, 3)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def recursion(net: WaveRNN, inputs: Tensor, conditions: Tensor) -> Tensor:
    """Kalchbrenner et al. 2018, equation 2, with the reset gate of cuDNN: inputs ``N I``, conditions ``N C`` -> ``N P``."""

    def of(module: nn.Module) -> list[Array]:
        return [parameter.detach().numpy() for parameter in module.parameters()]

    (first, first_bias), (hidden, hidden_bias), (last, last_bias) = of(net.first), of(net.hidden), of(net.last)
    layers, units = [of(layer) for layer in net.layers], len(first)
    states, outputs = [np.zeros(units) for _ in layers], []
    for x, c in zip(inputs.numpy(), conditions.detach().numpy(), strict=True):
        u = first @ np.concatenate([x, c]) + first_bias
        for i, (inner, recurrent, inner_bias, recurrent_bias) in enumerate(layers):
            gi, gh = inner @ u + inner_bias, recurrent @ states[i] + recurrent_bias
            r, z = sigmoid(gi[:units] + gh[:units]), sigmoid(gi[units : 2 * units] + gh[units : 2 * units])
            candidate = np.tanh(gi[2 * units :] + r * gh[2 * units :])
            states[i] = z * states[i] + (1 - z) * candidate
            u = u + states[i]
        outputs.append(last @ np.maximum(hidden @ np.concatenate([u, c]) + hidden_bias, 0) + last_bias)
    return torch.from_numpy(np.stack(outputs))


def test_every_sample_is_that_of_the_recursion(kind: str) -> None:
    net, mel, wave, lengths = build(kind), mels(1, 4), waves(1, 4), torch.tensor([4])
    with torch.no_grad():
        conditions, shift = net.conditions(net._held(mel, lengths))
        inputs, _ = net._signals(wave, shift)
        torch.testing.assert_close(net.predict(mel, wave, lengths)[0], recursion(net, inputs[0], conditions[0]), rtol=0, atol=1e-9)


def crop(net: WaveRNN, mel: Tensor, wave: Tensor, first_scored: int, size: int) -> WaveBatch:
    """``size`` frames of the one utterance as a loader gives them."""
    frames, first = mel.shape[1], first_scored - net.context
    index = torch.arange(first, first_scored + size + net.lookahead)
    samples = torch.arange(first * HOP, (first_scored + size) * HOP)
    inside = (samples >= 0) & (samples < frames * HOP)
    end = min(first_scored + size, frames)
    return WaveBatch(
        ["a"], mel[:, index.clamp(0, frames - 1)], torch.where(inside, wave[:, samples.clamp(0, frames * HOP - 1)], 0.0),
        torch.tensor([first]), torch.tensor([(end - first) * HOP]), net.context, Counts(1, size, (end - first_scored) * HOP), (0, 0, 0),
    )  # fmt: skip


@pytest.mark.parametrize("first_scored", [0, 1, 5, 10])
def test_a_crop_has_the_likelihood_of_speech_that_begins_with_its_warm_up(kind: str, first_scored: int) -> None:
    """At the start, in the middle and at the end of an utterance of 12 frames; 4 frames are scored, the last crop holds 2."""
    net, mel, wave, lengths = build(kind), mels(1, 12), waves(1, 12), torch.tensor([12])
    begin = max(0, first_scored - KINDS[kind]["warm_up"]) * HOP
    part = slice(first_scored * HOP, min(first_scored + 4, 12) * HOP)
    with torch.no_grad():
        loss = net.losses(crop(net, mel, wave, first_scored, 4), "main")["nll"]
        conditions, shift = net.conditions(net._held(mel, lengths))
        heard = wave.clone()
        heard[:, :begin] = 0
        inputs, _ = net._signals(heard, shift)
        outputs = wave.new_zeros(1, 12 * HOP, net.head.outputs)
        outputs[0, begin:] = recursion(net, inputs[0, begin:], conditions[0, begin:])
        expected = -net._nats(outputs, *net._targets(mel, wave, lengths), wave)[:, part].mean()
    torch.testing.assert_close(loss, expected)


def test_rows_of_a_crop_begin_where_their_utterances_do() -> None:
    """Two crops side by side, of which one starts before its utterance: the loss is the mean of the two alone."""
    net, mel, wave = build("two_layers"), mels(1, 12), waves(1, 12)
    batches = [crop(net, mel, wave, start, 4) for start in (1, 6)]
    joined = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in ("condition", "wave", "first", "ends")}
    both = batches[0]._replace(ids=["a", "b"], **joined, counts=Counts(2, 8, 8 * HOP))
    alone = [net.losses(batch, "main")["nll"].item() for batch in batches]
    assert net.losses(both, "main")["nll"].item() == pytest.approx(sum(alone) / 2, abs=1e-9)


def test_no_gradient_goes_into_the_warm_up() -> None:
    net = build("two_layers")
    batch = crop(net, mels(1, 12), waves(1, 12), 5, 4)
    condition = batch.condition.clone().requires_grad_()
    net.losses(batch._replace(condition=condition), "main")["nll"].backward()
    assert condition.grad is not None
    reached = condition.grad.abs().sum((0, 2)) > 0
    assert reached.tolist() == [False] * net.context + [True] * (4 + net.lookahead)


def test_what_is_remembered_is_the_warm_up_and_what_the_target_needs() -> None:
    assert (build("two_layers").memory, build("two_layers").context) == (3 * HOP, 3)
    layered = build("lp_shift", condition_layers=2)
    assert (layered.memory, layered.before, layered.context) == (2 * HOP, 2, 4)
    assert build("lp_shift", lp_order=25, warm_up=1).context == 3  # one frame of convolutions, 26 samples


def test_an_utterance_in_segments_begins_as_the_whole() -> None:
    net, mel, lengths = build("one_layer"), mels(1, 60), torch.tensor([60])
    whole = net.generate(mel, lengths, Noise.of_rows([1]))
    net.execution = Execution(folds=3)
    folded = net.generate(mel, lengths, Noise.of_rows([1]))
    first = (1 + SETTLE_FRAMES) * HOP  # samples that no seam can touch
    assert folded.shape == whole.shape
    torch.testing.assert_close(folded[:, :first], whole[:, :first], rtol=0, atol=1e-9)
    assert not torch.equal(folded, whole)


def test_training_lowers_the_loss() -> None:
    """A sine is learned in a few steps, from a crop that starts before the utterance, also with products of eight bits."""
    net = build("one_layer", hidden=16).float().train()
    frames = net.context + 3
    wave = torch.zeros(1, frames * HOP)
    wave[:, net.context * HOP :] = 0.3 * torch.sin(torch.arange(3 * HOP) * 2 * math.pi / 16)
    batch = WaveBatch(
        ["a"], torch.zeros(1, frames + net.lookahead, BANDS), wave, torch.tensor([-net.context]), torch.tensor([frames * HOP]),
        net.context, Counts(1, 3, 3 * HOP), (0, 0, 0),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 2e-2)
    losses = []
    for _ in range(25):
        with torch.autocast("cpu", torch.bfloat16):
            loss = net.losses(batch, "main")["nll"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"units": 0}, "units: must be at least 1, got 0"),
        ({"layers": 0}, "layers: must be at least 1, got 0"),
        ({"warm_up": 0}, "warm_up: must be at least 1, got 0"),
        ({"upsample": "cubic"}, "upsample: must be transposed, linear or smoothed, got 'cubic'"),
        ({"head": "mulaw", "pre_emphasis": 0.5}, "head: mulaw has classes of the wave itself"),
        ({"head": "mool"}, "head: unknown, got 'mool'; did you mean 'mol'"),
    ],
)
def test_wrong_knobs_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WaveRNN(BANDS, HOP, FEATURES, **knobs)
