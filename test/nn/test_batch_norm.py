"""Batch norm counts valid positions only, and its running statistics move once an update."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toolkit.nn.batch_norm import BatchNorm
from toolkit.nn.masks import padding_mask


def made(batch=3, channels=5, time=7, seed=0):
    return torch.randn(batch, channels, time, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 + 1


def test_without_padding_it_is_torch_batch_norm():
    ours, theirs, x = BatchNorm(5).double(), nn.BatchNorm1d(5).double(), made()
    torch.testing.assert_close(ours(x), theirs(x))
    ours.fold(ours.pending[0])
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=4), extra=st.integers(0, 4), junk=st.floats(-9, 9))
def test_padding_changes_nothing(lengths, extra, junk):
    size = torch.tensor(lengths)
    short, long = int(size.max()), int(size.max()) + extra
    x = made(len(lengths), 5, short)
    mask, wide_mask = padding_mask(size, short), padding_mask(size, long)
    wide = torch.full((len(lengths), 5, long), junk, dtype=torch.float64)
    wide[..., :short] = torch.where(mask[:, None], junk, x)
    one, other = BatchNorm(5).double(), BatchNorm(5).double()
    torch.testing.assert_close(one(x, mask), other(wide, wide_mask)[..., :short])
    torch.testing.assert_close(one.pending[0], other.pending[0])
    torch.testing.assert_close(one.eval()(x, mask), other.eval()(wide, wide_mask)[..., :short])


def test_padding_comes_out_as_zero_and_gets_no_gradient():
    layer, x, mask = BatchNorm(5).double(), made().requires_grad_(), padding_mask(torch.tensor([7, 2, 4]))
    out = layer(x, mask)
    out.square().sum().backward()
    assert out.transpose(1, 2)[mask].eq(0).all()
    assert x.grad.transpose(1, 2)[mask].eq(0).all()
    assert layer.weight.grad.ne(0).all()
    assert layer.eval()(x, mask).transpose(1, 2)[mask].eq(0).all()


def test_statistics_are_those_of_valid_positions():
    layer, x, lengths = BatchNorm(5).double(), made(), torch.tensor([7, 2, 4])
    layer(x, padding_mask(lengths))
    rows = torch.cat([x[row, :, :n].T for row, n in enumerate(lengths.tolist())])
    torch.testing.assert_close(layer.pending[0], torch.cat([rows.mean(0), rows.var(0)]))
    assert layer.running_mean.eq(0).all()


def test_evaluation_leaves_no_statistics():
    layer = BatchNorm(5).double().eval()
    layer(made())
    assert layer.pending == []


def test_a_step_of_the_running_statistics():
    layer = BatchNorm(2, momentum=0.25)
    layer.fold(torch.tensor([4.0, 8.0, 3.0, 5.0]))
    assert layer.running_mean.tolist() == [1.0, 2.0]
    assert layer.running_var.tolist() == [1.5, 2.0]


@pytest.mark.parametrize("low", [torch.bfloat16])
def test_low_precision_input_keeps_statistics_in_full(low):
    layer = BatchNorm(5)
    layer(made().to(low), padding_mask(torch.tensor([7, 2, 4])))
    assert layer.pending[0].dtype == torch.float32
