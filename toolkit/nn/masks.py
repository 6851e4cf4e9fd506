"""Masks from lengths. A mask is True on padding."""

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, size: int | None = None) -> Tensor:
    """Bool ``B x size``, True where the position is at or past the row's length.

    Args:
        lengths: int64 ``B``.
        size: number of positions; the longest row by default.
    """
    size = int(lengths.max()) if size is None else size
    return torch.arange(size, device=lengths.device)[None] >= lengths[:, None]
