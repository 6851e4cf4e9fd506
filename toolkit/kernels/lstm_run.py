"""An LSTM with zoneout over many steps, forward and backward, for loops that feed it step by step.

Plain twin: ``toolkit.nn.zoneout.ZoneoutLSTMCell``. What does not depend on the step before is computed for a chunk of steps
at once: the product of the inputs that are known beforehand, the derivatives of the gates, the gradients of the weights.
Inside the loop remain one product with a matrix that is packed once, and a few operations on ``B H``.

Layout, time first::

    inputs   row t:  [ fed by the loop at t (I) | h of step t-1 (H) ]      T+1 rows of B x (I+H); row 0 starts with h = 0
    gates    row t:  [ input | forget | candidate | output ] after their nonlinearity, T rows of B x 4H
    cells    row t:  c of step t-1                                          T+1 rows of B x H
    weights  input 4H x (E+I), hidden 4H x H; E columns for the known inputs, I for what the loop feeds

    step t:  gates = known inputs of t + [inputs row t] @ [input[:, E:] | hidden].T  ->  h to inputs row t+1, c to cells row t+1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.kernels.products import Product, transposed_product

CHUNK_ROWS = 512  # steps times batch of the products outside the loop


class Weights(NamedTuple):
    """Of an LSTM cell; ``bias`` is the sum of torch's two."""

    input: Tensor  # 4H E+I
    hidden: Tensor  # 4H H
    bias: Tensor  # 4H


class Trace(NamedTuple):
    """What the steps leave behind, laid out as in the drawing above."""

    inputs: Tensor  # T+1 B I+H
    gates: Tensor  # T B 4H; of the last chunk only where no gradient is wanted
    cells: Tensor  # T+1 B H


class Keep:
    """Which units keep their previous value: ``draws`` bool ``T B 2H`` for h and c, or the expectation ``probability``."""

    def __init__(self, draws: Tensor | None, probability: float) -> None:
        self.draws, self.probability = draws, probability

    def chunk(self, start: int, stop: int, like: Tensor) -> tuple[Tensor, Tensor] | None:
        """Shares in [0, 1] of the previous h and c, each ``steps B H``; None where nothing is ever kept."""
        if not self.probability:
            return None
        if self.draws is not None:
            hidden, cell = self.draws[start:stop].to(like.dtype).chunk(2, 2)
            return hidden, cell
        share = like.new_tensor(self.probability).expand(stop - start, *like.shape[1:])
        return share, share


def chunk_length(rows: int) -> int:
    """Steps that are worked on at once."""
    return max(1, CHUNK_ROWS // rows)


def _known(known: Sequence[Tensor], start: int, stop: int, low: torch.dtype | None) -> Tensor:
    """The inputs that are known beforehand, of a chunk of steps: ``steps*B E``."""
    joined = torch.cat([tensor[start:stop] for tensor in known], 2).flatten(0, 1)
    return joined if low is None else joined.to(low)


class LstmForward:
    """The steps in order: ``open`` a chunk, ``step`` through it, ``close`` it.

    Args:
        weights: of the cell.
        known: inputs that are known beforehand, each ``T B *``, ``E`` columns together.
        fed: width I of what the loop writes into ``trace.inputs`` before each step.
        keep: zoneout.
        steps, rows: T and B.
        low: data type of the factors of all products, None for float32.
        record: keep the gates of all steps for the backward pass.
    """

    def __init__(
        self, weights: Weights, known: Sequence[Tensor], fed: int, keep: Keep, steps: int, rows: int, low: torch.dtype | None, record: bool
    ) -> None:
        self.known, self.fed, self.keep, self.low, self.record = known, fed, keep, low, record
        self.units, self.bias, new = weights.hidden.shape[1], weights.bias, weights.hidden.new_empty
        outside, inside = weights.input.split([weights.input.shape[1] - fed, fed], 1)
        self.outside = outside.t() if low is None else outside.t().to(low)
        self.inside = Product(torch.cat([inside, weights.hidden], 1), rows, low)
        held = steps if record else min(steps, chunk_length(rows))
        self.trace = Trace(
            new(steps + 1, rows, fed + self.units), new(held, rows, 4 * self.units, dtype=low), new(steps + 1, rows, self.units)
        )
        self.trace.inputs[0].zero_()
        self.trace.inputs[-1].zero_()
        self.trace.cells[0].zero_()

    def open(self, start: int, stop: int) -> None:
        """Begin a chunk of steps."""
        self.start, self.stop = start, stop
        first = start if self.record else 0
        held = self.trace.gates[first : first + stop - start]
        self.gates = held if self.low is None else held.new_empty(held.shape, dtype=torch.float32)
        flat = self.gates.flatten(0, 1)
        if not self.known:
            flat.copy_(self.bias.expand_as(flat))
        elif self.low is None:
            torch.addmm(self.bias, _known(self.known, start, stop, None), self.outside, out=flat)
        else:
            torch.add(self.bias, _known(self.known, start, stop, self.low) @ self.outside, out=flat)
        self.kept = self.keep.chunk(start, stop, self.trace.cells)

    def step(self, t: int) -> Tensor:
        """The new hidden state ``B H``, a view of ``trace.inputs``; row t of that holds what this step is fed."""
        units, (inputs, _, cells) = self.units, self.trace
        gates = self.gates[t - self.start]
        gates += self.inside(inputs[t])
        gates[:, : 2 * units].sigmoid_()
        gates[:, 2 * units : 3 * units].tanh_()
        gates[:, 3 * units :].sigmoid_()
        entry, forget, candidate, output = gates.chunk(4, 1)
        cell, hidden = cells[t + 1], inputs[t + 1][:, self.fed :]
        torch.mul(forget, cells[t], out=cell).addcmul_(entry, candidate)
        torch.mul(output, torch.tanh(cell), out=hidden)
        if self.kept is not None:
            hidden.lerp_(inputs[t][:, self.fed :], self.kept[0][t - self.start])
            cell.lerp_(cells[t], self.kept[1][t - self.start])
        return hidden

    def close(self) -> None:
        """End the chunk."""
        if self.low is not None and self.record:
            self.trace.gates[self.start : self.stop].copy_(self.gates)


class LstmBackward:
    """The steps in reverse: ``open`` a chunk, ``step`` down through it, ``close`` it, which adds to the gradients.

    ``weights`` and ``known`` hold the gradients in the shapes of those of the forward pass.
    """

    def __init__(
        self, weights: Weights, known: Sequence[Tensor], fed: int, keep: Keep, trace: Trace, low: torch.dtype | None
    ) -> None:
        self.inputs, self.gates, self.cells = trace
        self.values, self.keep, self.low, self.fed = known, keep, low, fed
        self.units, self.outer = weights.hidden.shape[1], weights.input.shape[1] - fed
        outside, inside = weights.input.split([self.outer, fed], 1)
        self.outside = outside if low is None else outside.to(low)
        self.inside = Product(torch.cat([inside, weights.hidden], 1).t(), self.inputs.shape[1], low)
        self.weights = Weights(*(torch.zeros_like(weight) for weight in weights))
        self.known = [torch.empty_like(value, memory_format=torch.contiguous_format) for value in known]
        self.into_cell = torch.zeros_like(self.cells[0])

    def open(self, start: int, stop: int) -> None:
        """Begin a chunk of steps: the derivatives of everything in it that is known before the loop.

        ``slopes`` has the layout of the gates: times the gradient of the new c (of the new h in the last quarter) it becomes
        the gradient before the nonlinearity.
        """
        self.start, self.stop = start, stop
        entry, forget, candidate, output = self.gates[start:stop].float().chunk(4, 2)
        before = self.cells[start:stop]
        squashed = torch.tanh(forget * before + entry * candidate)
        self.slopes = torch.empty_like(self.gates[start:stop], dtype=torch.float32)
        to_entry, to_forget, to_candidate, to_output = self.slopes.chunk(4, 2)
        torch.mul(candidate, entry, out=to_entry).mul_(1 - entry)
        torch.mul(before, forget, out=to_forget).mul_(1 - forget)
        torch.mul(entry, 1 - candidate * candidate, out=to_candidate)
        torch.mul(squashed, output, out=to_output).mul_(1 - output)
        self.through_tanh = squashed.square_().neg_().add_(1).mul_(output)
        self.forget = forget
        self.kept = self.keep.chunk(start, stop, self.cells)
        if self.kept is not None:
            renewed = 1 - self.kept[0]
            to_output *= renewed
            self.through_tanh *= renewed
            self.renewed_cell = 1 - self.kept[1]

    def step(self, t: int, into_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the hidden state of step t ``B H`` -> those of what the loop fed ``B I`` and of the state before ``B H``."""
        k, units = t - self.start, self.units
        slopes = self.slopes[k]
        new_cell = self.into_cell if self.kept is None else self.into_cell * self.renewed_cell[k]
        new_cell = torch.addcmul(new_cell, into_hidden, self.through_tanh[k])
        slopes.view(-1, 4, units)[:, :3] *= new_cell[:, None]
        slopes[:, 3 * units :] *= into_hidden
        if self.kept is None:
            self.into_cell = new_cell * self.forget[k]
        else:
            self.into_cell = (self.into_cell * self.kept[1][k]).addcmul_(new_cell, self.forget[k])
        fed, before = self.inside(slopes).float().split([self.fed, units], 1)
        if self.kept is not None:
            before.addcmul_(into_hidden, self.kept[0][k])
        return fed, before

    def close(self) -> None:
        """End the chunk: its part of the gradients of weights and known inputs, a product for each."""
        start, stop = self.start, self.stop
        slopes = self.slopes.flatten(0, 1)
        self.weights.bias.add_(slopes.sum(0))
        looped = self.inputs[start:stop].flatten(0, 1)
        if self.low is not None:
            slopes, looped = slopes.to(self.low), looped.to(self.low)
        transposed_product(slopes, looped[:, : self.fed], self.weights.input[:, self.outer :])
        transposed_product(slopes, looped[:, self.fed :], self.weights.hidden)
        if self.values:
            transposed_product(slopes, _known(self.values, start, stop, self.low), self.weights.input[:, : self.outer])
            into_known = (slopes @ self.outside).view(stop - start, -1, self.outer)
            for gradient, part in zip(self.known, into_known.split([value.shape[2] for value in self.values], 2), strict=True):
                gradient[start:stop] = part
