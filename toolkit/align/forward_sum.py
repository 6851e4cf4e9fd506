"""The sum over all monotonic paths through a matrix of scores, and its gradient, by the forward-backward algorithm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.masks import padding_mask

NEVER = -1e9  # log score of what no path does


def forward_sum(scores: Tensor, skippable: Tensor, token_lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """Minus the log of the summed scores of all paths, a value a row ``B`` (Badlani et al. 2021, section 2.1, equation 3).

    The paths are those of ``monotonic_path``. Rows that have none, as their frames are too few, give 0.

    Args:
        scores: ``B T S`` log scores, low on padding.
        skippable: bool ``B S``, True for symbols that may have no frame.
    """
    padding = padding_mask(token_lengths, scores.shape[2])
    total: Tensor = _LogSum.apply(scores, skippable | padding, padding, mel_lengths)  # type: ignore[no-untyped-call]
    return torch.where(total > NEVER / 2, -total, 0.0)


class _LogSum(torch.autograd.Function):
    """The gradient is how probable each symbol is at each frame, which costs a second pass and no memory of the first one's steps."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, silent: Tensor, padding: Tensor, lengths: Tensor) -> Tensor:
        symbols = scores.shape[2]
        places = torch.arange(symbols, device=scores.device)
        last_heard = torch.where(silent, -1, places).cummax(1).values
        between = (places - 1 - F.pad(last_heard[:, :-1], (1, 0), value=-1)).masked_fill(padding, 0)  # silent ones right before each
        reach = int(between.max()) + 1
        steps = torch.arange(reach + 1, device=scores.device)  # from a symbol to the one that follows on a path
        entered = F.pad(between, (0, reach)).unfold(1, reach + 1, 1)  # B S steps: of the symbol that such a step leads to
        onward = ((steps > entered + 1) | (places[:, None] + steps >= symbols)) * NEVER
        inward = (steps.flip(0) > between[..., None] + 1) * NEVER
        heard_after = F.pad((~silent).flip(1).cumsum(1).flip(1)[:, 1:], (0, 1)) > 0
        ends = (heard_after | padding) * NEVER
        forwards = _forwards(scores, scores[:, 0] + (between != places) * NEVER, inward, reach)
        total = (forwards[torch.arange(len(scores), device=scores.device), lengths - 1] + ends).logsumexp(-1)
        ctx.save_for_backward(scores, forwards, total, onward, ends, lengths)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        scores, forwards, total, onward, ends, lengths = ctx.saved_tensors
        later = _backwards(scores, onward, ends, lengths)
        share = (forwards + later - total[:, None, None]).exp()
        share[padding_mask(lengths, scores.shape[1]) | (total < NEVER / 2)[:, None]] = 0.0
        return share * gradient[:, None, None], None, None, None


def _forwards(scores: Tensor, first: Tensor, inward: Tensor, reach: int) -> Tensor:
    """Log sum of the paths up to each frame that are then at each symbol, that frame included."""
    result = torch.empty_like(scores)
    result[:, 0] = state = first
    for t in range(1, scores.shape[1]):
        sources = F.pad(state, (reach, 0), value=NEVER).unfold(1, reach + 1, 1) + inward
        state = torch.add(sources.logsumexp(-1), scores[:, t], out=result[:, t])
    return result


def _backwards(scores: Tensor, onward: Tensor, ends: Tensor, lengths: Tensor) -> Tensor:
    """Log sum of the ways on from each symbol at each frame, that frame excluded."""
    result, reach = torch.empty_like(scores), onward.shape[2] - 1
    last = lengths - 1
    result[:, -1] = state = ends
    for t in range(scores.shape[1] - 2, -1, -1):
        targets = F.pad(state + scores[:, t + 1], (0, reach), value=NEVER).unfold(1, reach + 1, 1) + onward
        state = torch.where((last == t)[:, None], ends, targets.logsumexp(-1))
        result[:, t] = state
    return result
