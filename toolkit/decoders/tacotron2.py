"""The recurrent decoder of Tacotron 2.

::

    frame t-1 -> prenet --+-> [LSTM 1] -> query -> attention -> context
    context t-1 ----------+       |                                |
                                  +--> [LSTM 2] <------------------+
                                          |                        |
                                          +--> [h2 ; context] -> frames t, stop t
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import Attention
from toolkit.decoders.base import DECODERS, Output, StepDecoder, Targets
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.nn.prenet import Prenet
from toolkit.nn.zoneout import State as CellState
from toolkit.nn.zoneout import ZoneoutLSTMCell
from toolkit.registry import Part


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
        wiring: ``nvidia``: LSTM 1 reads [prenet; previous context] and gives the query, LSTM 2 reads [h1; context].
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
        if wiring != "nvidia":
            raise ConfigError(f"wiring: unknown, got {wiring!r}; known: nvidia")
        self.n_mels, self.reduction, self.units = n_mels, reduction, lstm
        self.prenet = Prenet(n_mels, prenet, prenet_dropout)
        self.attention = attention.build(memory_dim=memory_dim, query_dim=lstm, output_dim=self.prenet.out_dim)
        self.first = ZoneoutLSTMCell(self.prenet.out_dim + memory_dim, lstm, zoneout)
        self.second = ZoneoutLSTMCell(lstm + memory_dim, lstm, zoneout)
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
        state = self.start(memory, mask, noise, self.reduction, hard)
        previous = previous_frames(targets.mel, self.reduction)  # B T/r M
        prenet = self.prenet(previous, noise, 0)
        features: list[Tensor] = []
        weights: list[Tensor] = []
        for t in range(previous.shape[1]):
            row = prenet[:, t]
            if teacher < 1.0 and t > 0:
                row = self._mixed(previous[:, t], features[-1], state, teacher)
            feature, weight, state = self._recur(row, state)
            features.append(feature)
            weights.append(weight)
        frames, stop_logits = self._project(torch.stack(features, 1), self.reduction)
        return Output(frames[:, : targets.mel.shape[1]], targets.lengths, stop_logits, torch.stack(weights, 1))

    def _recur(self, prenet: Tensor, state: Tacotron2State, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tacotron2State]:
        """Prenet output ``B P`` -> features for the projections ``B H+D``, weights ``B S``, state."""
        first_draws, second_draws = self._zoneout_draws(prenet.shape[0], state)
        first = self.first(torch.cat([prenet, state.context], 1), state.first, first_draws)
        context, weights, attention = self.attention(first[0], prenet, state.attention, allowed)
        second = self.second(torch.cat([first[0], context], 1), state.second, second_draws)
        state = Tacotron2State(first, second, context, attention, state.position + 1, state.noise, state.reduction)
        return torch.cat([second[0], context], 1), weights, state

    def _zoneout_draws(self, rows: int, state: Tacotron2State) -> tuple[Tensor | None, Tensor | None]:
        if state.noise is None or not self.training or not self.first.zoneout:
            return None, None
        draws = state.noise.uniform("zoneout", state.position, 1, rows, 4 * self.units)[:, 0]
        return draws[:, : 2 * self.units], draws[:, 2 * self.units :]

    def _mixed(self, true: Tensor, feature: Tensor, state: Tacotron2State, teacher: float) -> Tensor:
        """Prenet output of the true previous frame or, in the share of rows without a teacher, of the predicted one."""
        predicted = self._project(feature[:, None], self.reduction)[0][:, -1]
        draws = (
            true.new_ones(len(true), 1) if state.noise is None else state.noise.uniform("teacher", state.position, 1, len(true), 1)[:, 0]
        )
        row: Tensor = self.prenet(torch.where(draws < teacher, true, predicted)[:, None], state.noise, state.position)
        return row[:, 0]

    def _project(self, features: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
        """Features ``B T/r H+D`` -> frames ``B T M``, stop logits ``B T/r``."""
        rows, steps, _ = features.shape
        frames = self.frames(features).view(rows, steps, self.reduction, self.n_mels)[:, :, :reduction]
        return frames.reshape(rows, steps * reduction, self.n_mels), self.stop(features).squeeze(2)


def previous_frames(mel: Tensor, reduction: int) -> Tensor:
    """What each step is fed in training: the last frame of the group before, zeros for the first. ``B T M`` -> ``B T/r M``."""
    groups = -(-mel.shape[1] // reduction)
    last = mel[:, reduction - 1 :: reduction][:, : groups - 1]
    return torch.cat([mel.new_zeros(mel.shape[0], 1, mel.shape[2]), last], 1)
