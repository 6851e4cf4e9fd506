"""Bootstrap intervals: they cover the mean as often as they say, pairs narrow them, and bad input is refused."""

import numpy as np
import pytest

from toolkit.errors import DataError
from toolkit.evaluate.bootstrap import Interval, interval, paired


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    generator = np.random.default_rng(3)
    samples = generator.exponential(2.0, (400, 60))  # skewed, as error rates are
    found = [interval(sample, 0.9, draws=500) for sample in samples]
    share = np.mean([i.low <= 2.0 <= i.high for i in found])
    assert 0.84 < share < 0.94
    wider = [interval(sample, 0.99, draws=500) for sample in samples[:50]]
    assert all(w.low < i.low and w.high > i.high for w, i in zip(wider, found, strict=False))


def test_an_interval_has_the_mean_inside_and_shrinks_with_more_values():
    values = np.random.default_rng(1).normal(5.0, 1.0, 400)
    few, many = interval(values[:25]), interval(values)
    assert few.mean == pytest.approx(values[:25].mean())
    assert few.low < few.mean < few.high
    assert many.high - many.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)  # what a normal mean has
    assert few.high - few.low > 2 * (many.high - many.low)


def test_pairs_are_narrower_than_two_systems_apart_and_find_a_small_difference():
    generator = np.random.default_rng(2)
    utterance = generator.normal(0.0, 3.0, 80)  # utterances differ by far more than systems
    first, second = utterance + generator.normal(0.3, 0.1, 80), utterance + generator.normal(0.0, 0.1, 80)
    together, a, b = paired(first, second), interval(first), interval(second)
    assert together.high - together.low < 0.1 * (a.high - a.low)
    assert together.excludes() and together.excludes(0.5) and not together.excludes(0.3)
    assert a.low < b.high  # apart, no order could be claimed
    assert paired(second, first).mean == pytest.approx(-together.mean)


def test_results_do_not_change_between_calls_and_depend_on_the_seed():
    values = list(np.random.default_rng(4).normal(size=30))
    assert interval(values) == interval(values)
    assert interval(values, seed=2) != interval(values)
    assert interval([1.5, 1.5, 1.5]) == Interval(1.5, 1.5, 1.5)


def test_many_values_are_drawn_in_pieces(monkeypatch):
    values = np.random.default_rng(5).normal(size=90)
    whole = interval(values, draws=1000)
    monkeypatch.setattr("toolkit.evaluate.bootstrap.CHUNK", 1000)
    assert interval(values, draws=1000) == whole


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, "at least 2 values needed, got 0"),
        ([1.0], 0.95, "got 1"),
        ([1.0, float("nan")], 0.95, "finite, got nan"),
        ([1.0, 2.0], 95, "between 0 and 1, got 95"),
    ],
)
def test_values_that_allow_no_interval_are_refused(values, level, message):
    with pytest.raises(DataError, match=message):
        interval(values, level)


def test_unequal_numbers_of_pairs_are_refused():
    with pytest.raises(DataError, match="got 2 and 3 values"):
        paired([1.0, 2.0], [1.0, 2.0, 3.0])
