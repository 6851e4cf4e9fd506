"""Attention weights inside a window, for attentions whose weights are no softmax."""

import torch
from torch import Tensor


def confined(weights: Tensor, allowed: Tensor | None) -> Tensor:
    """Weights ``B S`` where ``allowed``, bool ``B S``, scaled to the sum that they had; None leaves them as they are."""
    if allowed is None:
        return weights
    inside = weights * allowed
    tiny = torch.finfo(weights.dtype).tiny
    return inside * (weights.sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=tiny))
