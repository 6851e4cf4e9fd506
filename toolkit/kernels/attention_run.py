"""Additive attention over many steps, forward and backward, for loops that query it step by step.

Plain twins: ``forward`` of ``LocationSensitiveAttention``, ``ContentAttention`` and ``ForwardAttention``. The convolution over past
weights and the projection behind it are one matrix. The tanh of all symbols, the largest thing in an attention, is not stored but
computed again in the backward pass, for a chunk of steps at once, since it depends on nothing that the backward pass finds out.

Layout, with P = K // 2 zeros on both sides of the past::

    past     B C S+2P    0 0 | sum of weights of s = 0 .. S-1 | 0 0        windows(past): a view B S C K, nothing is copied
                         0 0 | weights of the last step       | 0 0        row s = what the kernel sees at symbol s

    gradient of the past, from the gradient of each window's taps (B S C K):

        tap k of symbol s came from place s + k, so it is written there, and the columns are summed

        skewed   B C K S+2P   row k:  k zeros | tap k of s = 0 .. S-1 | zeros      what is never written stays 0

Forward attention is a softmax too, of e + log r with r what the last weights have reached. So the gradient of r is that of e
divided by r, and the gradient of the last weights the sum of it at s and at s + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.kernels.cuda_graphs import Places
from toolkit.kernels.products import Product
from toolkit.nn.additive_attention import AdditivePieces
from toolkit.nn.attention_weights import at_first_symbol

TINY = torch.finfo(torch.float32).tiny
BLOCK_VALUES = 2**20  # of the tanh of a block of steps in the backward pass: what stays in a cache


class Trace(NamedTuple):
    """What the steps leave behind."""

    queries: Tensor  # T B A, projected
    weights: Tensor  # T B S
    sums: Tensor  # T B S, of the weights of all steps before


def reached(last: Tensor) -> Tensor:
    """Last weights ``* B S`` -> what forward attention has reached, above 0 everywhere."""
    total = last.clone()
    total[..., 1:] += last[..., :-1]
    return total.clamp_(min=TINY)


def windows(past: Tensor, kernel: int) -> Tensor:
    """``* S+K-1`` -> the view ``* S K`` of what a kernel sees at each place."""
    return past.unfold(-1, kernel, 1)


class AttentionForward:
    """The steps in order: ``open`` a chunk, ``step`` through it, ``close`` it. Of its steps, ``replayed`` are replayed together."""

    def __init__(self, pieces: AdditivePieces, steps: int, low: torch.dtype | None, replayed: int) -> None:
        self.pieces, self.places = pieces, Places(replayed)
        rows, symbols, width = pieces.keys.shape
        new = pieces.memory.new_empty
        self.trace = Trace(new(steps, rows, width), new(steps, rows, symbols), new(steps, rows, symbols))
        self.query = Product(pieces.query, rows, low)
        self.keys = pieces.keys.reshape(rows * symbols, width)
        self.sum = pieces.memory.new_zeros(rows, symbols)
        self.past = _Past(pieces) if pieces.location is not None else None
        self.last = at_first_symbol(pieces.memory) if pieces.forward else None
        self.tanh = torch.empty_like(self.keys)

    def open(self, start: int, stop: int) -> None:
        """Begin a chunk of steps."""
        self.start = start
        rows = (self.places.take(name, whole[start:stop]) for name, whole in self.trace._asdict().items())
        self.rows = Trace(*rows)

    def step(self, t: int, query: Tensor, context: Tensor) -> None:
        """Query ``B Q`` -> ``context`` ``B D`` is written, weights to the trace."""
        pieces, (asked, weights, total) = self.pieces, (rows[t - self.start] for rows in self.rows)
        tanh = self.tanh.view_as(pieces.keys)
        asked.copy_(self.query(query))
        total.copy_(self.sum)
        if self.past is None:
            torch.add(pieces.keys, asked[:, None], out=tanh)
        else:
            torch.addmm(self.keys, self.past.windows.flatten(0, 1).flatten(1), self.past.taps, out=self.tanh)
            tanh += asked[:, None]
        energies = torch.mv(self.tanh.tanh_(), pieces.energy).view_as(self.sum)
        if self.last is not None:
            energies += reached(self.last).log_()
        torch.softmax(energies.masked_fill_(pieces.mask, float("-inf")), 1, out=weights)
        if self.last is not None:
            self.last.copy_(weights)
        context.copy_(torch.bmm(weights[:, None], pieces.memory)[:, 0])
        self.sum += weights
        if self.past is not None:
            self.past.show(self.sum, weights)

    def close(self) -> None:
        """End the chunk."""
        self.places.back(*Trace._fields)

    def changed(self) -> list[Tensor]:
        """What the steps of a chunk both read and change."""
        return [self.sum, *([] if self.past is None else [self.past.padded]), *([] if self.last is None else [self.last])]


class _Past:
    """The padded past of one step and the kernel that looks at it."""

    def __init__(self, pieces: AdditivePieces) -> None:
        assert pieces.location is not None
        width, self.channels, kernel = pieces.location.shape
        rows, symbols, _ = pieces.memory.shape
        self.taps = pieces.location.flatten(1).t().contiguous()  # C K A
        self.padded = pieces.memory.new_zeros(rows, self.channels, symbols + kernel - 1)
        self.inner = self.padded[:, :, kernel // 2 : kernel // 2 + symbols]
        self.windows = windows(self.padded, kernel).transpose(1, 2)  # B S C K

    def show(self, total: Tensor, last: Tensor) -> None:
        """What the next step sees."""
        self.inner[:, -1] = total
        if self.channels == 2:
            self.inner[:, 0] = last


class AttentionBackward:
    """The steps in reverse: ``open`` at most ``block`` of them, ``step`` down through them, ``close``; ``finish`` after the last one.

    Of them, ``replayed`` are replayed together, 0 where none are.
    """

    def __init__(self, pieces: AdditivePieces, trace: Trace, replayed: int) -> None:
        self.pieces, (self.queries, self.weights, self.sums) = pieces, trace
        self.places = Places(replayed)
        rows, symbols, width = pieces.keys.shape
        steps, new = len(self.weights), pieces.memory.new_empty
        self.energy, self.keys = torch.zeros_like(pieces.energy), torch.zeros_like(pieces.keys)
        self.into_queries, self.into_contexts = torch.empty_like(self.queries), new(steps, rows, pieces.memory.shape[2])
        self.into_sum = torch.zeros_like(self.sums[0])  # of all later steps
        self.into_last = torch.zeros_like(self.sums[0])  # of the step after, as its last weights
        self.block = replayed or max(1, min(steps, BLOCK_VALUES // pieces.keys.numel()))
        self.tanh, self.slopes = new(self.block, rows, symbols, width), new(self.block, rows, symbols, width)
        self.into_energies = new(self.block, rows, symbols)
        self.past = None if pieces.location is None else _PastBackward(pieces, self.block)
        self.reached = new(self.block, rows, symbols) if pieces.forward else None

    def step(self, t: int, into_context: Tensor, into_weights: Tensor | None) -> Tensor:
        """Gradients of the context ``B D`` and of the weights ``B S`` of step t -> that of the projected query ``B A``."""
        k = t - self.start
        weights, contexts, queries = (rows[k] for rows in self.rows)
        contexts.copy_(into_context)
        total = torch.bmm(into_context[:, None], self.pieces.memory.transpose(1, 2))[:, 0]
        if into_weights is not None:
            total += into_weights
        if self.past is not None:
            total += self.into_sum
        if self.pieces.previous or self.reached is not None:
            total += self.into_last
        into_energies = torch._softmax_backward_data(total, weights, 1, weights.dtype, grad_input=self.into_energies[k])
        if self.past is not None:
            into_past = self.past.step(k, into_energies)
            self.into_sum += into_past[:, -1]
            if self.pieces.previous:
                self.into_last.copy_(into_past[:, 0])
        if self.reached is not None:
            into_reached = (into_energies / self.reached[k]).masked_fill_(self.reached[k] <= TINY, 0.0)
            self.into_last.copy_(into_reached)
            self.into_last[:, :-1] += into_reached[:, 1:]
        torch.bmm(into_energies[:, None], self.slopes[k], out=queries[:, None])
        self.keys.addcmul_(self.slopes[k], into_energies[:, :, None])
        return queries

    def finish(self, asked: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """Queries of all steps ``T B Q`` -> gradients of memory (by way of the contexts), keys, query, energy and location."""
        memory = torch.bmm(self.weights.permute(1, 2, 0), self.into_contexts.transpose(0, 1))
        query = self.into_queries.flatten(0, 1).t() @ asked.flatten(0, 1)
        return memory, self.keys, query, self.energy, self.past.gradient() if self.past is not None else None

    def open(self, start: int, stop: int) -> None:
        """Begin a block: tanh, and what the gradient of an energy is multiplied with on its way before the tanh (``slopes``)."""
        self.start, self.stop = start, stop
        steps = {"weights": self.weights, "contexts": self.into_contexts, "queries": self.into_queries}
        self.rows = [self.places.take(name, whole[start:stop]) for name, whole in steps.items()]
        tanh, slopes = self.tanh[: stop - start], self.slopes[: stop - start]
        torch.add(self.pieces.keys, self.queries[start:stop, :, None], out=tanh)
        if self.past is not None:
            self.past.look(tanh, self.sums[start:stop], self._last(start, stop) if self.pieces.previous else None)
        if self.reached is not None:
            self.reached[: stop - start] = reached(self._last(start, stop))
        tanh.tanh_()
        torch.ops.aten.tanh_backward.grad_input(self.pieces.energy.expand_as(tanh), tanh, grad_input=slopes)
        if self.past is not None:
            self.past.open(slopes)

    def close(self) -> None:
        """End the block: its part of the gradients of energy and location."""
        self.places.back("contexts", "queries")
        count = self.stop - self.start
        into_energies = self.into_energies[:count].flatten()
        self.energy.addmv_(self.tanh[:count].flatten(0, 2).t(), into_energies)
        if self.past is not None:
            self.past.close(self.slopes[:count], into_energies)

    def changed(self) -> list[Tensor]:
        """What the steps of a block both read and change."""
        return [self.into_sum, self.into_last, self.keys]

    def _last(self, start: int, stop: int) -> Tensor:
        """Weights of the step before each of a block; no gradient goes on from those before the first."""
        return self.weights[start - 1 : stop - 1] if start else torch.cat([torch.zeros_like(self.sums[:1]), self.weights[: stop - 1]])


class _PastBackward:
    """What the past of each step of a block has to do with the gradients."""

    def __init__(self, pieces: AdditivePieces, block: int) -> None:
        assert pieces.location is not None
        rows, symbols, _ = pieces.memory.shape
        _, self.channels, self.kernel = pieces.location.shape
        width, new = symbols + self.kernel - 1, pieces.memory.new_zeros
        self.inner = slice(self.kernel // 2, self.kernel // 2 + symbols)
        self.location = pieces.location.flatten(1)  # A C*K
        self.total = torch.zeros_like(self.location).t().contiguous()
        self.padded = new(block, rows, self.channels, width)
        self.seen = new(block, rows, symbols, self.channels, self.kernel)
        self.taps = torch.empty_like(self.seen)
        self.skewed = new(rows, self.channels, self.kernel, width)
        # element (b, s, c, k) of this view is element (b, c, k, k + s) of what it is a view of
        strides = (self.skewed.stride(0), 1, self.skewed.stride(1), width + 1)
        self.by_place = self.skewed.as_strided((rows, symbols, self.channels, self.kernel), strides)

    def look(self, inner: Tensor, sums: Tensor, last: Tensor | None) -> None:
        """Add what the kernel makes of the past of each step to ``inner``, ``steps B S A``."""
        count = len(inner)
        self.padded[:count, :, -1, self.inner] = sums
        if last is not None:
            self.padded[:count, :, 0, self.inner] = last
        self.seen[:count] = windows(self.padded[:count], self.kernel).transpose(2, 3)
        inner.flatten(0, 2).addmm_(self._flat(self.seen, count), self.location.t())

    def open(self, slopes: Tensor) -> None:
        """Gradients of what each window sees, for a gradient of 1 of its energy."""
        torch.mm(slopes.flatten(0, 2), self.location, out=self._flat(self.taps, len(slopes)))

    def step(self, k: int, into_energies: Tensor) -> Tensor:
        """Gradient of the energies ``B S`` -> that of the past ``B C S``, the drawing above."""
        torch.mul(self.taps[k], into_energies[:, :, None, None], out=self.by_place)
        return self.skewed.sum(2)[:, :, self.inner]

    def close(self, slopes: Tensor, into_energies: Tensor) -> None:
        """The block's part of the gradient of the kernel."""
        seen = self._flat(self.seen, len(slopes)).mul_(into_energies[:, None])
        self.total += seen.t() @ slopes.flatten(0, 2)

    def gradient(self) -> Tensor:
        """Of the location, ``A C K``."""
        return self.total.t().reshape(-1, self.channels, self.kernel)

    def _flat(self, tensor: Tensor, count: int) -> Tensor:
        return tensor[:count].flatten(0, 2).flatten(1)
