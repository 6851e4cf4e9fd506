"""How sharp and how diagonal an alignment is: two numbers that tell a learnt attention from a lost one."""

import torch
from torch import Tensor

from toolkit.nn.masks import padding_mask


def focus(weights: Tensor, steps: Tensor, symbols: Tensor) -> Tensor:
    """Mean over decoder steps of the largest weight: 1 is a pointer, 1/S is no attention at all.

    The focus rate of FastSpeech (Ren et al. 2019, section 3.3, its equation for F).

    Args:
        weights: alignments ``B T S``, rows sum to 1 over the symbols.
        steps: int64 ``B``, decoder steps that count.
        symbols: int64 ``B``, symbols that count.

    Returns:
        ``B``, in [0, 1]; 0 for a row without steps.
    """
    weights = _within(weights, steps, symbols)
    return weights.amax(2).sum(1) / steps.clamp(min=1)


def diagonality(weights: Tensor, steps: Tensor, symbols: Tensor, band: float = 0.2) -> Tensor:
    """Share of the attention that lies near the diagonal, where ``|t/T - s/S| <= band``.

    The diagonal attention rate of Ren et al. 2020 (arXiv 2002.10389), with the band in shares of the whole so that it does not
    depend on the reduction factor or the length. Positions are the centres of their cells. A uniform alignment has about
    ``1 - (1 - band)^2``, 0.36 by default.

    Args:
        weights: alignments ``B T S``.
        steps: int64 ``B``, decoder steps that count.
        symbols: int64 ``B``, symbols that count.
        band: half the width of the band, as a share.

    Returns:
        ``B``, in [0, 1]; 0 for a row without attention.
    """
    weights = _within(weights, steps, symbols)
    time = (torch.arange(weights.shape[1], device=weights.device) + 0.5) / steps.clamp(min=1)[:, None]
    place = (torch.arange(weights.shape[2], device=weights.device) + 0.5) / symbols.clamp(min=1)[:, None]
    near = (time[:, :, None] - place[:, None, :]).abs() <= band
    return (weights * near).sum((1, 2)) / weights.sum((1, 2)).clamp(min=torch.finfo(weights.dtype).tiny)


def _within(weights: Tensor, steps: Tensor, symbols: Tensor) -> Tensor:
    """Weights with everything outside a row's lengths at 0."""
    outside = padding_mask(steps, weights.shape[1])[:, :, None] | padding_mask(symbols, weights.shape[2])[:, None, :]
    return weights.masked_fill(outside, 0.0)
