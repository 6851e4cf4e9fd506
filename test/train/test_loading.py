"""Micro-batches come in order, and what goes wrong in the background is told."""

import threading

import pytest

from toolkit.errors import DataError
from toolkit.train.loading import Prefetch, names
from toolkit.train.order import Order
from toolkit.train.settings import Batch


def test_every_update_comes_once_with_its_keys(tiny):
    data = tiny.Data(10)
    order = Order(7, 10, Batch(6, 2))
    with Prefetch(data, order, 7, range(3, 8), range(1, 3, 2)) as updates:
        seen = [(step, [batch.key for batch in batches]) for step, batches in updates]
    assert seen == [(step, [(7, step, 1)]) for step in range(3, 8)]


def test_counts_are_those_of_the_global_batch(tiny):
    data = tiny.Data(10)
    order = Order(7, 10, Batch(6, 2), data.lengths)
    with Prefetch(data, order, 7, range(1, 2), range(0, 3)) as updates:
        [(_, batches)] = updates
    assert {batch.counts.frames for batch in batches} == {sum(data.lengths[m] for m in order.members(1))}
    assert sum(int(batch.lengths.sum()) for batch in batches) == batches[0].counts.frames


def test_an_error_names_step_and_utterances_and_no_thread_is_left(tiny):
    data = tiny.Data(4)
    del data.frames[2:]
    with pytest.raises(DataError, match=r"step 1: cannot load one of utt0\d, utt0\d") as caught:
        with Prefetch(data, Order(7, 4, Batch(4, 2)), 7, range(1, 9), range(0, 2)) as updates:
            list(updates)
    assert isinstance(caught.value.__cause__, IndexError)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("toolkit-loading")]


def test_leaving_early_ends_the_thread(tiny):
    with Prefetch(tiny.Data(4), Order(7, 4, Batch(4, 2)), 7, range(1, 10**9), range(0, 2)) as updates:
        next(iter(updates))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("toolkit-loading")]


def test_messages_name_eight_utterances(tiny):
    assert names(tiny.Data(12), range(10)) == "utt00, utt01, utt02, utt03, utt04, utt05, utt06, utt07 and 2 more"
    assert names([0.0], [3, 4]) == "3, 4"
