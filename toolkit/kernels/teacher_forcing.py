"""The recurrences of a teacher-forced decoder as one function of autograd: LSTMs over many steps, with an attention or alone.

Plain twin: ``Tacotron2Decoder.forward_plain``. All previous frames are known, so all that does not depend on the step before
is taken out of the loop (``lstm_run``, ``attention_run``), and the backward pass is written by hand: autograd would add to
every weight's gradient, tens of megabytes, in every step.

One step, with time running to the right; what stands left of the bar is computed for many steps at once::

    prenet of t  |  c(t-1) --+                                       ``after`` cells: the query is the last cell's h(t)
                 |  h(t-1) --+-> cell -> [cell] -> h(t) -> attention -> c(t)

    prenet of t  |  h(t-1) -> attention -> c(t) --+                  ``before`` cells: the query is the last cell's h(t-1)
                 |  h(t-1) ----------------------+-> cell -> h(t)

The steps of a chunk read and write nothing but buffers, so that on a GPU they are one CUDA graph, captured anew for each batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from toolkit.kernels import attention_run, cuda_graphs, lstm_run
from toolkit.kernels.attention_run import AttentionBackward, AttentionForward
from toolkit.kernels.cuda_graphs import Replay
from toolkit.kernels.lstm_run import Keep, LstmBackward, LstmForward, Weights, chunk_length
from toolkit.nn.additive_attention import AdditivePieces

CELL = len(Weights._fields)
LSTM_TRACE = len(lstm_run.Trace._fields)
NOTHING = (None,) * 5  # in place of an attention's memory, keys, query, energy and location


class Plan(NamedTuple):
    """What the recurrence needs besides tensors with gradients."""

    keeps: tuple[Keep, ...]  # one a cell
    low: torch.dtype | None  # of the factors of products; None for float32
    record: bool  # for a backward pass
    query_first: bool = False
    mask: Tensor | None = None  # bool B S; None without an attention
    previous: bool = False  # the location has a channel for the last weights
    forward: bool = False  # weights are those of forward attention


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
    plan = plan._replace(mask=pieces.mask, previous=pieces.previous, forward=pieces.forward)
    flat = [tensor for cell in cells for tensor in cell]
    asked = (pieces.memory, pieces.keys, pieces.query, pieces.energy, pieces.location)
    result: tuple[Tensor, Tensor, Tensor] = _Loop.apply(plan, *asked, *flat, known)  # type: ignore[no-untyped-call]
    return result


def run_through(plan: Plan, known: Sequence[Tensor], cell: Weights) -> Tensor:
    """An LSTM over inputs that are all known beforehand, each ``T B *``, columns in their order -> h ``T B H``."""
    hidden: Tensor = _Loop.apply(plan, *NOTHING, *cell, *known)[0]  # type: ignore[no-untyped-call]
    return hidden


def chunks(start: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    """First step and end of each chunk, in order; the last one may be shorter."""
    return ((first, min(first + length, stop)) for first in range(start, stop, length))


def replayed(known: Tensor) -> int:
    """Steps that are replayed together over ``T B *``: those of a chunk where a capture pays, else 0."""
    length = chunk_length(known.shape[1])
    return length if cuda_graphs.captures(known.device) and len(known) // length > cuda_graphs.WARM_UP + 1 else 0


class _Loop(torch.autograd.Function):
    """Tensors in this order: those of the attention, or ``NOTHING``; the weights of each cell; what is known beforehand."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        pieces, cells, known = _sorted(plan, tensors)
        steps, rows = known[0].shape[:2]
        with torch.autocast(known[0].device.type, enabled=False):
            together = replayed(known[0])
            attention = None if pieces is None else AttentionForward(pieces, steps, plan.low, together)
            runs = [
                LstmForward(weights, [] if i else known, fed, plan.keeps[i], steps, rows, plan.low, plan.record, together)
                for i, (weights, fed) in enumerate(cells)
            ]
            _forward(plan, attention, runs, known[0])
        ctx.plan = plan
        ctx.set_materialize_grads(False)
        if plan.record:
            traces = [tensor for run in runs for tensor in run.trace]
            ctx.save_for_backward(*tensors, *traces, *(attention.trace if attention else ()))
        last = runs[-1]
        hidden = last.trace.inputs[1:, :, last.fed :]
        if attention is None:
            return hidden, None, None
        contexts = runs[0].trace.inputs[:-1] if plan.query_first else runs[0].trace.inputs[1:]
        return hidden, contexts[:, :, : runs[0].fed], attention.trace.weights

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, into_hidden: Tensor | None, into_contexts: Tensor | None, into_weights: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        count = len(ctx.needs_input_grad) - 1  # tensors of the forward pass
        saved: tuple[Any, ...] = ctx.saved_tensors
        pieces, cells, known = _sorted(plan, saved[:count])
        traces = saved[count:]
        with torch.autocast(known[0].device.type, enabled=False):
            together = replayed(known[0])
            runs = [
                LstmBackward(weights, [] if i else known, fed, plan.keeps[i], _trace(traces, i), plan.low, together)
                for i, (weights, fed) in enumerate(cells)
            ]
            asked = traces[len(runs) * LSTM_TRACE :]
            attention = None if pieces is None else AttentionBackward(pieces, attention_run.Trace(*asked), together)
            back = _StepBack(plan, attention, runs, (into_hidden, into_contexts, into_weights), together)
            for start, stop in reversed(list(chunks(0, len(known[0]), chunk_length(known[0].shape[1])))):
                for run in runs:
                    run.open(start, stop)
                back.chunk(start, stop)
                for run in runs:
                    run.close()
            for run in runs:
                run.finish()
            into_pieces = NOTHING if attention is None else attention.finish(back.queries())
        return None, *into_pieces, *(tensor for run in runs for tensor in run.weights), *runs[0].known


def _sorted(plan: Plan, tensors: Sequence[Any]) -> tuple[AdditivePieces | None, list[tuple[Weights, int]], Sequence[Tensor]]:
    """The attention, the weights of each cell with the width of what the loop feeds it, and what is known beforehand.

    The first cell is fed the context, and the second one the h of the first.
    """
    memory, keys, query, energy, location, *rest = tensors
    pieces, fed = None, 0
    if plan.mask is not None:
        pieces = AdditivePieces(memory, keys, plan.mask, query, energy, location, plan.previous, plan.forward)
        fed = pieces.memory.shape[2]
    cells = []
    for _ in plan.keeps:
        weights, rest = Weights(*rest[:CELL]), rest[CELL:]
        cells.append((weights, fed))
        fed = weights.hidden.shape[1]
    return pieces, cells, rest


def _trace(traces: Sequence[Tensor], cell: int) -> lstm_run.Trace:
    return lstm_run.Trace(*traces[cell * LSTM_TRACE : (cell + 1) * LSTM_TRACE])


def _forward(plan: Plan, attention: AttentionForward | None, runs: Sequence[LstmForward], known: Tensor) -> None:
    """All steps, chunk by chunk."""
    parts: list[AttentionForward | LstmForward] = [*runs, *([] if attention is None else [attention])]
    replay: Replay | None = None

    def steps() -> None:
        for t in range(runs[0].start, runs[0].stop):
            _step(plan, t, attention, runs)

    for start, stop in chunks(0, len(known), chunk_length(known.shape[1])):
        for part in parts:
            part.open(start, stop)
        if stop - start == replayed(known):
            replay = replay or Replay(steps, [tensor for part in parts for tensor in part.changed()], known.device, passing=True)
            replay()
        else:
            steps()
        for part in parts:
            part.close()


def _step(plan: Plan, t: int, attention: AttentionForward | None, runs: Sequence[LstmForward]) -> None:
    """One step of the drawing above."""
    first, last = runs[0], runs[-1]
    if attention is not None and plan.query_first:
        attention.step(t, last.hidden(t), first.feed(t))
    hidden = first.step(t)
    for run in runs[1:]:
        run.feed(t).copy_(hidden)
        hidden = run.step(t)
    if attention is not None and not plan.query_first:
        attention.step(t, hidden, first.feed(t + 1))


class _StepBack:
    """The steps of the drawing above in reverse; holds the gradients that go from a step to the one before."""

    def __init__(
        self, plan: Plan, attention: AttentionBackward | None, runs: Sequence[LstmBackward],
        outside: tuple[Tensor | None, Tensor | None, Tensor | None], replayed: int,
    ) -> None:  # fmt: skip
        self.plan, self.attention, self.runs, self.replayed = plan, attention, runs, replayed
        self.outside, self.places = outside, cuda_graphs.Places(replayed)
        self.hidden = [torch.zeros_like(run.into_cell) for run in runs]  # of each cell's h(t), from step t + 1
        self.context = runs[0].inputs.new_zeros(runs[0].inputs.shape[1], runs[0].fed)
        self.replay: Replay | None = None

    def chunk(self, start: int, stop: int) -> None:
        """The steps of an open chunk."""
        block = stop - start if self.attention is None else self.attention.block
        for first, last in reversed(list(chunks(start, stop, block))):
            self._open(first, last)
            if last - first == self.replayed:
                self.replay = self.replay or Replay(self._steps, self._changed(), self.context.device, passing=True)
                self.replay()
            else:
                self._steps()
            if self.attention is not None:
                self.attention.close()

    def _open(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop
        into = [None if rows is None else self.places.take(str(i), rows[start:stop]) for i, rows in enumerate(self.outside)]
        self.into_hidden, self.into_contexts, self.into_weights = into
        if self.attention is not None:
            self.attention.open(start, stop)

    def _changed(self) -> list[Tensor]:
        parts: list[AttentionBackward | LstmBackward] = [*self.runs, *([] if self.attention is None else [self.attention])]
        return [*self.hidden, self.context, *(tensor for part in parts for tensor in part.changed())]

    def _steps(self) -> None:
        for t in reversed(range(self.start, self.stop)):
            self._step(t)

    def _step(self, t: int) -> None:
        if self.into_hidden is not None:
            self.hidden[-1] += self.into_hidden[t - self.start]
        if not self.plan.query_first:
            self._attend(t)
        above: Tensor | None = None
        for run, hidden in zip(reversed(self.runs), reversed(self.hidden), strict=True):
            above, before = run.step(t, hidden if above is None else hidden + above)
            hidden.copy_(before)
        assert above is not None
        self.context.copy_(above)
        if self.plan.query_first:
            self._attend(t)

    def _attend(self, t: int) -> None:
        if self.attention is None:
            return
        k = t - self.start
        context = self.context if self.into_contexts is None else self.context + self.into_contexts[k]
        into_query = self.attention.step(t, context, None if self.into_weights is None else self.into_weights[k])
        self.hidden[-1].addmm_(into_query, self.attention.pieces.query)

    def queries(self) -> Tensor:
        """What the attention was asked in all steps, ``T B Q``."""
        run = self.runs[-1]
        shown = run.inputs[:-1] if self.plan.query_first else run.inputs[1:]
        return shown[:, :, run.fed :]
