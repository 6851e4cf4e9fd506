"""The self-attending decoder of Transformer TTS.

::

    frame t-1 -> prenet -> linear -> + positions -> [ self-attention over frames before t   ]
                                                    [ attention over the memory             ] x layers -> frames t, stop t
                                                    [ feed-forward                          ]
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from toolkit.decoders.base import DECODERS, Output, StepDecoder, Targets, previous_frames
from toolkit.errors import ConfigError
from toolkit.nn.multi_head_attention import KeysValues, MultiHeadAttention
from toolkit.nn.noise import Noise
from toolkit.nn.positions import Positions
from toolkit.nn.prenet import Prenet
from toolkit.nn.residual import FeedForward, Residual


class TransformerState(NamedTuple):
    """Everything that one step hands to the next: keys and values of each layer, so that a step looks back without repeating any."""

    memory: tuple[KeysValues, ...]  # of the symbols
    past: tuple[KeysValues, ...]  # of the steps so far
    mask: Tensor  # B S
    position: int  # of the step, the address of its random draws
    noise: Noise | None
    reduction: int


class TransformerDecoderLayer(nn.Module):
    """Self-attention, attention over the memory, feed-forward, each with its residual (Vaswani et al. 2017, section 3.1)."""

    def __init__(
        self, memory_dim: int, units: int, heads: int, feed_forward: int, dropout: float, attention_dropout: float, norm: str
    ) -> None:
        super().__init__()
        self.past, self.around_past = MultiHeadAttention(units, heads, attention_dropout), Residual(units, dropout, norm)
        self.memory = MultiHeadAttention(units, heads, attention_dropout, memory_dim)
        self.around_memory = Residual(units, dropout, norm)
        self.feed_forward, self.around_feed_forward = FeedForward(units, feed_forward, dropout), Residual(units, dropout, norm)

    def forward(
        self, x: Tensor, memory: KeysValues, hidden: Tensor, past: KeysValues | None, weighed: bool
    ) -> tuple[Tensor, Tensor | None, KeysValues]:
        """All steps at once, or the next one.

        Args:
            x: ``B T D``; one step where there is a ``past``.
            memory: keys and values of the symbols.
            hidden: bool ``B 1 1 S``, True where a symbol is not looked at.
            past: of the steps before, None where x begins.
            weighed: hand back the weights over the symbols.

        Returns:
            ``B T D``, weights ``B H T S`` or None, keys and values of the steps up to these.
        """
        entered = self.around_past.enter(x)
        known = self.past.known(entered)
        steps = known if past is None else past.then(known)
        x = self.around_past.leave(x, self.past.attend(entered, steps, causal=past is None))
        entered, weights = self.around_memory.enter(x), None
        if weighed:
            made, weights = self.memory.weigh(entered, memory, hidden)
        else:
            made = self.memory.attend(entered, memory, hidden)
        x = self.around_memory.leave(x, made)
        x = self.around_feed_forward.leave(x, self.feed_forward(self.around_feed_forward.enter(x)))
        return x, weights, steps


@DECODERS.register("transformer")
class TransformerDecoder(StepDecoder):
    """Prenet, layers that attend to earlier frames and to the text, linear projections (Li et al. 2019, Transformer TTS, section 3).

    It attends by itself: no ``attention`` part is built. Training takes all frames at once; synthesis takes them one by one and
    keeps keys and values of those before. The alignments that losses, pictures and measures of alignment see are the mean of the
    weights of the first ``aligned_heads`` heads in each of the last ``aligned_layers`` layers. Guided attention shapes those and
    leaves the others free; it is the mean of each head's own, since it is linear in the weights. Both defaults are ESPnet's.

    Args:
        units: width of every layer; even.
        heads: of both attentions, a divisor of ``units``.
        layers: of self-attention, attention and feed-forward.
        feed_forward: width inside the feed-forward layers.
        dropout: after positions, attentions, activations and feed-forward, in training.
        attention_dropout: on the weights of both attentions, in training.
        prenet: widths of the prenet's layers.
        prenet_dropout: stays on at synthesis, as in Tacotron 2.
        positions: ``scaled`` by a trained alpha, as published, or ``absolute``.
        norm: layer norm ``before`` each block, or ``after`` its sum, as published, which wants a schedule with warm-up.
        aligned_heads, aligned_layers: whose weights are the alignments; where there are fewer, all.
    """

    def __init__(
        self,
        memory_dim: int,
        n_mels: int,
        reduction: int,
        *,
        units: int = 512,
        heads: int = 8,
        layers: int = 6,
        feed_forward: int = 2048,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        prenet: tuple[int, ...] = (256, 256),
        prenet_dropout: float = 0.5,
        positions: str = "scaled",
        norm: str = "before",
        aligned_heads: int = 2,
        aligned_layers: int = 2,
    ) -> None:
        super().__init__()
        for name, value in {"layers": layers, "aligned_heads": aligned_heads, "aligned_layers": aligned_layers}.items():
            if value < 1:
                raise ConfigError(f"{name}: must be at least 1, got {value}")
        self.n_mels, self.reduction = n_mels, reduction
        self.aligned_heads, self.aligned_from = aligned_heads, layers - min(layers, aligned_layers)
        self.prenet = Prenet(n_mels, prenet, prenet_dropout)
        self.centre = nn.Linear(self.prenet.out_dim, units)  # of what ReLU left positive, as sinusoids are (section 3.4)
        self.positions = Positions(units, positions, dropout)
        self.layers = nn.ModuleList(
            TransformerDecoderLayer(memory_dim, units, heads, feed_forward, dropout, attention_dropout, norm) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(units) if norm == "before" else nn.Identity()
        self.frames = nn.Linear(units, n_mels * reduction)
        self.stop = nn.Linear(units, 1)

    def start(self, memory: Tensor, mask: Tensor, noise: Noise | None, reduction: int, hard: bool = False) -> TransformerState:
        known = tuple(layer.memory.known(memory) for layer in self._each())
        past = tuple(KeysValues(keys[:, :, :0], values[:, :, :0]) for keys, values in known)
        return TransformerState(known, past, mask, 0, noise, reduction)

    def step(
        self, frame: Tensor, state: TransformerState, allowed: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, TransformerState]:
        mask = state.mask if allowed is None else state.mask | ~allowed
        frames, stop_logits, weights, past = self._run(frame[:, None], state._replace(mask=mask), state.past)
        return frames, stop_logits[:, 0], weights[:, 0], state._replace(past=past, position=state.position + 1)

    def forward(
        self, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, teacher: float = 1.0, hard: bool = False
    ) -> Output:
        state = self.start(memory, mask, noise, self.reduction, hard)
        previous = previous_frames(targets.mel, self.reduction)  # B T/r M
        if teacher < 1.0:
            frames, stop_logits, weights = self.sampled(previous, state, teacher)
        else:
            frames, stop_logits, weights, _ = self._run(previous, state, None)
        return Output(frames[:, : targets.mel.shape[1]], targets.lengths, stop_logits, weights)

    def _run(
        self, previous: Tensor, state: TransformerState, past: tuple[KeysValues, ...] | None
    ) -> tuple[Tensor, Tensor, Tensor, tuple[KeysValues, ...]]:
        """Last frames ``B T/r M`` -> frames ``B T M``, stop logits ``B T/r``, alignments ``B T/r S``, keys and values of all steps."""
        x = self.positions(self.centre(self.prenet(previous, state.noise, state.position)), state.position)
        hidden, aligned, known = state.mask[:, None, None], list[Tensor](), list[KeysValues]()
        for index, layer in enumerate(self._each()):
            before = None if past is None else past[index]
            x, weights, steps = layer(x, state.memory[index], hidden, before, index >= self.aligned_from)
            known.append(steps)
            if weights is not None:
                aligned.append(weights[:, : self.aligned_heads].mean(1))
        x = self.norm(x)
        rows, steps_made, _ = x.shape
        frames = self.frames(x).view(rows, steps_made, -1, self.n_mels)[:, :, : state.reduction]
        frames = frames.reshape(rows, steps_made * state.reduction, self.n_mels)
        return frames, self.stop(x).squeeze(2), torch.stack(aligned).mean(0), tuple(known)

    def _each(self) -> list[TransformerDecoderLayer]:
        return cast(list[TransformerDecoderLayer], list(self.layers))
