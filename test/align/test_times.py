"""Times of symbols and words, CTM and TextGrid."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.align.agreement import of_differences
from toolkit.align.aligners import by_frame
from toolkit.align.times import Interval, ctm, read_ctm, symbol_times, text_grid, word_times
from toolkit.errors import DataError
from toolkit.text.base import CLEANERS, TOKENIZERS, Tokenizer
from toolkit.text.frontend import TextFrontend
from toolkit.text.tokenizers import CharTokenizer, PhoneTokenizer
from toolkit.text.vocabulary import Vocabulary


def frontend_of(tokenizer: Tokenizer, text: str) -> TextFrontend:
    return TextFrontend(CLEANERS.part("basic").build(), tokenizer, Vocabulary.build([tokenizer.symbols(text)]))


def test_words_of_characters_have_their_own_frames_and_gaps_belong_to_none() -> None:
    text = "don't, go"
    times = word_times(frontend_of(CharTokenizer(), text), text, np.array([1, 1, 1, 1, 2, 3, 0, 4, 5, 6]), 0.5)
    assert times == [Interval(0.0, 3.0, "don't"), Interval(4.5, 4.5, "go")]


@pytest.mark.parametrize("boundary", [False, True])
def test_words_of_phones_are_found_without_spaces(boundary: bool, tmp_path) -> None:
    dictionary = tmp_path / "cmudict"
    dictionary.write_text("ONE 1 W AH1 N\nTWO 1 T UW1\n")
    tokenizer = TOKENIZERS.part("phone", word_boundary=boundary, dictionary=str(dictionary)).build()
    frontend = frontend_of(tokenizer, "one two, one")
    counts = np.ones(len(frontend.symbols("one two, one")) + 1, np.int64)
    times = word_times(frontend, "one two, one", counts, 1.0)
    assert [(word.label, word.seconds) for word in times] == [("one", 3.0), ("two", 2.0), ("one", 3.0)]
    assert times[1].start == (4.0 if boundary else 3.0)


@given(st.text("ab '-,{}.!", max_size=20))
def test_pieces_together_are_the_symbols(text: str) -> None:
    tokenizer = CharTokenizer()
    text = text.replace("{", "").replace("}", "")
    assert [symbol for _, symbols in tokenizer.pieces(text) for symbol in symbols] == tokenizer.symbols(text)


def test_a_tokenizer_that_cannot_tell_its_words_is_refused() -> None:
    class Joining(PhoneTokenizer):
        def symbols(self, text: str) -> list[str]:
            return ["AH0", "T"]

        def pieces(self, text: str) -> list[tuple[str, list[str]]]:
            return [("a", ["AH0"])]

    with pytest.raises(DataError, match="tokenizer Joining cannot tell which symbols a word has, got 'a t'"):
        word_times(frontend_of(Joining(), "a t"), "a t", np.array([1, 1, 1]), 1.0)


def test_symbols_without_frames_are_not_shown() -> None:
    assert symbol_times(["a", " "], np.array([2, 0, 1]), 0.1) == [Interval(0.0, 0.2, "a"), Interval(0.2, 0.1, "<eos>")]
    with pytest.raises(DataError, match="expected one for each of 1 symbols and <eos>, got 1"):
        symbol_times(["a"], np.array([1]), 0.1)


def test_ctm_is_read_as_it_is_written() -> None:
    times = {"u1": [Interval(0.0, 0.25, "a"), Interval(0.25, 0.5, " ")], "u2": [Interval(0.1, 0.2, "b")]}
    text = ctm(times)
    assert text.splitlines()[1] == "u1 1 0.2500 0.5000 <space>"
    assert read_ctm(text, "x.ctm") == times
    with pytest.raises(DataError, match=r"x.ctm:2: expected: id channel start seconds label, got 'u1 1 0.5'"):
        read_ctm("u1 1 0 1 a\nu1 1 0.5\n", "x.ctm")


def parsed(grid: str) -> dict[str, list[tuple[float, float, str]]]:
    """Tiers of a TextGrid in the long form."""
    tiers = {}
    for body in re.split(r"    item \[\d+\]:\n", grid)[1:]:
        name = re.search(r'name = "(.*)"', body)
        rows = re.findall(r'xmin = (\S+)\n {12}xmax = (\S+)\n {12}text = "((?:[^"]|"")*)"', body)
        size = re.search(r"intervals: size = (\d+)", body)
        assert name and size and len(rows) == int(size[1])
        tiers[name[1]] = [(float(start), float(end), label.replace('""', '"')) for start, end, label in rows]
    return tiers


def test_a_text_grid_covers_the_recording() -> None:
    words = [Interval(0.2, 0.3, 'so"'), Interval(0.5, 0.1, "b")]
    tiers = parsed(text_grid({"words": words, "symbols": []}, 1.0))
    assert tiers["words"] == [(0.0, 0.2, ""), (0.2, 0.5, 'so"'), (0.5, 0.6, "b"), (0.6, 1.0, "")]
    assert tiers["symbols"] == [(0.0, 1.0, "")]


def test_attention_of_steps_is_spread_over_their_frames() -> None:
    frames = by_frame(np.array([[[1.0, 0.0], [0.0, 1.0]]], np.float32), reduction=4, frames=7)
    np.testing.assert_allclose(frames.sum(-1), 1.0, rtol=1e-6)
    assert frames.argmax(-1).tolist() == [[0, 0, 0, 0, 1, 1, 1]]  # the change is where the steps meet


def test_agreement_of_known_differences() -> None:
    agreement = of_differences(np.array([0.0, 0.01, -0.03, 0.06]))
    assert agreement.boundaries == 4 and agreement.within_20_ms == 0.5 and agreement.within_50_ms == 0.75
    assert agreement.median_ms == pytest.approx(20) and agreement.shift_ms == pytest.approx(5)
    with pytest.raises(DataError, match="no boundary that both alignments have"):
        of_differences(np.zeros(0))
