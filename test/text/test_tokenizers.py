"""Tokenizers: symbols of each kind, no download, no heavy import before it is needed."""

import pickle
import socket
import subprocess
import sys

import pytest

from toolkit.errors import ConfigError, DataError
from toolkit.text import pronunciation
from toolkit.text.base import TextError
from toolkit.text.tokenizers import TOKENIZERS, BpeTokenizer, CharTokenizer, PhoneTokenizer

DICTIONARY = "A 1 AH0\nA 2 EY1\nA.M. 1 EY2 EH1 M\nIT'S 1 IH1 T S\nDOGS 1 D AO1 G Z\nTWO 1 T UW1\nTWENTY 1 T W EH1 N T IY0\nB. 1 B IY1\n"


@pytest.fixture
def phone(tmp_path):
    """A phone tokenizer with eight pronunciations."""
    (tmp_path / "dictionary").write_text(DICTIONARY, encoding="utf-8")
    return PhoneTokenizer(dictionary=str(tmp_path / "dictionary"))


@pytest.fixture
def full_phone(monkeypatch):
    """The phone tokenizer with the real data, in a process whose network is cut."""

    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    try:
        pronunciation.find_dictionary()
    except DataError as error:
        pytest.skip(str(error))
    return PhoneTokenizer()


def test_char():
    assert CharTokenizer().symbols("hi, {HH AY1}!") == ["h", "i", ",", " ", "@HH", "@AY1", "!"]
    assert CharTokenizer().symbols("") == []


@pytest.mark.parametrize("name", ["char", "phone"])
def test_unknown_inline_phone(name):
    with pytest.raises(TextError, match="inline phonemes {HH AH}: no such phone, got 'AH'; did you mean 'AH"):
        TOKENIZERS.part(name).build().symbols("{HH AH}")


def test_phone_punctuation_and_forms(phone):
    assert phone.symbols("two dogs, it's a.m.!") == "T UW1 D AO1 G Z , IH1 T S EY2 EH1 M !".split()
    assert phone.symbols("twenty-two -- 'dogs'") == "T W EH1 N T IY0 T UW1 - D AO1 G Z".split()
    assert phone.symbols("two a.m.") == "T UW1 EY2 EH1 M .".split()
    assert phone.symbols("b.b. {HH AH0}? é") == "B IY1 B IY1 HH AH0 ? é".split()
    assert set(pronunciation.PHONES) <= set(phone.inventory()) and len(pronunciation.PHONES) == 69


def test_phone_word_boundary(phone):
    tokenizer = PhoneTokenizer(word_boundary=True, dictionary=phone.dictionary)
    assert tokenizer.symbols("twenty-two a.") == "T W EH1 N T IY0".split() + [" ", "T", "UW1", " ", "AH0", "."]
    assert " " in tokenizer.inventory()


def test_missing_or_damaged_dictionary_names_the_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(pronunciation, "data_folders", lambda: [tmp_path])
    with pytest.raises(DataError, match="dictionary is missing, looked in .*; run: python tools/make_nltk_data.py"):
        PhoneTokenizer().symbols("two")
    (tmp_path / "bad").write_text("TWO T UW1\n")
    with pytest.raises(DataError, match="bad:1: expected WORD NUMBER PHONES, got 'TWO T UW1'"):
        PhoneTokenizer(dictionary=str(tmp_path / "bad")).symbols("two")


def test_missing_tagger_data_is_an_error_and_no_download(full_phone, monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    pronunciation._tagger.cache_clear()
    pronunciation._network.cache_clear()
    for text in ("they refuse", "qwrtzxv"):
        with pytest.raises(DataError, match="is missing, and nothing is downloaded; run: python tools"):
            full_phone.symbols(text)


def test_homographs_and_unknown_words(full_phone):
    refuse, noun = "R IH0 F Y UW1 Z".split(), "R EH1 F Y UW2 Z".split()
    symbols = full_phone.symbols("i refuse the refuse")
    assert symbols[1:7] == refuse and symbols[-6:] == noun
    unknown = full_phone.symbols("kelvinbrook")
    assert len(unknown) > 6 and set(unknown) <= set(pronunciation.PHONES)
    assert full_phone.symbols("kelvinbrook's") == [*unknown, "Z"]


def test_two_hundred_sentences_use_no_network(full_phone):
    words = "the read live wind zorblat present hello object quixotry's minute".split()
    for index in range(200):
        sentence = " ".join(words[(index * step) % len(words)] for step in (1, 3, 7, 2, 9))
        assert set(full_phone.symbols(sentence)) <= set(pronunciation.PHONES)


def test_tokenizers_travel_to_workers(phone):
    assert pickle.loads(pickle.dumps(phone)).symbols("two") == ["T", "UW1"]


def test_importing_and_common_words_need_neither_nltk_nor_g2p(phone):
    code = (
        "import sys, toolkit.text.frontend, toolkit.text.cleaners; from toolkit.text.tokenizers import PhoneTokenizer\n"
        f"assert PhoneTokenizer(dictionary={phone.dictionary!r}).symbols('two dogs')\n"
        "print(*sorted({'nltk', 'g2p_en', 'sentencepiece', 'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_bpe_needs_a_model(tmp_path):
    with pytest.raises(ConfigError, match="model: the bpe tokenizer needs"):
        BpeTokenizer()
    with pytest.raises(DataError, match="no such sentencepiece model"):
        BpeTokenizer(model=str(tmp_path / "none.model")).symbols("a")
    (tmp_path / "bad.model").write_bytes(b"\x00" * 100)
    with pytest.raises(DataError, match="bad.model: not a sentencepiece model"):
        BpeTokenizer(model=str(tmp_path / "bad.model")).symbols("a")
