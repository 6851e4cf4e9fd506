"""Both judges of word errors on planted alignments and transcripts: each rule is caught, and clean speech is not suspected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.evaluate.error_analysis.word_events import Event, alignment_events, counts, transcript_events, words_of

STEP = 0.0125
TEXT = "it was seven, past two"
pytest.importorskip("jiwer")


def kinds(events: list[Event]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Kind, what the note begins with where it is a stop, and the words."""
    return [(e.kind, e.seen.partition(":")[0] if e.kind == "stop" else "", e.words) for e in events]


def attention(path: list[int], size: int, sharp: float = 0.9) -> np.ndarray:
    """Weights ``T x S`` whose strongest symbol follows a path."""
    weights = np.full((len(path), size), (1 - sharp) / (size - 1), np.float32)
    weights[np.arange(len(path)), path] = sharp
    return weights


def read(text: str, *spans: tuple[int, int], each: int = 3) -> list[int]:
    """A path over symbols ``[first, last)`` of each span, some steps on each."""
    return [symbol for first, last in spans for symbol in range(first, last) for _ in range(each)]


def judge(path: list[int], text: str = TEXT, stopped_by: str = "stop", silence: float = 0.0, sharp: float = 0.9) -> list:
    return kinds(alignment_events(attention(path, len(text) + 1, sharp), words_of(text, list), STEP, stopped_by, silence))


END = len(TEXT) + 1  # with <eos>


def test_words_and_their_symbols_for_several_tokenizers() -> None:
    words = words_of("it's a {HH AY1} 5-way,  a.m. - x.", list)
    assert [word.text for word in words] == ["it's", "a", "{HH AY1}", "5-way", "a.m", "x"]
    assert all(word.last - word.first == len(word.text) for word in words)
    pieces = words_of("one two", lambda text: [f"_{word}{k}" for word in text.split() for k in (1, 2, 3)])
    assert [(word.first, word.last) for word in pieces] == [(0, 3), (3, 6)]
    assert words_of("...", list) == []


def test_clean_reading_is_not_suspected() -> None:
    assert judge(read(TEXT, (0, END))) == []
    assert judge(read(TEXT, (0, END)), silence=0.4) == []
    blurred = read(TEXT, (0, END), each=1)
    assert judge(blurred) == []


@given(st.data())
def test_no_monotonic_reading_of_every_symbol_is_suspected(data: st.DataObject) -> None:
    text = " ".join(data.draw(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=9)))
    each = data.draw(st.lists(st.integers(1, 5), min_size=len(text) + 1, max_size=len(text) + 1))
    path = [symbol for symbol, steps in enumerate(each) for _ in range(steps)]
    sharp = data.draw(st.floats(0.6, 1.0))
    assert alignment_events(attention(path, len(text) + 1, sharp), words_of(text, list), STEP, "stop") == []


@given(st.lists(st.sampled_from("one two three four seven nine".split()), min_size=1, max_size=12))
def test_no_correct_transcript_is_suspected(spoken: list[str]) -> None:
    text = " ".join(spoken)
    assert transcript_events(words_of(text, list), text.upper() + ".") == []


def test_a_word_without_attention_is_skipped() -> None:
    assert judge(read(TEXT, (0, 7), (12, END))) == [("skip", "", (2,))]  # "seven" stands at 7 to 12
    assert judge(read(TEXT, (0, 3), (6, END))) == [("skip", "", (1,))]


def test_a_word_that_is_read_again_is_repeated() -> None:
    assert judge(read(TEXT, (0, 18), (14, END))) == [("repeat", "", (3,))]  # past past two
    assert judge(read(TEXT, (0, 6), (0, END))) == [("repeat", "", (0,))]  # it was it was seven
    assert judge(read(TEXT, (0, 22), (14, END))) == [("repeat", "", (3,))]  # past two past two
    assert judge(read(TEXT, (0, END), (14, END))) == [("repeat", "", (3,))]


@pytest.mark.parametrize("back", [1, 2])
def test_a_tremble_at_the_boundary_of_words_is_no_repeat(back: int) -> None:
    """From the beginning of "past" at 14 back to the end of "seven" for a few steps."""
    path = [*read(TEXT, (0, 15)), *[12 - back] * 3, *read(TEXT, (14, END))]
    assert judge(path) == []


def test_a_stop_before_the_last_word_is_early_and_its_words_are_not_skipped_too() -> None:
    assert judge(read(TEXT, (0, 13))) == [("stop", "early", (3, 4))]
    assert judge(read(TEXT, (0, 19))) == [("stop", "early", (4,))]
    assert judge(read(TEXT, (0, 3), (7, 13))) == [("skip", "", (1,)), ("stop", "early", (3, 4))]


def test_going_on_after_the_end_is_late_and_the_limit_is_a_missed_stop() -> None:
    long = [*read(TEXT, (0, END)), *[END - 1] * 60]
    assert judge(long) == [("stop", "late", ())]
    assert judge(read(TEXT, (0, END)), silence=0.9) == [("stop", "late", ())]
    assert judge(long, stopped_by="limit") == [("stop", "missed", ())]


def test_attention_everywhere_at_once_reads_nothing() -> None:
    weights = np.full((80, END), 1 / END, np.float32)
    found = kinds(alignment_events(weights, words_of(TEXT, list), STEP, "limit"))
    assert found == [("stop", "early", (0, 1, 2, 3, 4)), ("stop", "missed", ())]


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("it was seven past two", []),
        ("It was seven past to!", []),  # sounds alike
        ("it was past two", [("skip", "", (2,))]),
        ("it was seven past", [("stop", "early", (4,))]),
        ("it was", [("stop", "early", (2, 3, 4))]),
        ("", [("stop", "early", (0, 1, 2, 3, 4))]),
        ("it was seven seven past two", [("repeat", "", (2,))]),
        ("it was it was seven past two", [("repeat", "", (0, 1))]),
        ("it was eleven past two", [("mispronounced", "", (2,))]),
        ("it was seven up past two", [("mispronounced", "", (2,))]),
        ("it was seven past two eight", [("stop", "late", ())]),
        ("it was seven past two two", [("repeat", "", (4,))]),
        ("was eleven past two eight", [("mispronounced", "", (2,)), ("stop", "late", ()), ("skip", "", (0,))]),
    ],
)
def test_each_rule_of_the_transcript(heard: str, expected: list) -> None:
    assert kinds(transcript_events(words_of(TEXT, list), heard)) == expected


def test_words_of_several_spoken_words_are_one_word() -> None:
    words = words_of("it's five o'clock", list)
    assert transcript_events(words, "it is five o'clock") == []
    assert kinds(transcript_events(words, "it five o'clock")) == [("skip", "", (0,))]


def test_a_kind_counts_once_in_a_sentence() -> None:
    twice = [Event("repeat", (0,), ""), Event("repeat", (2,), ""), Event("stop", (), "late")]
    assert counts([twice, [], [Event("repeat", (1,), "")]]) == {"repeat": 2, "skip": 0, "mispronounced": 0, "stop": 1, "any": 2}
