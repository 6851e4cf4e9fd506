"""The order of utterances is arithmetic."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.train.order import Order, permutation
from toolkit.train.settings import Batch

BATCHES = st.sampled_from([Batch(1, 1), Batch(4, 2), Batch(6, 2), Batch(12, 3)])


@given(seed=st.integers(0, 99), size=st.integers(1, 30), batch=BATCHES)
def test_each_epoch_covers_every_utterance_once(seed, size, batch):
    order = Order(seed, size, batch)
    updates = -(-3 * size // batch.global_)
    drawn = [member for step in range(1, updates + 1) for member in order.members(step)]
    for epoch in range(3):
        assert sorted(drawn[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(seed=st.integers(0, 99), size=st.integers(1, 30), batch=BATCHES, step=st.integers(1, 50))
def test_an_update_is_a_function_of_its_number(seed, size, batch, step):
    lengths = [(7 * k) % 5 for k in range(size)]
    order = Order(seed, size, batch, lengths)
    order.members(step + 9)
    micro_batches = order.micro_batches(step)
    permutation.cache_clear()
    assert micro_batches == Order(seed, size, batch, lengths).micro_batches(step)
    assert [len(members) for members in micro_batches] == [batch.micro] * (batch.global_ // batch.micro)
    assert Counter(m for members in micro_batches for m in members) == Counter(order.members(step))


def test_micro_batches_hold_utterances_of_similar_length():
    order = Order(1, 40, Batch(8, 4), lengths=list(range(40, 0, -1)))
    short, long = order.micro_batches(1)
    assert min(short) > max(long)


def test_epochs_and_seeds_differ():
    orders = {tuple(permutation(seed, epoch, 20)) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4


def test_the_micro_batch_size_does_not_change_the_global_batches():
    assert [Order(3, 17, Batch(8, 2)).members(k) for k in (1, 2, 3)] == [Order(3, 17, Batch(8, 8)).members(k) for k in (1, 2, 3)]


def test_no_utterances_are_refused():
    with pytest.raises(DataError, match="no utterances, got 0"):
        Order(1, 0, Batch(4, 2))
