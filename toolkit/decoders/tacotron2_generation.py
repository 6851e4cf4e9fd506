"""Free running of the Tacotron 2 decoder by the native step, where that computes what ``Tacotron2Decoder.step`` computes.

The kernel makes many steps a call and returns early after a step at which a row may have stopped; the stop rule itself is asked here.
Rows that have ended leave the batch, so the others get faster.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from toolkit.attentions.base import Attention
from toolkit.decoders.base import Output, StopAtProbability, StopRule, Targets
from toolkit.kernels.decoder_step import MOST_PRENET_LAYERS, Affine, Generation, Packed, Steps, StepWeights
from toolkit.kernels.lstm_run import Weights
from toolkit.kernels.native import library
from toolkit.nn.additive_attention import AdditivePieces
from toolkit.nn.attention_window import Window
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.nn.prenet import Prenet
from toolkit.nn.zoneout import ZoneoutLSTMCell

STEPS_AT_ONCE = 64  # of a call where nobody listens
STEPS_HEARD = 8  # of a call where ``on_frames`` waits for them
MARGIN = 1e-3  # of a stop logit: nearer to the threshold than this, torch decides
OWN = ("generate", "start", "step", "_recur", "_project")
SAMPLES = 32  # values of a tensor that tell whether it is still the one that was packed
ATTEND = {"espnet": "before_first", "nvidia": "between", "paper": "after_second"}


class Net(Protocol):
    """What free running needs to know of a decoder."""

    n_mels: int
    reduction: int
    wiring: str
    prenet: Prenet
    attention: Attention
    first: ZoneoutLSTMCell
    second: ZoneoutLSTMCell
    frames: nn.Linear
    stop: nn.Linear
    execution: Execution
    window: Window | None
    training: bool

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def state_dict(self, *, keep_vars: bool) -> Mapping[str, Any]: ...


class Step(NamedTuple):
    """A decoder's weights for the kernel, and its attention's pieces for these rows."""

    packed: Packed
    pieces: AdditivePieces


def generate(
    decoder: Net,
    memory: Tensor,
    mask: Tensor,
    limit: Tensor,
    stop_rule: StopRule,
    noise: Noise | None,
    on_frames: Callable[[Tensor], None] | None,
) -> Output | None:
    """The contract's ``generate``, or None where only the plain steps will do.

    They run for another attention or a subclass with other steps, inside a window of attention, for stop rules other than
    ``StopAtProbability``, GPUs and float64,
    without compiled kernels, and where somebody wants gradients.
    """
    if decoder.window is not None or type(stop_rule) is not StopAtProbability or not bool((limit > 0).any()):
        return None
    step = native_step(decoder, memory, mask, noise)
    if step is None:
        return None
    run = _Run(decoder, step, limit, stop_rule, noise)
    while run.active:
        made = run.advance(STEPS_AT_ONCE if on_frames is None else STEPS_HEARD)
        for frames in made.frames if on_frames is not None else ():
            on_frames(frames)  # type: ignore[misc]  # not None, see the line above
    return run.output()


def teacher_forced(decoder: Net, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None) -> Output | None:
    """The contract's ``forward`` in eval mode by the native step and in its precision; None where there is none."""
    step = native_step(decoder, memory, mask, noise)
    if step is None:
        return None
    rows, frames, r = len(mask), targets.mel.shape[1], decoder.reduction
    steps = -(-frames // r)
    before = targets.mel[:, r - 1 :: r][:, : steps - 1]
    fed = torch.cat([targets.mel.new_zeros(rows, 1, decoder.n_mels), before], 1).transpose(0, 1)  # T/r B M
    generation = Generation(step.packed, step.pieces, decoder.execution.workers)
    made = generation.run(steps, _keep(decoder, noise, rows, 0, steps), forced=fed)
    mel, stop_logits, weights = _row_major([made])
    return Output(mel[:, :frames], targets.lengths, stop_logits, weights)


def native_step(decoder: Net, memory: Tensor, mask: Tensor, noise: Noise | None) -> Step | None:
    """What the kernel needs, or None where it does not compute the same as the decoder's own steps."""
    found = library() if decoder.execution.native else None
    if found is None or not _is_plain(decoder, memory):
        return None
    pieces = decoder.attention.offered(decoder.attention.start(memory, mask, noise, hard=True))
    if pieces is None or pieces.forward or pieces.memory.shape != memory.shape:
        return None
    precision = decoder.execution.precision
    packed = _PACKS.get(decoder, (found.path, precision, decoder.reduction), lambda: Packed(found, _weights(decoder), pieces, precision))
    return Step(packed, pieces)


def _is_plain(decoder: Net, memory: Tensor) -> bool:
    """Whether the decoder's steps are those of the class that has this fast path, in a state in which it holds."""
    order = type(decoder).__mro__
    defined = {name: next(i for i, cls in enumerate(order) if name in vars(cls)) for name in OWN}
    blocks = [type(decoder.prenet), type(decoder.first), type(decoder.second)]
    return (
        defined["generate"] <= min(defined.values())
        and blocks == [Prenet, ZoneoutLSTMCell, ZoneoutLSTMCell]
        and len(decoder.prenet.layers) <= MOST_PRENET_LAYERS
        and not decoder.training
        and not (torch.is_grad_enabled() and memory.requires_grad)
        and memory.device.type == "cpu"
        and all(value.dtype == torch.float32 for value in (memory, *decoder.parameters()))
    )


def _weights(decoder: Net) -> StepWeights:
    emitted = slice(decoder.reduction * decoder.n_mels)
    return StepWeights(
        tuple(Affine(layer.weight, layer.bias) for layer in decoder.prenet.layers),  # type: ignore[arg-type]  # those of nn.Linear
        Weights.of(decoder.first),
        Weights.of(decoder.second),
        Affine(decoder.frames.weight[emitted], decoder.frames.bias[emitted]),
        Affine(decoder.stop.weight, decoder.stop.bias),
        decoder.n_mels,
        decoder.first.zoneout,
        ATTEND[decoder.wiring],
        decoder.wiring == "nvidia",
    )


def _keep(decoder: Net, noise: Noise | None, rows: int, start: int, count: int) -> list[Tensor] | None:
    """Dropout factors of the prenet's layers, each ``B count P``: the draws that ``Prenet`` makes."""
    share = decoder.prenet.dropout
    if noise is None or not share:
        return None
    widths = [int(layer.weight.shape[0]) for layer in decoder.prenet.layers]  # type: ignore[index]
    return [noise.keep(f"prenet.{i}", start, count, rows, width, share) for i, width in enumerate(widths)]


def _row_major(blocks: Sequence[Steps]) -> tuple[Tensor, Tensor, Tensor]:
    """Blocks of steps -> mel ``B T M``, stop logits ``B T/r``, weights ``B T/r S``."""
    frames, stops, weights = (torch.cat(parts).transpose(0, 1) for parts in zip(*blocks, strict=True))
    return frames.flatten(1, 2), stops.contiguous(), weights.contiguous()


class _Run:
    """A free run under way."""

    def __init__(self, decoder: Net, step: Step, limit: Tensor, stop_rule: StopAtProbability, noise: Noise | None) -> None:
        self.decoder, self.limit, self.stop_rule, self.noise = decoder, limit, stop_rule, noise
        self.generation = Generation(step.packed, step.pieces, decoder.execution.workers)
        self.steps_left = [-(-frames // decoder.reduction) for frames in limit.tolist()]
        self.active = [row for row, steps in enumerate(self.steps_left) if steps > 0]
        self.generation.keep(self.active)
        self.steps_of = [0] * len(limit)
        self.stopped = [False] * len(limit)
        self.position = 0
        self.blocks: list[Steps] = []
        self.window, self.kept = 0, _keep(decoder, noise, len(limit), 0, STEPS_AT_ONCE)  # draws of steps from ``window``
        threshold = stop_rule.threshold
        self.stop_from = math.log(threshold / (1.0 - threshold)) - MARGIN if 0.0 < threshold < 1.0 else math.inf
        if threshold <= 0.0:
            self.stop_from = -math.inf

    def advance(self, most: int) -> Steps:
        """The next steps: at most so many, and none past the first row's end."""
        steps = min(most, *(self.steps_left[row] - self.position for row in self.active), self.window + STEPS_AT_ONCE - self.position)
        start = self.position - self.window
        keep = None if self.kept is None else [factors[:, start : start + steps] for factors in self.kept]
        made = self.generation.run(steps, keep, self.stop_from)
        self.blocks.append(made)
        self.position += len(made.frames)
        self._end_rows(made)
        if self.active and self.position == self.window + STEPS_AT_ONCE:
            self.window = self.position
            self.kept = _keep(self.decoder, self.noise, len(self.limit), self.window, STEPS_AT_ONCE)
        return made

    def _end_rows(self, made: Steps) -> None:
        """Only at the last step can a row have stopped, or reached its limit."""
        stop = self.stop_rule(torch.sigmoid(made.stop_logits[-1]), made.weights[-1], self.position - 1).tolist()
        going_on = []
        for row in self.active:
            self.steps_of[row], self.stopped[row] = self.position, stop[row]
            if not stop[row] and self.position < self.steps_left[row]:
                going_on.append(row)
        if len(going_on) < len(self.active):
            self.active = going_on
            self.generation.keep(going_on)

    def output(self) -> Output:
        mel, stop_logits, weights = _row_major(self.blocks)
        lengths = torch.minimum(self.limit.new_tensor(self.steps_of) * self.decoder.reduction, self.limit)
        return Output(mel, lengths, stop_logits, weights, ["stop" if stopped else "limit" for stopped in self.stopped])


class _Packs:
    """The packed weights of decoders that live, in each form they were asked for, until the weights change."""

    def __init__(self) -> None:
        self._held: weakref.WeakKeyDictionary[Net, tuple[Hashable, dict[Hashable, Packed]]] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, decoder: Net, form: Hashable, pack: Callable[[], Packed]) -> Packed:
        """What was packed in this form, or what ``pack`` makes."""
        prints = tuple(_print(value) for value in decoder.state_dict(keep_vars=True).values())
        with self._lock:
            held = self._held.get(decoder)
            if held is None or held[0] != prints:
                held = self._held[decoder] = (prints, {})
            if form not in held[1]:
                held[1][form] = pack()
            return held[1][form]


_PACKS = _Packs()


def _print(value: Tensor) -> Hashable:
    """Changes whenever a tensor's values do: where it lies, how often it was written (where torch counts), and a few of its values."""
    sample = value.detach().flatten()[:: max(1, value.numel() // SAMPLES)]
    return value.data_ptr(), 0 if value.is_inference() else value._version, tuple(sample.tolist())
