"""Recurrent layers over rows of different lengths."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def over_lengths(layer: nn.LSTM | nn.GRU, features: Tensor, lengths: Tensor) -> Tensor:
    """A layer with ``batch_first`` over the valid positions of each row, so that its backward direction starts at a row's end.

    Args:
        features: ``B T C``.
        lengths: int64 ``B``, each at least 1.

    Returns:
        ``B T D``, 0 on padding.
    """
    packed = pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
    out, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=features.shape[1])
    return out
