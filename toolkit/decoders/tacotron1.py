"""The recurrent decoder of Tacotron.

::

    last frame t-1 -> prenet --+-> [GRU] -> query -> attention -> context
    context t-1 ---------------+     |                               |
                                     +--> [linear] <-----------------+
                                             |
                                             +--> [GRU] -> + --> [GRU] -> + --> r frames t, stop t
                                             +------------>+------------->+
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from toolkit.attentions.base import Attention
from toolkit.decoders.base import DECODERS, Output, StepDecoder, Targets, previous_frames
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.nn.prenet import Prenet
from toolkit.registry import Part


class Tacotron1State(NamedTuple):
    """Everything that one step hands to the next."""

    query: Tensor  # attention GRU, B U
    above: tuple[Tensor, ...]  # residual GRUs, each 1 B U
    context: Tensor  # B D
    attention: Any
    position: int  # of the step, the address of its random draws
    noise: Noise | None
    reduction: int


@DECODERS.register("tacotron1")
class Tacotron1Decoder(StepDecoder):
    """Prenet, attention GRU, residual GRUs, several frames a step (Wang et al. 2017, Tacotron, section 3.3, table 1).

    Published with content attention and ``reduction`` 2. Two things are ours: the context of the step before also enters the
    attention GRU, as the source leaves open, and a stop token, in whose place the source learns silence after the end.

    Args:
        prenet: widths of the prenet's layers.
        prenet_dropout: of the prenet, in training.
        dropout_at_synthesis: keeps it on at synthesis, as Tacotron 2 does.
        units: U of every GRU and of the linear layer between attention and residual GRUs.
        layers: number of residual GRUs.
    """

    def __init__(
        self,
        memory_dim: int,
        n_mels: int,
        attention: Part[Attention],
        reduction: int,
        *,
        prenet: tuple[int, ...] = (256, 128),
        prenet_dropout: float = 0.5,
        dropout_at_synthesis: bool = False,
        units: int = 256,
        layers: int = 2,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"layers: residual GRUs, must be at least 1, got {layers}")
        self.n_mels, self.reduction, self.units, self.dropout_at_synthesis = n_mels, reduction, units, dropout_at_synthesis
        self.prenet = Prenet(n_mels, prenet, prenet_dropout)
        self.attention = attention.build(memory_dim=memory_dim, query_dim=units, output_dim=self.prenet.out_dim)
        self.query = nn.GRUCell(self.prenet.out_dim + memory_dim, units)
        self.join = nn.Linear(units + memory_dim, units)
        self.above = nn.ModuleList(nn.GRU(units, units, batch_first=True) for _ in range(layers))
        self.frames = nn.Linear(units, n_mels * reduction)
        self.stop = nn.Linear(units, 1)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, reduction: int, hard: bool = False) -> Tacotron1State:
        zeros = memory.new_zeros(memory.shape[0], self.units)
        context = memory.new_zeros(memory.shape[0], memory.shape[2])
        attention = self.attention.start(memory, mask, noise, hard)
        return Tacotron1State(zeros, tuple(zeros[None] for _ in self.above), context, attention, 0, noise, reduction)

    def step(self, frame: Tensor, state: Tacotron1State, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tacotron1State]:
        prenet = self._bottleneck(frame[:, None], state.noise, state.position)[:, 0]
        attended, weights, state = self._attend(prenet, state, allowed)
        features, above = self._refine(attended[:, None], state.above)
        frames, stop_logits = self._project(features, state.reduction)
        return frames, stop_logits[:, 0], weights, state._replace(above=above)

    def forward(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        state = self.start(memory, mask, noise, self.reduction, hard)
        previous = previous_frames(targets.mel, self.reduction)  # B T/r M
        if teacher < 1.0:
            frames, stop_logits, weights = self.sampled(previous, state, teacher)
            return Output(frames[:, : targets.mel.shape[1]], targets.lengths, stop_logits, weights)
        rows: list[Tensor] = []
        aligned: list[Tensor] = []
        for prenet in self._bottleneck(previous, noise, 0).unbind(1):  # the frames are known: only query and attention recur
            attended, weight, state = self._attend(prenet, state)
            rows.append(attended)
            aligned.append(weight)
        features, _ = self._refine(torch.stack(rows, 1), state.above)
        frames, stop_logits = self._project(features, self.reduction)
        return Output(frames[:, : targets.mel.shape[1]], targets.lengths, stop_logits, torch.stack(aligned, 1))

    def _bottleneck(self, frames: Tensor, noise: Noise | None, start: int) -> Tensor:
        """Prenet output ``B T P`` of frames ``B T M``."""
        prenet: Tensor = self.prenet(frames, noise if self.training or self.dropout_at_synthesis else None, start)
        return prenet

    def _attend(self, prenet: Tensor, state: Tacotron1State, allowed: Tensor | None = None) -> tuple[Tensor, Tensor, Tacotron1State]:
        """Prenet output ``B P`` -> [query; context] ``B U+D``, weights ``B S``, state. Nothing above it comes back here."""
        query = self.query(torch.cat([prenet, state.context], 1), state.query)
        context, weights, attention = self.attention(query, prenet, state.attention, allowed)
        state = state._replace(query=query, context=context, attention=attention, position=state.position + 1)
        return torch.cat([query, context], 1), weights, state

    def _refine(self, attended: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Linear layer and residual GRUs over ``B T/r U+D`` -> ``B T/r U``, and the GRUs' new states."""
        features = self.join(attended)
        new: list[Tensor] = []
        for layer, state in zip(self.above, states, strict=True):
            out, state = layer(features, state.to(features.dtype))  # which autocast may have lowered
            features = features + out
            new.append(state)
        return features, tuple(new)

    def _project(self, features: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
        """Features ``B T/r U`` -> frames ``B T M``, stop logits ``B T/r``."""
        rows, steps, _ = features.shape
        frames = self.frames(features).view(rows, steps, -1, self.n_mels)[:, :, :reduction]
        return frames.reshape(rows, steps * reduction, self.n_mels), self.stop(features).squeeze(2)
