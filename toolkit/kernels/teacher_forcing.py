"""The recurrences of a teacher-forced decoder as single functions of autograd: an attention between LSTMs, and an LSTM alone.

Plain twin: ``Tacotron2Decoder.forward_plain``. All previous frames are known, so all that does not depend on the step before
is taken out of the loop (``lstm_run``, ``attention_run``), and the backward pass is written by hand: autograd would add to
every weight's gradient, tens of megabytes, in every step.

One step, with time running to the right; what stands left of the bar is computed for many steps at once::

    prenet of t  |  c(t-1) --+                                       ``after`` cells: the query is the last cell's h(t)
                 |  h(t-1) --+-> cell -> [cell] -> h(t) -> attention -> c(t)

    prenet of t  |  h(t-1) -> attention -> c(t) --+                  ``before`` cells: the query is the last cell's h(t-1)
                 |  h(t-1) ----------------------+-> cell -> h(t)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from toolkit.kernels import attention_run, lstm_run
from toolkit.kernels.attention_run import AttentionBackward, AttentionForward
from toolkit.kernels.lstm_run import Keep, LstmBackward, LstmForward, Weights, chunk_length
from toolkit.nn.additive_attention import AdditivePieces

CELL = len(Weights._fields)
LSTM_TRACE = len(lstm_run.Trace._fields)


class Plan(NamedTuple):
    """What the recurrence needs besides tensors with gradients."""

    keeps: tuple[Keep, ...]  # one a cell
    low: torch.dtype | None  # of the factors of products; None for float32
    record: bool  # for a backward pass
    query_first: bool = False
    mask: Tensor | None = None  # bool B S
    previous: bool = False  # the location has a channel for the last weights


def attend_through(plan: Plan, known: Tensor, pieces: AdditivePieces, cells: Sequence[Weights]) -> tuple[Tensor, Tensor, Tensor]:
    """The loop around an attention and its one or two cells.

    Args:
        plan: how.
        known: ``T B E``, inputs of the first cell that are known beforehand; the context follows them in its weights.
        pieces: of the attention.
        cells: the second is fed the first one's h.

    Returns:
        h of the last cell ``T B H``, contexts ``T B D``, weights ``T B S``.
    """
    flat = [tensor for cell in cells for tensor in cell]
    plan = plan._replace(mask=pieces.mask, previous=pieces.previous)
    result: tuple[Tensor, Tensor, Tensor] = _Attending.apply(
        plan, known, pieces.memory, pieces.keys, pieces.query, pieces.energy, pieces.location, *flat
    )  # type: ignore[no-untyped-call]
    return result


def run_through(plan: Plan, known: Sequence[Tensor], cell: Weights) -> Tensor:
    """An LSTM over inputs that are all known beforehand, each ``T B *``, columns in their order -> h ``T B H``."""
    hidden: Tensor = _Running.apply(plan, *cell, *known)  # type: ignore[no-untyped-call]
    return hidden


def chunks(steps: int, rows: int) -> Iterator[tuple[int, int]]:
    """First step and end of each chunk, in order."""
    length = chunk_length(rows)
    return ((start, min(start + length, steps)) for start in range(0, steps, length))


class _Running(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, input_: Tensor, hidden: Tensor, bias: Tensor, *known: Tensor) -> Tensor:
        steps, rows = known[0].shape[:2]
        weights = Weights(input_, hidden, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            run = LstmForward(weights, known, 0, plan.keeps[0], steps, rows, plan.low, plan.record)
            for start, stop in chunks(steps, rows):
                run.open(start, stop)
                for t in range(start, stop):
                    run.step(t)
                run.close()
        ctx.plan = plan
        if plan.record:
            ctx.save_for_backward(*weights, *run.trace, *known)
        return run.trace.inputs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, into_hidden: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        trace, known = lstm_run.Trace(*saved[CELL : CELL + LSTM_TRACE]), saved[CELL + LSTM_TRACE :]
        steps, rows = known[0].shape[:2]
        with torch.autocast(into_hidden.device.type, enabled=False):
            run = LstmBackward(Weights(*saved[:CELL]), known, 0, plan.keeps[0], trace, plan.low)
            carried = torch.zeros_like(into_hidden[0])
            for start, stop in reversed(list(chunks(steps, rows))):
                run.open(start, stop)
                for t in reversed(range(start, stop)):
                    _, carried = run.step(t, into_hidden[t] + carried)
                run.close()
            run.finish()
        return None, *run.weights, *run.known


class _Attending(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plan: Plan, known: Tensor, memory: Tensor, keys: Tensor, query: Tensor, energy: Tensor,
        location: Tensor | None, *flat: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        steps, rows = known.shape[:2]
        assert plan.mask is not None
        pieces = AdditivePieces(memory, keys, plan.mask, query, energy, location, plan.previous)
        with torch.autocast(memory.device.type, enabled=False):
            attention = AttentionForward(pieces, steps, plan.low)
            runs = [
                LstmForward(weights, [known] if i == 0 else [], fed, plan.keeps[i], steps, rows, plan.low, plan.record)
                for i, (weights, fed) in enumerate(_cells(flat, memory.shape[2]))
            ]
            for start, stop in chunks(steps, rows):
                for run in runs:
                    run.open(start, stop)
                for t in range(start, stop):
                    _step(plan, t, attention, runs)
                for run in runs:
                    run.close()
        ctx.plan = plan
        ctx.set_materialize_grads(False)
        if plan.record:
            traces = [tensor for run in runs for tensor in run.trace]
            ctx.save_for_backward(known, memory, keys, query, energy, location, *flat, *attention.trace, *traces)
        width = memory.shape[2]
        contexts = runs[0].trace.inputs[:-1] if plan.query_first else runs[0].trace.inputs[1:]
        return runs[-1].trace.inputs[1:, :, runs[-1].fed :], contexts[:, :, :width], attention.trace.weights

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, into_hidden: Tensor | None, into_contexts: Tensor | None, into_weights: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        known, memory, keys, query, energy, location, *rest = ctx.saved_tensors
        count = len(plan.keeps) * CELL
        flat, traces = rest[:count], rest[count + 3 :]
        assert plan.mask is not None
        pieces = AdditivePieces(memory, keys, plan.mask, query, energy, location, plan.previous)
        steps, rows = known.shape[:2]
        with torch.autocast(memory.device.type, enabled=False):
            attention = AttentionBackward(pieces, attention_run.Trace(*rest[count : count + 3]))
            runs = [
                LstmBackward(weights, [known] if i == 0 else [], fed, plan.keeps[i], _trace(traces, i), plan.low)
                for i, (weights, fed) in enumerate(_cells(flat, memory.shape[2]))
            ]
            back = _StepBack(plan, pieces, attention, runs, (into_hidden, into_contexts, into_weights))
            for start, stop in reversed(list(chunks(steps, rows))):
                for run in runs:
                    run.open(start, stop)
                for t in reversed(range(start, stop)):
                    back(t)
                for run in runs:
                    run.close()
            for run in runs:
                run.finish()
            into_memory, into_keys, into_energy, into_location = attention.finish()
            into_query = attention.into_queries.flatten(0, 1).t() @ back.queries().flatten(0, 1)
            gradients = [tensor for run in runs for tensor in run.weights]
            return None, runs[0].known[0], into_memory, into_keys, into_query, into_energy, into_location, *gradients


def _cells(flat: Sequence[Tensor], memory_dim: int) -> Iterator[tuple[Weights, int]]:
    """Weights of each cell, and the width of what the loop feeds it: the context, or the h of the cell before."""
    fed = memory_dim
    for first in range(0, len(flat), CELL):
        weights = Weights(*flat[first : first + CELL])
        yield weights, fed
        fed = weights.hidden.shape[1]


def _trace(traces: Sequence[Tensor], cell: int) -> lstm_run.Trace:
    return lstm_run.Trace(*traces[cell * LSTM_TRACE : (cell + 1) * LSTM_TRACE])


def _step(plan: Plan, t: int, attention: AttentionForward, runs: Sequence[LstmForward]) -> None:
    """One step of the drawing above."""
    width = runs[0].fed
    if plan.query_first:
        attention.step(t, runs[-1].trace.inputs[t][:, runs[-1].fed :], runs[0].trace.inputs[t][:, :width])
    hidden = runs[0].step(t)
    for run in runs[1:]:
        run.trace.inputs[t][:, : run.fed] = hidden
        hidden = run.step(t)
    if not plan.query_first:
        attention.step(t, hidden, runs[0].trace.inputs[t + 1][:, :width])


class _StepBack:
    """One step of the drawing above in reverse; holds the gradients that go from a step to the one before."""

    def __init__(
        self, plan: Plan, pieces: AdditivePieces, attention: AttentionBackward, runs: Sequence[LstmBackward],
        outside: tuple[Tensor | None, Tensor | None, Tensor | None],
    ) -> None:  # fmt: skip
        self.plan, self.query, self.attention, self.runs = plan, pieces.query, attention, runs
        self.into_hidden, self.into_contexts, self.into_weights = outside
        rows = pieces.memory.shape[0]
        self.hidden = [pieces.memory.new_zeros(rows, run.units) for run in runs]  # of each cell's h(t), from step t + 1
        self.context = pieces.memory.new_zeros(rows, pieces.memory.shape[2])

    def __call__(self, t: int) -> None:
        if self.into_hidden is not None:
            self.hidden[-1] = self.hidden[-1] + self.into_hidden[t]
        if not self.plan.query_first:
            self._attention(t)
        above: Tensor | None = None
        for i in reversed(range(len(self.runs))):
            into = self.hidden[i] if above is None else self.hidden[i] + above
            above, self.hidden[i] = self.runs[i].step(t, into)
        assert above is not None
        self.context = above
        if self.plan.query_first:
            self._attention(t)

    def _attention(self, t: int) -> None:
        context = self.context if self.into_contexts is None else self.context + self.into_contexts[t]
        into_query = self.attention.step(t, context, None if self.into_weights is None else self.into_weights[t])
        self.hidden[-1] = torch.addmm(self.hidden[-1], into_query, self.query)

    def queries(self) -> Tensor:
        """What the attention was asked in all steps, ``T B Q``."""
        run = self.runs[-1]
        shown = run.inputs[:-1] if self.plan.query_first else run.inputs[1:]
        return shown[:, :, run.fed :]
