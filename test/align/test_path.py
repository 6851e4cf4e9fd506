"""The best monotonic path, against all paths of small cases."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.align.path import monotonic_path
from toolkit.errors import DataError


def score_of(scores: np.ndarray, durations: tuple[int, ...]) -> float:
    symbols = np.repeat(np.arange(len(durations)), durations)
    return float(scores[np.arange(len(symbols)), symbols].sum())


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    frames, symbols = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    skippable = np.array(draw(st.lists(st.booleans(), min_size=symbols, max_size=symbols)))
    values = st.one_of(st.integers(-3, 0), st.floats(-9, 0))
    scores = draw(st.lists(values, min_size=frames * symbols, max_size=frames * symbols))
    return np.array(scores, np.float64).reshape(frames, symbols), skippable


@given(cases())
def test_no_other_path_is_better(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, skippable = case
    frames, symbols = scores.shape
    every = [
        counts
        for counts in itertools.product(range(frames + 1), repeat=symbols)
        if sum(counts) == frames and all(count or skip for count, skip in zip(counts, skippable, strict=True))
    ]
    if not every:
        with pytest.raises(DataError, match="fewer than"):
            monotonic_path(scores, skippable)
        return
    found = tuple(monotonic_path(scores, skippable).tolist())
    assert found in every
    assert score_of(scores, found) == pytest.approx(max(score_of(scores, counts) for counts in every))


def test_a_planted_path_is_found_and_an_unheard_mark_has_no_frames() -> None:
    planted = np.array([3, 1, 0, 0, 4, 2])
    scores = np.full((10, 6), -np.inf)
    scores[np.arange(10), np.repeat(np.arange(6), planted)] = 0.0
    assert monotonic_path(scores, np.array([False, False, True, True, False, True])).tolist() == planted.tolist()


def test_scores_that_are_no_numbers_are_refused_with_the_utterance() -> None:
    with pytest.raises(DataError, match="clip-7: a score is NaN"):
        monotonic_path(np.full((3, 2), np.nan), np.array([False, True]), "clip-7")
    with pytest.raises(DataError, match="clip-7: 1 frames are fewer than its 2 symbols"):
        monotonic_path(np.zeros((1, 2)), np.array([False, False]), "clip-7")
