"""Free running of a decoder in blocks of steps that never wait for the device, so that on a GPU a block is one CUDA graph.

Plain twin: ``StepDecoder.generate``, which asks after every step whether a row still speaks. Here that is asked once a block, and
steps after the last row's end are thrown away. All state stays in the tensors that ``start`` gave::

    state, last frame, who speaks ---> [ step 0, step 1, ... step n-1 ] ---> frames, stops, weights of n steps
                 ^                                 ^                    |
                 +------------- copied back -------|--------------------+
                                 draws of the block, filled in before it runs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from toolkit.decoders.base import Output, StepDecoder, StopRule
from toolkit.kernels.cuda_graphs import Replay
from toolkit.nn.attention_window import attended
from toolkit.nn.noise import Noise

STEPS = 16  # of a block


class HeldNoise(Noise):
    """Draws of one block of positions, 0 .. ``count``, in tensors that ``fill`` overwrites with those of another block."""

    def __init__(self, noise: Noise, count: int) -> None:
        super().__init__(noise.streams, noise.shared, noise.device)
        self.noise, self.count, self.first = noise, count, 0
        self._held: dict[tuple[str, str, int, int], tuple[Callable[..., Tensor], Tensor]] = {}

    def fill(self, first: int) -> None:
        """Hold the draws of positions ``first`` .. ``first + count`` under every name that was asked for so far."""
        self.first = first
        for (law, name, rows, width), (draw, held) in self._held.items():
            held.copy_(self.noise._draws(law, draw, name, first, self.count, rows, width))

    def _draws(self, law: str, draw: Callable[..., Tensor], name: str, start: int, count: int, rows: int, width: int) -> Tensor:
        key = (law, name, rows, width)
        if key not in self._held:  # before a graph is captured, since that begins with plain calls
            self._held[key] = draw, self.noise._draws(law, draw, name, self.first, self.count, rows, width).clone()
        return self._held[key][1][:, start : start + count]


@torch.no_grad()
def generate(
    decoder: StepDecoder,
    memory: Tensor,
    mask: Tensor,
    limit: Tensor,
    stop_rule: StopRule,
    noise: Noise | None,
    on_frames: Callable[[Tensor], None] | None = None,
) -> Output:
    """The contract's ``generate``. ``step`` and the stop rule depend on nothing but their tensors and never wait for the device."""
    block = _Block(decoder, memory, mask, limit, stop_rule, noise)
    made: list[list[Tensor]] = [[], [], []]  # frames B r M, stop logits B and weights B S of each step
    speaking = bool(block.active.any())
    while speaking:
        block()
        longest, speaking = torch.stack([block.lengths.max(), block.active.any().to(block.lengths)]).tolist()
        count = -(-longest // decoder.reduction) - len(made[0])  # steps of this block that any row needs
        for kept, values in zip(made, (block.frames, block.stops, block.weights), strict=True):
            kept.extend(values[:count].clone())
        if on_frames is not None:
            for frames in made[0][-count:]:
                on_frames(frames)
    reasons = ["stop" if stopped else "limit" for stopped in block.by_rule.tolist()]
    mel, stops, weights = torch.cat(made[0], 1), torch.stack(made[1], 1), torch.stack(made[2], 1)
    return Output(mel, block.lengths, stops, weights, reasons)


class _Block:
    """The next steps of all rows. Rows that stopped are frozen at zero, as in the twin."""

    def __init__(self, decoder: StepDecoder, memory: Tensor, mask: Tensor, limit: Tensor, stop_rule: StopRule, noise: Noise | None) -> None:
        self.decoder, self.limit, self.stop_rule = decoder, limit, stop_rule
        self.noise = None if noise is None else HeldNoise(noise, STEPS)
        self.state = decoder.start(memory, mask, self.noise, decoder.reduction, hard=True)
        self.first = 0
        rows, new = len(memory), memory.new_zeros
        self.frame = new(rows, decoder.n_mels)
        self.active, self.lengths = limit > 0, torch.zeros_like(limit)
        self.by_rule, self.places = torch.zeros_like(self.active), torch.zeros_like(limit)
        self.frames, self.stops = new(STEPS, rows, decoder.reduction, decoder.n_mels), new(STEPS, rows)
        self.weights = new(STEPS, rows, memory.shape[1])
        self.held = [tensor.clone() for tensor in tensors(self.state)]  # of its own: one tensor may stand in a state twice
        self.state = replaced(self.state, iter(self.held))
        self.held += [self.frame, self.active, self.lengths, self.by_rule, self.places]
        self.run = Replay(self._steps, self.held, memory.device)

    def __call__(self) -> None:
        """Fill ``frames``, ``stops`` and ``weights`` with those of the next steps."""
        if self.noise is not None:
            self.noise.fill(self.first)
        self.run()
        self.first += STEPS

    def _steps(self) -> None:
        state, frame, active, lengths = self.state, self.frame, self.active, self.lengths
        by_rule, places, window = self.by_rule, self.places, self.decoder.window
        for step in range(STEPS):
            allowed = None if window is None else window.around(places, self.weights.shape[2])
            frames, stop_logit, weights, state = self.decoder.step(frame, state, allowed)
            places = attended(weights, places)
            frames = frames * active[:, None, None]
            frame = frames[:, -1]
            for buffer, value in ((self.frames, frames), (self.stops, stop_logit), (self.weights, weights * active[:, None])):
                buffer[step] = value
            stop = self.stop_rule(torch.sigmoid(stop_logit), weights, step)
            lengths = torch.where(active, torch.minimum(lengths + frames.shape[1], self.limit), lengths)
            by_rule = by_rule | (active & stop)
            active = active & ~stop & (lengths < self.limit)
        after = [*tensors(state), frame, active, lengths, by_rule, places]
        for held, value in zip(self.held, after, strict=True):
            if held is not value:
                held.copy_(value)


def tensors(state: Any) -> Iterator[Tensor]:
    """Those of a state, through tuples in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from tensors(part)


def replaced(state: Any, values: Iterator[Tensor]) -> Any:
    """The state with other tensors in the order of ``tensors``."""
    if isinstance(state, Tensor):
        return next(values)
    if not isinstance(state, tuple):
        return state
    parts = [replaced(part, values) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
