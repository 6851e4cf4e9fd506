"""The token list: round trips, what is refused, and the lexicon of a closed voice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError
from toolkit.text.base import TextError
from toolkit.text.cleaners import EnglishCleaner
from toolkit.text.frontend import TextFrontend
from toolkit.text.lexicon import Lexicon, LexiconError
from toolkit.text.tokenizers import CharTokenizer
from toolkit.text.vocabulary import Vocabulary

SYMBOLS = st.text(min_size=1, max_size=3).filter(lambda s: s.split() == [s] and s not in ("<pad>", "<eos>", "<space>")) | st.just(" ")


@given(st.lists(st.lists(SYMBOLS), min_size=1))
def test_round_trips(sentences):
    vocabulary = Vocabulary.build(sentences)
    assert Vocabulary.from_text(vocabulary.to_text()).symbols == vocabulary.symbols
    for sentence in sentences:
        ids = vocabulary.encode(sentence)
        assert ids[-1] == 1 and 0 not in ids
        assert vocabulary.decode([*ids, 0, 0]) == sentence


def test_file(tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_text(Vocabulary.build(["ba "]).to_text(), encoding="utf-8")
    assert path.read_text() == "<pad>\n<eos>\n<space>\na\nb\n"
    assert Vocabulary.load(path).encode("a b") == [3, 2, 4, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", r"tokens.txt:1: the first two symbols are <pad> and <eos>, got \['a', 'b'\]"),
        ("", "tokens.txt:1: the first two"),
        ("<pad>\n<eos>\na\na\n", "tokens.txt:4: stands twice, got 'a'"),
        ("<pad>\n<eos>\n\na\n", "tokens.txt:3: is no symbol, got ''"),
        ("<pad>\r\n<eos>\r\na\r\n", "tokens.txt:1"),
        ("<pad>\n<eos>\na b\n", "tokens.txt:3: is no symbol, got 'a b'"),
        (b"<pad>\n<eos>\n\xe9\n", "not UTF-8 at byte 12"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, text, message):
    path = tmp_path / "tokens.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        Vocabulary.load(path)


def test_missing_list_names_the_command(tmp_path):
    with pytest.raises(DataError, match="no such token list; run: toolkit tokens"):
        Vocabulary.load(tmp_path / "tokens.txt")


def test_unknown_symbols_are_all_listed_with_a_fix():
    vocabulary = Vocabulary.build(["abcde "])
    with pytest.raises(TextError) as error:
        vocabulary.encode(["A", "é", "é", "@HH", "5", "日"])
    message = str(error.value)
    assert "'é' (2x: use cleaner english" in message and "'A' (1x: set cleaner_conf.lower" in message
    assert "'@HH' (1x: this voice was trained without inline phonemes" in message
    assert "'5' (1x: use cleaner english" in message and "'日' (1x: remove it" in message


def test_padding_and_end_marks_are_no_text():
    with pytest.raises(TextError, match="<eos>"):
        Vocabulary.build(["a"]).encode(["a", "<eos>"])
    with pytest.raises(DataError, match="ids run from 0 to 2, got 9"):
        Vocabulary.build(["a"]).decode([9])


@pytest.fixture
def voice(tmp_path):
    (tmp_path / "tokens.txt").write_text(Vocabulary.build(["zeronightfuva thqlpspwsx,.!y"]).to_text(), encoding="utf-8")
    (tmp_path / "lexicon.txt").write_text("zero\none\ntwo\nthree\nnine\n\nit's\npast\n", encoding="utf-8")
    return tmp_path


def test_closed_voice_refuses_other_words(voice):
    frontend = TextFrontend.load(voice, EnglishCleaner(), CharTokenizer())
    assert frontend("Three, 1.") == frontend("three, one.")
    with pytest.raises(LexiconError) as error:
        frontend("one hello")
    assert str(error.value) == "'hello' is not in the mini voice's vocabulary (zero ... nine, it's, past); train a voice or give --model"
    assert error.value.exit_code == 2


def test_open_voice_says_any_word(voice):
    (voice / "lexicon.txt").unlink()
    frontend = TextFrontend.load(voice, EnglishCleaner(), CharTokenizer())
    assert frontend.symbols("Hen") == ["h", "e", "n"]
    for nothing in ("", "  ", "?!", "\u200b"):
        with pytest.raises(TextError, match="nothing to say"):
            frontend(nothing)


def test_empty_lexicon_is_refused(tmp_path):
    (tmp_path / "lexicon.txt").write_text("\n")
    with pytest.raises(DataError, match="no words in it"):
        Lexicon.load(tmp_path / "lexicon.txt")
