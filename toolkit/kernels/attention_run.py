"""Additive attention over many steps, forward and backward, for loops that query it step by step.

Plain twins: ``LocationSensitiveAttention.forward`` and ``ContentAttention.forward``. The convolution over past weights and the
projection behind it are one matrix. The tanh of all symbols, the largest thing in an attention, is not stored but computed again
in the backward pass, for a chunk of steps at once, since it depends on nothing that the backward pass finds out.

Layout, with P = K // 2 zeros on both sides of the past::

    past     B C S+2P    0 0 | sum of weights of s = 0 .. S-1 | 0 0        windows(past): a view B S C K, nothing is copied
                         0 0 | weights of the last step       | 0 0        row s = what the kernel sees at symbol s

    gradient of the past, from the gradient of each window's taps (B S C K):

        tap k of symbol s came from place s + k, so it is written there, and the columns are summed

        skewed   B C K S+2P   row k:  k zeros | tap k of s = 0 .. S-1 | zeros      what is never written stays 0
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.kernels.products import Product
from toolkit.nn.additive_attention import AdditivePieces


class Trace(NamedTuple):
    """What the steps leave behind."""

    queries: Tensor  # T B A, projected
    weights: Tensor  # T B S
    sums: Tensor  # T B S, of the weights of all steps before


def windows(past: Tensor, kernel: int) -> Tensor:
    """``* S+K-1`` -> the view ``* S K`` of what a kernel sees at each place."""
    return past.unfold(-1, kernel, 1)


class AttentionForward:
    """The steps in order."""

    def __init__(self, pieces: AdditivePieces, steps: int, low: torch.dtype | None) -> None:
        self.pieces = pieces
        rows, symbols, width = pieces.keys.shape
        new = pieces.memory.new_empty
        self.trace = Trace(new(steps, rows, width), new(steps, rows, symbols), new(steps, rows, symbols))
        self.query = Product(pieces.query, rows, low)
        self.keys = pieces.keys.reshape(rows * symbols, width)
        self.sum = pieces.memory.new_zeros(rows, symbols)
        self.past = _Past(pieces) if pieces.location is not None else None
        self.tanh = torch.empty_like(self.keys)

    def step(self, t: int, query: Tensor, context: Tensor) -> None:
        """Query ``B Q`` -> ``context`` ``B D`` is written, weights to the trace."""
        pieces, (queries, weights, sums) = self.pieces, self.trace
        tanh = self.tanh.view_as(pieces.keys)
        queries[t] = self.query(query)
        sums[t] = self.sum
        if self.past is None:
            torch.add(pieces.keys, queries[t][:, None], out=tanh)
        else:
            torch.addmm(self.keys, self.past.windows.flatten(0, 1).flatten(1), self.past.taps, out=self.tanh)
            tanh += queries[t][:, None]
        energies = torch.mv(self.tanh.tanh_(), pieces.energy).view_as(self.sum)
        torch.softmax(energies.masked_fill_(pieces.mask, float("-inf")), 1, out=weights[t])
        context.copy_(torch.bmm(weights[t][:, None], pieces.memory)[:, 0])
        self.sum += weights[t]
        if self.past is not None:
            self.past.show(self.sum, weights[t])


class _Past:
    """The padded past of one step and the kernel that looks at it."""

    def __init__(self, pieces: AdditivePieces) -> None:
        assert pieces.location is not None
        width, self.channels, kernel = pieces.location.shape
        rows, symbols, _ = pieces.memory.shape
        self.taps = pieces.location.flatten(1).t().contiguous()  # C K A
        padded = pieces.memory.new_zeros(rows, self.channels, symbols + kernel - 1)
        self.inner = padded[:, :, kernel // 2 : kernel // 2 + symbols]
        self.windows = windows(padded, kernel).transpose(1, 2)  # B S C K

    def show(self, total: Tensor, last: Tensor) -> None:
        """What the next step sees."""
        self.inner[:, -1] = total
        if self.channels == 2:
            self.inner[:, 0] = last


class AttentionBackward:
    """The steps in reverse: ``open`` a chunk, ``step`` down through it, ``close`` it, which adds to the gradients."""

    def __init__(self, pieces: AdditivePieces, trace: Trace) -> None:
        self.pieces, (self.queries, self.weights, self.sums) = pieces, trace
        self.energy = torch.zeros_like(pieces.energy)
        self.keys = torch.zeros_like(pieces.keys)
        self.location = None if pieces.location is None else torch.zeros_like(pieces.location)
        self.into_queries = torch.empty_like(self.queries)
        self.into_contexts = self.queries.new_empty(*self.queries.shape[:2], pieces.memory.shape[2])
        self.into_sum = torch.zeros_like(self.sums[0])  # of all later steps
        self.into_weights: Tensor | None = None  # of the step after
        if pieces.location is not None:
            rows, symbols, _ = pieces.memory.shape
            _, channels, kernel = pieces.location.shape
            self.half = kernel // 2
            self.skewed = self.queries.new_zeros(rows, channels, kernel, symbols + kernel - 1)
            width = symbols + kernel - 1
            # element (b, s, c, k) of this view stands at place s + k of row k
            self.by_place = self.skewed.as_strided(
                (rows, symbols, channels, kernel), (channels * kernel * width, 1, kernel * width, width + 1)
            )

    def open(self, start: int, stop: int) -> None:
        """Begin a chunk: tanh, and what a gradient of the energies becomes before it (``slopes``) and in the taps (``taps``)."""
        self.start, self.stop = start, stop
        keys, location = self.pieces.keys, self.pieces.location
        inner = keys + self.queries[start:stop, :, None]  # steps B S A
        if location is not None:
            self.seen = self._seen(start, stop)
            inner.view(-1, inner.shape[-1]).addmm_(self.seen, location.flatten(1).t())
        self.tanh = inner.tanh_()
        self.slopes = (self.tanh * self.tanh).neg_().add_(1).mul_(self.pieces.energy)
        if location is not None:
            taps = self.slopes.flatten(0, 2) @ location.flatten(1)
            self.taps = taps.view(*self.slopes.shape[:3], *location.shape[1:])
        self.into_energies = torch.empty_like(self.weights[start:stop])

    def step(self, t: int, into_context: Tensor, into_weights: Tensor | None) -> Tensor:
        """Gradients of the context ``B D`` and of the weights ``B S`` of step t -> that of the projected query ``B A``."""
        k, weights = t - self.start, self.weights[t]
        self.into_contexts[t] = into_context
        total = torch.bmm(self.pieces.memory, into_context[:, :, None])[:, :, 0]
        if self.location is not None:
            total += self.into_sum
        if self.into_weights is not None:
            total += self.into_weights
        if into_weights is not None:
            total += into_weights
        into_energies = torch._softmax_backward_data(total, weights, 1, weights.dtype, grad_input=self.into_energies[k])
        if self.location is not None:
            torch.mul(self.taps[k], into_energies[:, :, None, None], out=self.by_place)
            into_past = self.skewed.sum(2)[:, :, self.half : self.half + weights.shape[1]]
            self.into_sum += into_past[:, -1]
            self.into_weights = into_past[:, 0] if self.pieces.previous else None
        torch.bmm(into_energies[:, None], self.slopes[k], out=self.into_queries[t][:, None])
        return self.into_queries[t]

    def close(self) -> None:
        """End the chunk: its part of the gradients of keys, energy and location."""
        into_energies = self.into_energies.flatten()
        self.energy.addmv_(self.tanh.flatten(0, 2).t(), into_energies)
        self.slopes *= self.into_energies[..., None]
        self.keys += self.slopes.sum(0)
        if self.location is not None:
            self.location += (self.slopes.flatten(0, 2).t() @ self.seen).view_as(self.location)

    def memory(self) -> Tensor:
        """Gradient of the memory by way of the contexts, ``B S D``."""
        return torch.bmm(self.weights.permute(1, 2, 0), self.into_contexts.transpose(0, 1))

    def _seen(self, start: int, stop: int) -> Tensor:
        """What the kernel saw in each step of a chunk, ``steps*B*S C*K``."""
        assert self.pieces.location is not None
        kernel = self.pieces.location.shape[2]
        channels = [self.sums[start:stop]]
        if self.pieces.previous:
            last = self.weights[start - 1 : stop - 1] if start else torch.cat([torch.zeros_like(self.sums[:1]), self.weights[: stop - 1]])
            channels.insert(0, last)
        padded = torch.nn.functional.pad(torch.stack(channels, 2), (kernel // 2, kernel // 2))  # steps B C S+2P
        return windows(padded, kernel).transpose(2, 3).flatten(0, 2).flatten(1)
