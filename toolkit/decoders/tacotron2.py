"""The recurrent decoder of Tacotron 2.

::

    frame t-1 -> prenet --+-> [LSTM 1] -> query -> attention -> context        wiring ``nvidia``
    context t-1 ----------+       |                                |
                                  +--> [LSTM 2] <------------------+
                                          |                        |
                                          +--> [h2 ; context] -> frames t, stop t
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import Attention
from toolkit.decoders import tacotron2_generation
from toolkit.decoders.base import DECODERS, Output, StepDecoder, StopAtProbability, StopRule, Targets, previous_frames
from toolkit.errors import ConfigError, nearest
from toolkit.kernels.lstm_run import Keep, Weights
from toolkit.kernels.teacher_forcing import Plan, attend_through, run_through
from toolkit.nn.additive_attention import AdditivePieces
from toolkit.nn.noise import Noise
from toolkit.nn.prenet import Prenet
from toolkit.nn.zoneout import State as CellState
from toolkit.nn.zoneout import ZoneoutLSTMCell
from toolkit.registry import Part

WIRINGS = ("espnet", "nvidia", "paper")
DRAWS_AT_ONCE = 16  # steps of zoneout


class Tacotron2State(NamedTuple):
    """Everything that one step hands to the next."""

    first: CellState  # attention LSTM, each B H
    second: CellState  # decoder LSTM, each B H
    context: Tensor  # B D
    attention: Any
    position: int  # of the step, the address of its random draws
    noise: Noise | None
    reduction: int


@DECODERS.register("tacotron2")
class Tacotron2Decoder(StepDecoder):
    """Prenet, two LSTMs with zoneout, attention, linear projections to frames and stop token (Tacotron 2, section 2.2).

    Args:
        prenet: widths of the prenet's layers.
        prenet_dropout: stays on at synthesis, as published.
        lstm: units H of each LSTM.
        zoneout: of both LSTMs; drawn in training, the expectation otherwise.
        wiring: what LSTM 1, the query and LSTM 2 see at step t; frames and stop come from [h2; context] of step t.
            ``paper``: [prenet; context t-1], h2, h1. LSTM 2 stands in the recurrence.
            ``nvidia``: [prenet; context t-1], h1, [h1; context t].
            ``espnet``: [prenet; context t], h1 of step t-1, h1.
    """

    def __init__(
        self,
        memory_dim: int,
        n_mels: int,
        attention: Part[Attention],
        reduction: int,
        *,
        prenet: tuple[int, ...] = (256, 256),
        prenet_dropout: float = 0.5,
        lstm: int = 1024,
        zoneout: float = 0.1,
        wiring: str = "nvidia",
    ) -> None:
        super().__init__()
        if wiring not in WIRINGS:
            raise ConfigError(f"wiring: unknown, got {wiring!r}; {nearest(wiring, WIRINGS)}")
        self.wiring = wiring
        self.n_mels, self.reduction, self.units = n_mels, reduction, lstm
        self.prenet = Prenet(n_mels, prenet, prenet_dropout)
        self.attention = attention.build(memory_dim=memory_dim, query_dim=lstm, output_dim=self.prenet.out_dim)
        self.first = ZoneoutLSTMCell(self.prenet.out_dim + memory_dim, lstm, zoneout)
        self.second = ZoneoutLSTMCell(lstm + memory_dim if wiring == "nvidia" else lstm, lstm, zoneout)
        self.frames = nn.Linear(lstm + memory_dim, n_mels * reduction)
        self.stop = nn.Linear(lstm + memory_dim, 1)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, reduction: int, hard: bool = False) -> Tacotron2State:
        zeros = memory.new_zeros(memory.shape[0], self.units)
        context = memory.new_zeros(memory.shape[0], memory.shape[2])
        attention = self.attention.start(memory, mask, noise, hard)
        return Tacotron2State((zeros, zeros), (zeros, zeros), context, attention, 0, noise, reduction)

    def step(self, frame: Tensor, state: Tacotron2State, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tacotron2State]:
        prenet = self.prenet(frame[:, None], state.noise, state.position)[:, 0]
        features, weights, state = self._recur(prenet, state, allowed)
        frames, stop_logits = self._project(features[:, None], state.reduction)
        return frames, stop_logits[:, 0], weights, state

    def forward(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        attention = self.attention.start(memory, mask, noise, hard)
        pieces = self.attention.offered(attention)
        if pieces is None or teacher < 1.0 or self.frames.weight.dtype != torch.float32:
            return self.forward_plain(memory, mask, targets, noise, teacher, hard)
        return self._forward_fast(pieces, targets, noise)

    def forward_plain(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        """The same, step by step: the twin of the fast path, and what runs where there is none."""
        state = self.start(memory, mask, noise, self.reduction, hard)
        previous = previous_frames(targets.mel, self.reduction)  # B T/r M
        if teacher < 1.0:
            mel, stops, aligned = self.sampled(previous, state, teacher)
            return Output(mel[:, : targets.mel.shape[1]], targets.lengths, stops, aligned)
        features: list[Tensor] = []
        weights: list[Tensor] = []
        for row in self.prenet(previous, noise, 0).unbind(1):
            feature, weight, state = self._recur(row, state)
            features.append(feature)
            weights.append(weight)
        frames, stop_logits = self._project(torch.stack(features, 1), self.reduction)
        return Output(frames[:, : targets.mel.shape[1]], targets.lengths, stop_logits, torch.stack(weights, 1))

    def _forward_fast(self, pieces: AdditivePieces, targets: Targets, noise: Noise | None) -> Output:
        """All steps at once where they do not depend on each other, time first; the rest in ``kernels.teacher_forcing``."""
        previous = previous_frames(targets.mel, self.reduction)
        prenet = self.prenet(previous, noise, 0).transpose(0, 1).float()  # T/r B P
        first_keep, second_keep = self._keeps(prenet.shape[0], prenet.shape[1], noise)
        first, second = Weights.of(self.first), Weights.of(self.second)
        kind = pieces.memory.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        plan = Plan((first_keep,), low, torch.is_grad_enabled())
        pieces = pieces.in_float32()
        if self.wiring == "paper":
            plan = plan._replace(keeps=(first_keep, second_keep))
            top, contexts, weights = attend_through(plan, prenet, pieces, (first, second))
        else:
            plan = plan._replace(query_first=self.wiring == "espnet")
            hidden, contexts, weights = attend_through(plan, prenet, pieces, (first,))
            known = (hidden, contexts) if self.wiring == "nvidia" else (hidden,)
            top = run_through(plan._replace(keeps=(second_keep,)), known, second)
        features = torch.cat([top, contexts], 2)
        frames, stop_logits = self.frames(features).transpose(0, 1), self.stop(features).squeeze(2).transpose(0, 1)
        frames = frames.unflatten(2, (-1, self.n_mels))[:, :, : self.reduction].flatten(1, 2)
        return Output(frames[:, : targets.mel.shape[1]], targets.lengths, stop_logits, weights.transpose(0, 1))

    def _recur(self, prenet: Tensor, state: Tacotron2State, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tacotron2State]:
        """Prenet output ``B P`` -> features for the projections ``B H+D``, weights ``B S``, state."""
        first_draws, second_draws = self._zoneout_draws(prenet.shape[0], state)
        context, first, second = state.context, state.first, state.second
        if self.wiring == "espnet":
            context, weights, attention = self.attention(first[0], prenet, state.attention, allowed)
        first = self.first(torch.cat([prenet, context], 1), first, first_draws)
        if self.wiring == "nvidia":
            context, weights, attention = self.attention(first[0], prenet, state.attention, allowed)
        below = torch.cat([first[0], context], 1) if self.wiring == "nvidia" else first[0]
        second = self.second(below, second, second_draws)
        if self.wiring == "paper":
            context, weights, attention = self.attention(second[0], prenet, state.attention, allowed)
        state = Tacotron2State(first, second, context, attention, state.position + 1, state.noise, state.reduction)
        return torch.cat([second[0], context], 1), weights, state

    def _zoneout_draws(self, rows: int, state: Tacotron2State) -> tuple[Tensor | None, Tensor | None]:
        if state.noise is None or not self.training or not self.first.zoneout:
            return None, None
        draws = state.noise.uniform("zoneout", state.position, 1, rows, 4 * self.units)[:, 0]
        return draws[:, : 2 * self.units], draws[:, 2 * self.units :]

    def _keeps(self, steps: int, rows: int, noise: Noise | None) -> tuple[Keep, Keep]:
        """The same draws for all steps, of LSTM 1 and LSTM 2."""
        share, width = self.first.zoneout, 4 * self.units
        if noise is None or not self.training or not share:
            return Keep(None, share), Keep(None, share)
        draws = torch.empty(steps, rows, width, dtype=torch.bool, device=noise.device)
        for start in range(0, steps, DRAWS_AT_ONCE):
            count = min(DRAWS_AT_ONCE, steps - start)
            draws[start : start + count] = (noise.uniform("zoneout", start, count, rows, width) < share).transpose(0, 1)
        first, second = draws.chunk(2, 2)
        return Keep(first, share), Keep(second, share)

    def _project(self, features: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
        """Features ``B T/r H+D`` -> frames ``B T M``, stop logits ``B T/r``."""
        rows, steps, _ = features.shape
        frames = self.frames(features).view(rows, steps, -1, self.n_mels)[:, :, :reduction]
        return frames.reshape(rows, steps * reduction, self.n_mels), self.stop(features).squeeze(2)

    def path(self, memory: Tensor, mask: Tensor) -> str:
        if self.window is not None:
            return "torch: attention has a window"
        step = tacotron2_generation.native_step(self, memory, mask, None)
        return "torch" if step is None else f"native {self.execution.precision}"

    def generate(
        self,
        memory: Tensor,
        mask: Tensor,
        limit: Tensor,
        stop_rule: StopRule,
        noise: Noise | None,
        on_frames: Callable[[Tensor], None] | None = None,
    ) -> Output:
        native = tacotron2_generation.generate(self, memory, mask, limit, stop_rule, noise, on_frames)
        return super().generate(memory, mask, limit, stop_rule, noise, on_frames) if native is None else native

    def replayable(self, memory: Tensor, mask: Tensor, stop_rule: StopRule) -> bool:
        ours = type(self) is Tacotron2Decoder and type(stop_rule) is StopAtProbability
        return ours and self.attention.offered(self.attention.start(memory, mask, None, True)) is not None
