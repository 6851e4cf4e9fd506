"""The contract of decoders, and the loop that an autoregressive one gets from its ``step``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.errors import ConfigError
from toolkit.nn.attention_window import Window, attended
from toolkit.nn.execution import Execution
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.registry import Registry


class Targets(NamedTuple):
    """What training knows about the output."""

    mel: Tensor  # B T M, normalised: what the decoder is to make
    lengths: Tensor  # B
    durations: Tensor | None = None  # B S
    f0: Tensor | None = None  # B T
    energy: Tensor | None = None  # B T
    features: Tensor | None = None  # B T F, normalised: what the postnet is to make where that is something else


class Output(NamedTuple):
    """What a decoder gives. ``T`` is a multiple of the reduction factor r."""

    mel: Tensor  # B T M, normalised
    lengths: Tensor  # B, frames
    stop_logits: Tensor  # B T/r
    weights: Tensor | None = None  # B T/r S, alignments
    stopped_by: list[str] | None = None  # a word a row: "stop" or "limit"
    extra: dict[str, Tensor] = {}


class StopRule(Protocol):
    """Which rows end after this step."""

    def __call__(self, probability: Tensor, weights: Tensor, step: int) -> Tensor:
        """Stop probability ``B``, weights ``B S``, number of the step from 0 -> bool ``B``."""


@dataclass(frozen=True)
class StopAtProbability:
    """Stop at the first step whose stop probability exceeds the threshold (Tacotron 2, section 2.2: 0.5)."""

    threshold: float = 0.5

    def __call__(self, probability: Tensor, weights: Tensor, step: int) -> Tensor:
        return probability > self.threshold


class Decoder(nn.Module):
    """Memory -> mel frames.

    Wired: ``memory_dim``, ``n_mels``, ``attention`` (an unbuilt part; the decoder knows the sizes it needs; for one that names
    none, a configuration has ``attention: null``) and ``reduction``, the largest number of frames a step emits.
    Attributes: ``execution`` says how ``generate`` runs, who synthesizes sets it; ``needs`` names the targets beside the mel that
    training takes (``durations``, ``f0``); ``makes_spectrum`` is False where the frames are other conditions for a vocoder, such
    as linguistic ones; ``memory_width`` is the only width of memory that it reads, None for any.
    """

    execution: Execution = Execution()
    needs: tuple[str, ...] = ()
    makes_spectrum: bool = True
    memory_width: int | None = None

    @classmethod
    def condition_dim(cls, features: MelSettings) -> int:
        """Width of the frames that the vocoder is conditioned on."""
        return features.bins

    def forward(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        """Teacher-forced output for training. ``memory`` ``B S D``, ``mask`` bool ``B S``, ``teacher`` share of true previous frames.

        ``hard`` selects the attention's synthesis form, for ground-truth-aligned mels.
        """
        raise NotImplementedError

    def generate(
        self,
        memory: Tensor,
        mask: Tensor,
        limit: Tensor,
        stop_rule: StopRule,
        noise: Noise | None,
        on_frames: Callable[[Tensor], None] | None = None,
    ) -> Output:
        """Free-running output. ``limit`` int64 ``B`` is the largest number of frames; ``on_frames`` sees each ``B r M`` as it is made."""
        raise NotImplementedError

    def emit(self, reduction: int) -> None:
        """So many frames a step from now on; one that makes every frame has no use for it."""

    def path(self, memory: Tensor, mask: Tensor) -> str:
        """Which code ``generate`` would run for this memory: ``torch``, with a reason if there is one, or ``native`` and what."""
        return "torch"

    def losses(self, output: Output, targets: Targets) -> dict[str, Tensor]:
        """Losses of the decoder's own, such as those of durations: sums over the batch."""
        return {}


class StepDecoder(Decoder):
    """A decoder that is autoregressive: it defines ``start`` and ``step``, and ``forward`` equals the loop over them.

    ``reduction`` is the number of frames a step emits: the first of as many as it was built for, all of them unless a task sets
    fewer. ``window`` confines attention in ``generate``; who synthesizes sets it.
    """

    reduction: int
    n_mels: int
    window: Window | None = None

    def emit(self, reduction: int) -> None:
        self.reduction = reduction

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, reduction: int, hard: bool = False) -> Any:
        """The state before the first step."""
        raise NotImplementedError

    def step(self, frame: Tensor, state: Any, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Any]:
        """Last frame ``B M`` -> frames ``B r M``, stop logit ``B``, weights ``B S``, state."""
        raise NotImplementedError

    def sampled(self, previous: Tensor, state: Any, teacher: float) -> tuple[Tensor, Tensor, Tensor]:
        """All steps where a share of the rows of each is fed its own last frame, not the true one (scheduled sampling).

        Args:
            previous: true last frames ``B T/r M``.
            state: the one before the first step, with ``noise``.
            teacher: the share that is fed the true one.

        Returns:
            Frames ``B T M``, stop logits ``B T/r``, weights ``B T/r S``.
        """
        made: list[tuple[Tensor, Tensor, Tensor]] = []
        for t, frame in enumerate(previous.unbind(1)):
            if t:
                rows = len(frame)
                draws = frame.new_ones(rows, 1) if state.noise is None else state.noise.uniform("teacher", t, 1, rows, 1)[:, 0]
                frame = torch.where(draws < teacher, frame, made[-1][0][:, -1])
            *result, state = self.step(frame, state)
            made.append((result[0], result[1], result[2]))
        frames, stops, weights = zip(*made, strict=True)
        return torch.cat(frames, 1), torch.stack(stops, 1), torch.stack(weights, 1)

    def replayable(self, memory: Tensor, mask: Tensor, stop_rule: StopRule) -> bool:
        """True where a step and the stop rule are known never to wait for the device, so that a GPU may take many steps as one graph."""
        return False

    def generate(
        self,
        memory: Tensor,
        mask: Tensor,
        limit: Tensor,
        stop_rule: StopRule,
        noise: Noise | None,
        on_frames: Callable[[Tensor], None] | None = None,
    ) -> Output:
        if memory.is_cuda and not torch.is_grad_enabled() and bool((limit > 0).any()) and self.replayable(memory, mask, stop_rule):
            from toolkit.decoders import replayed_generation  # it knows this module

            return replayed_generation.generate(self, memory, mask, limit, stop_rule, noise, on_frames)
        state = self.start(memory, mask, noise, self.reduction, hard=True)
        frame = memory.new_zeros(memory.shape[0], self.n_mels)
        places = torch.zeros_like(limit)
        run = _Run(limit)
        while run.active.any():
            allowed = None if self.window is None else self.window.around(places, mask.shape[1])
            frames, stop_logit, weights, state = self.step(frame, state, allowed)
            places = attended(weights, places)
            frames = frames * run.active[:, None, None]
            frame = frames[:, -1]
            if on_frames is not None:
                on_frames(frames)
            run.add(frames, stop_logit, weights, stop_rule(torch.sigmoid(stop_logit), weights, len(run.frames)))
        return run.output()


@dataclass
class _Run:
    """A free run under way: what was emitted, and which rows still speak. Rows that stopped are frozen at zero."""

    limit: Tensor
    frames: list[Tensor] = field(default_factory=list)
    stops: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.active = self.limit > 0
        self.lengths = torch.zeros_like(self.limit)
        self.by_rule = torch.zeros_like(self.active)

    def add(self, frames: Tensor, stop_logit: Tensor, weights: Tensor, stop: Tensor) -> None:
        self.frames.append(frames)
        self.stops.append(stop_logit)
        self.weights.append(weights * self.active[:, None])
        grown = torch.minimum(self.lengths + frames.shape[1], self.limit)
        self.lengths = torch.where(self.active, grown, self.lengths)
        self.by_rule |= self.active & stop
        self.active = self.active & ~stop & (self.lengths < self.limit)

    def output(self) -> Output:
        reasons = ["stop" if stopped else "limit" for stopped in self.by_rule.tolist()]
        return Output(torch.cat(self.frames, 1), self.lengths, torch.stack(self.stops, 1), torch.stack(self.weights, 1), reasons)


class PlannedDecoder(Decoder):
    """A decoder that is taught how many frames each symbol has, and predicts that when it speaks.

    It makes every frame, and ends where the durations do or at the limit; the stop rule is not asked. It defines ``plan`` and
    ``perform``.
    """

    needs: tuple[str, ...] = ("durations",)

    def __init__(self, reduction: int) -> None:
        super().__init__()
        if reduction != 1:
            raise ConfigError(f"a decoder that plans durations makes every frame, reduction must be 1, got {reduction}")

    def plan(self, memory: Tensor, mask: Tensor) -> Tensor:
        """Frames of each symbol, int64 ``B S``, 0 on padding; together at least one."""
        raise NotImplementedError

    def perform(self, memory: Tensor, mask: Tensor, durations: Tensor, lengths: Tensor) -> Output:
        """The first ``lengths`` ``B`` frames of what has these ``durations``; all else is predicted."""
        raise NotImplementedError

    def generate(
        self,
        memory: Tensor,
        mask: Tensor,
        limit: Tensor,
        stop_rule: StopRule,
        noise: Noise | None,
        on_frames: Callable[[Tensor], None] | None = None,
    ) -> Output:
        durations = self.plan(memory, mask)
        wanted = durations.sum(1)
        output = self.perform(memory, mask, durations, torch.minimum(wanted, limit))
        if on_frames is not None:
            for frame in output.mel.unbind(1):
                on_frames(frame[:, None])
        return output._replace(stopped_by=["limit" if cut else "stop" for cut in (wanted > limit).tolist()])


STOP_LOGIT = 20.0  # of a stop token that is sure


def planned_output(mel: Tensor, lengths: Tensor, weights: Tensor) -> Output:
    """Zeros after each row's end, and a stop token that says where that is. ``mel`` ``B T M``, ``weights`` ``B T S``."""
    past = padding_mask(lengths, mel.shape[1])[..., None]
    steps = torch.arange(mel.shape[1], device=lengths.device)[None]
    stop = torch.where(steps < lengths[:, None] - 1, -STOP_LOGIT, STOP_LOGIT).to(mel.dtype)
    return Output(mel.masked_fill(past, 0.0), lengths, stop, weights.masked_fill(past, 0.0))


def previous_frames(mel: Tensor, reduction: int) -> Tensor:
    """What each step is fed in training: the last frame of the group before, zeros for the first. ``B T M`` -> ``B T/r M``."""
    groups = -(-mel.shape[1] // reduction)
    last = mel[:, reduction - 1 :: reduction][:, : groups - 1]
    return torch.cat([mel.new_zeros(mel.shape[0], 1, mel.shape[2]), last], 1)


DECODERS: Registry[Decoder] = Registry("decoder", Decoder, wired=("memory_dim", "n_mels", "attention", "reduction"))
