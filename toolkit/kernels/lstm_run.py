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

from toolkit.kernels.cuda_graphs import Places
from toolkit.kernels.products import Product, transposed_product
from toolkit.nn.zoneout import ZoneoutLSTMCell

CHUNK_ROWS = 512  # steps times batch of the products outside the loop
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


class Weights(NamedTuple):
    """Of an LSTM cell, gates in torch's order; ``bias`` is the sum of torch's two."""

    input: Tensor  # 4H E+I
    hidden: Tensor  # 4H H
    bias: Tensor  # 4H

    @classmethod
    def of(cls, cell: ZoneoutLSTMCell) -> Weights:
        """Those of a cell."""
        return cls(cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)


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
        replayed: steps that are replayed together, 0 where none are.
    """

    def __init__(
        self, weights: Weights, known: Sequence[Tensor], fed: int, keep: Keep, steps: int, rows: int,
        low: torch.dtype | None, record: bool, replayed: int,
    ) -> None:  # fmt: skip
        self.known, self.fed, self.keep, self.low, self.record = known, fed, keep, low, record
        self.places = Places(replayed)
        self.units, self.bias, new = weights.hidden.shape[1], weights.bias, weights.hidden.new_empty
        outside, inside = torch.split(weights.input, [weights.input.shape[1] - fed, fed], 1)
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
        gates = held if self.low is None else held.new_empty(held.shape, dtype=torch.float32)
        flat = gates.flatten(0, 1)
        if not self.known:
            flat.copy_(self.bias.expand_as(flat))
        elif self.low is None:
            torch.addmm(self.bias, _known(self.known, start, stop, None), self.outside, out=flat)
        else:
            torch.add(self.bias, _known(self.known, start, stop, self.low) @ self.outside, out=flat)
        take = self.places.take
        self.gates = take("gates", gates)
        self.inputs = take("inputs", self.trace.inputs[start : stop + 1])
        self.cells = take("cells", self.trace.cells[start : stop + 1])
        kept = self.keep.chunk(start, stop, self.trace.cells)
        self.kept = None if kept is None else (take("kept hidden", kept[0]), take("kept cell", kept[1]))

    def feed(self, t: int) -> Tensor:
        """``B I``, for the loop to write what step t of this chunk, or the step after it, is fed."""
        return self.inputs[t - self.start][:, : self.fed]

    def hidden(self, t: int) -> Tensor:
        """h before step t, ``B H``."""
        return self.inputs[t - self.start][:, self.fed :]

    def step(self, t: int) -> Tensor:
        """The new hidden state ``B H``, a view of the inputs."""
        units, k = self.units, t - self.start
        gates = self.gates[k]
        gates += self.inside(self.inputs[k])
        gates[:, : 2 * units].sigmoid_()
        gates[:, 2 * units : 3 * units].tanh_()
        gates[:, 3 * units :].sigmoid_()
        entry, forget, candidate, output = gates.chunk(4, 1)
        cell, hidden = self.cells[k + 1], self.hidden(t + 1)
        torch.mul(forget, self.cells[k], out=cell).addcmul_(entry, candidate)
        torch.mul(output, torch.tanh(cell), out=hidden)
        if self.kept is not None:
            hidden.lerp_(self.hidden(t), self.kept[0][k])
            cell.lerp_(self.cells[k], self.kept[1][k])
        return hidden

    def close(self) -> None:
        """End the chunk."""
        self.places.back("inputs", "cells")
        if self.record and (self.low is not None or self.places.replayed):
            self.trace.gates[self.start : self.stop].copy_(self.gates)

    def changed(self) -> list[Tensor]:
        """What the steps of a chunk both read and change."""
        return [self.gates]


class LstmBackward:
    """The steps in reverse: ``open`` a chunk, ``step`` down through it, ``close`` it; ``finish`` after the last one.

    ``weights`` and ``known`` hold the gradients in the shapes of those of the forward pass.
    """

    def __init__(
        self, weights: Weights, known: Sequence[Tensor], fed: int, keep: Keep, trace: Trace, low: torch.dtype | None, replayed: int
    ) -> None:
        self.places = Places(replayed)
        self.inputs, self.gates, self.cells = trace
        self.values, self.keep, self.low, self.fed = known, keep, low, fed
        self.units, self.outer = weights.hidden.shape[1], weights.input.shape[1] - fed
        outside, inside = torch.split(weights.input, [self.outer, fed], 1)
        self.outside = outside if low is None else outside.to(low)
        self.inside = Product(torch.cat([inside, weights.hidden], 1).t(), self.inputs.shape[1], low)
        self.weights = Weights(*(torch.zeros_like(weight) for weight in weights))
        self.known = [torch.empty_like(value, memory_format=torch.contiguous_format) for value in known]
        self.into_cell = torch.zeros_like(self.cells[0])
        self.all_slopes = None if low is None else torch.empty_like(self.gates)

    def open(self, start: int, stop: int) -> None:
        """Begin a chunk of steps: the derivatives of everything in it that is known before the loop.

        ``slopes`` has the layout of the gates: times the gradient of the new c (of the new h in the last quarter) it becomes
        the gradient before the nonlinearity. A sigmoid's gradient is g y (1 - y), that of a tanh g (1 - y y).
        """
        self.start, self.stop = start, stop
        gates, before = self.gates[start:stop].float(), self.cells[start:stop]
        entry, forget, candidate, output = gates.chunk(4, 2)
        squashed = torch.addcmul(forget * before, entry, candidate).tanh_()
        slopes = torch.empty_like(gates)
        to_entry, to_forget, to_candidate, to_output = slopes.chunk(4, 2)
        _sigmoid_backward(candidate, entry, grad_input=to_entry)
        _sigmoid_backward(before, forget, grad_input=to_forget)
        _tanh_backward(entry, candidate, grad_input=to_candidate)
        _sigmoid_backward(squashed, output, grad_input=to_output)
        through_tanh = _tanh_backward(output, squashed, grad_input=squashed)
        take, kept = self.places.take, self.keep.chunk(start, stop, self.cells)
        if kept is not None:
            renewed = 1 - kept[0]
            to_output *= renewed
            through_tanh *= renewed
            self.renewed_cell = take("renewed cell", 1 - kept[1])
        self.kept = None if kept is None else (take("kept hidden", kept[0]), take("kept cell", kept[1]))
        self.slopes, self.through_tanh = take("slopes", slopes), take("through tanh", through_tanh)
        self.forget = take("forget", forget)

    def step(self, t: int, into_hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the hidden state of step t ``B H`` -> those of what the loop fed ``B I`` and of the state before ``B H``."""
        k, units = t - self.start, self.units
        slopes = self.slopes[k]
        new_cell = self.into_cell if self.kept is None else self.into_cell * self.renewed_cell[k]
        new_cell = torch.addcmul(new_cell, into_hidden, self.through_tanh[k])
        slopes.view(-1, 4, units)[:, :3] *= new_cell[:, None]
        slopes[:, 3 * units :] *= into_hidden
        if self.kept is None:
            torch.mul(new_cell, self.forget[k], out=self.into_cell)
        else:
            self.into_cell.mul_(self.kept[1][k]).addcmul_(new_cell, self.forget[k])
        fed, before = torch.split(self.inside(slopes).float(), [self.fed, units], 1)
        if self.kept is not None:
            before.addcmul_(into_hidden, self.kept[0][k])
        return fed, before

    def close(self) -> None:
        """End the chunk. Its part of the gradients is a product each; in lower precision ``finish`` makes one of all chunks."""
        self.weights.bias.add_(self.slopes.flatten(0, 1).sum(0))
        if self.all_slopes is None:
            self._add_products(self.slopes, self.start, self.stop)
        else:
            self.all_slopes[self.start : self.stop] = self.slopes

    def changed(self) -> list[Tensor]:
        """What the steps of a chunk both read and change."""
        return [self.slopes, self.into_cell]

    def finish(self) -> None:
        """After the last chunk: ``weights`` and ``known`` are complete."""
        if self.all_slopes is not None:
            self._add_products(self.all_slopes, 0, len(self.all_slopes))

    def _add_products(self, slopes: Tensor, start: int, stop: int) -> None:
        looped = self.inputs[start:stop].to(slopes.dtype).flatten(0, 1)
        slopes = slopes.flatten(0, 1)
        transposed_product(slopes, looped[:, : self.fed], self.weights.input[:, self.outer :])
        transposed_product(slopes, looped[:, self.fed :], self.weights.hidden)
        if self.values:
            transposed_product(slopes, _known(self.values, start, stop, self.low), self.weights.input[:, : self.outer])
            into_known = (slopes @ self.outside).view(stop - start, -1, self.outer)
            for gradient, part in zip(self.known, torch.split(into_known, [value.shape[2] for value in self.values], 2), strict=True):
                gradient[start:stop] = part
