"""Recurrent layers over rows of different lengths."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toolkit.nn.packing import over_lengths


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), extra=st.integers(0, 3))
def test_a_row_in_a_batch_is_the_row_alone(kind: type[nn.LSTM] | type[nn.GRU], lengths: list[int], extra: int) -> None:
    torch.manual_seed(0)
    layer = kind(3, 4, batch_first=True, bidirectional=True).double()
    features = torch.randn(len(lengths), max(lengths) + extra, 3, dtype=torch.float64)
    out = over_lengths(layer, features, torch.tensor(lengths))
    assert out.shape == (*features.shape[:2], 8)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(out[row, :length], layer(features[row : row + 1, :length])[0][0])
        assert not out[row, length:].any()
