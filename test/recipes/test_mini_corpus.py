"""What the embedded mini corpus promises."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "recipes" / "ljspeech" / "mini"
DIGITS = frozenset("zero one two three four five six seven eight nine".split())


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_mini_corpus", ROOT / "tools" / "make_mini_corpus.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_mini_corpus"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    rows = [line.split("|") for line in (MINI / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    assert all(len(row) == 2 for row in rows)
    return {uid: text for uid, text in rows}


@pytest.fixture(scope="module")
def splits(texts: dict[str, str]) -> dict[str, list[str]]:
    lists = {name: (MINI / "splits" / f"{name}.list").read_text(encoding="utf-8").split() for name in ("dev", "eval")}
    held = {uid for ids in lists.values() for uid in ids}
    return lists | {"train": [uid for uid in texts if uid not in held]}


def words_of(texts: dict[str, str], ids: list[str]) -> list[tuple[str, ...]]:
    return [tuple(texts[uid].split()) for uid in ids]


def digit_strings(sentences: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [words for words in sentences if DIGITS.issuperset(words)]


def pairs(strings: list[tuple[str, ...]]) -> set[tuple[str, str]]:
    return {pair for string in strings for pair in zip(string, string[1:], strict=False)}


def test_lists_are_sorted_and_apart(texts: dict[str, str], splits: dict[str, list[str]]) -> None:
    assert list(texts) == sorted(texts)
    assert len(splits["eval"]) == len(set(splits["eval"])) == 200
    assert 15 <= len(splits["dev"]) == len(set(splits["dev"])) <= 20
    assert not set(splits["eval"]) & set(splits["dev"])
    assert set(splits["eval"]) | set(splits["dev"]) <= set(texts)


def test_held_out_sentences_are_nowhere_else(texts: dict[str, str], splits: dict[str, list[str]]) -> None:
    held = words_of(texts, splits["eval"])
    dev, train = set(words_of(texts, splits["dev"])), set(words_of(texts, splits["train"]))
    assert len(set(held)) == 200
    assert not set(held) & (dev | train)
    assert not dev & train


def test_ten_digit_pairs_are_never_side_by_side_before_the_held_out_sentences(texts: dict[str, str], splits: dict[str, list[str]]) -> None:
    seen = pairs(digit_strings(words_of(texts, splits["train"] + splits["dev"])))
    held = digit_strings(words_of(texts, splits["eval"]))
    unseen = {(a, b) for a in DIGITS for b in DIGITS} - seen
    assert len(unseen) >= 10
    assert unseen <= pairs(held)
    assert sum(bool(unseen & pairs([string])) for string in held) >= 30


def test_thirty_strings_are_two_digits_longer(texts: dict[str, str], splits: dict[str, list[str]]) -> None:
    longest = max(map(len, digit_strings(words_of(texts, splits["train"] + splits["dev"]))))
    held = [len(string) for string in digit_strings(words_of(texts, splits["eval"]))]
    assert longest == 7
    assert held.count(longest + 2) == 30
    assert sorted(set(held)) == [3, 4, 5, 6, 7, 9]


def test_held_out_clock_times_are_spread(texts: dict[str, str], splits: dict[str, list[str]], maker: ModuleType) -> None:
    held = {texts[uid] for uid in splits["eval"] if texts[uid].startswith("it is")}
    assert len(held) == 30
    for minute in maker.MINUTES:
        assert sum(maker.clock(minute, hour) in held for hour in maker.HOURS) <= 3
    for hour in maker.HOURS:
        assert sum(maker.clock(minute, hour) in held for minute in maker.MINUTES) <= 3


def test_every_allowed_pair_start_and_end_is_trained_several_times(texts: dict[str, str], splits: dict[str, list[str]]) -> None:
    strings = digit_strings(words_of(texts, splits["train"]))
    joined = [pair for string in strings for pair in zip(string, string[1:], strict=False)]
    assert min(joined.count(pair) for pair in set(joined)) >= 5
    for position in (0, -1):
        ends = [string[position] for string in strings]
        assert min(ends.count(digit) for digit in DIGITS) >= 10


def test_lexicon_is_the_words(texts: dict[str, str]) -> None:
    words = (MINI / "lexicon.txt").read_text(encoding="utf-8").split()
    assert sorted(words) == sorted({word for text in texts.values() for word in text.split()})
    assert words[:10] == "zero one two three four five six seven eight nine".split()


def test_script_plans_what_is_shipped(texts: dict[str, str], splits: dict[str, list[str]], maker: ModuleType) -> None:
    lines = maker.plan()
    assert {line.id: line.text for line in lines} == texts
    for name, ids in splits.items():
        assert [line.id for line in lines if line.split == name] == ids


def test_folder_is_at_most_six_megabytes() -> None:
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) <= 6_000_000


def test_every_recording_decodes_at_16_khz(texts: dict[str, str]) -> None:
    assert sorted(path.stem for path in (MINI / "wavs").iterdir()) == sorted(texts)
    for uid, text in texts.items():
        with soundfile.SoundFile(MINI / "wavs" / f"{uid}.ogg") as file:
            wave, rate, frames = file.read(dtype="float32"), file.samplerate, file.frames
        assert rate == 16000 and wave.ndim == 1 and len(wave) == frames
        assert 0.15 < len(wave) / rate / len(text.split()) < 0.6, uid
        assert 0.8 < abs(wave).max() < 1.0, uid


def test_ogg_checksum_is_that_of_the_encoder(maker: ModuleType) -> None:
    data = bytearray((MINI / "wavs" / "mini-c0001.ogg").read_bytes())
    page = data[: 27 + data[26] + sum(data[27 : 27 + data[26]])]
    stored = int.from_bytes(page[22:26], "little")
    page[22:26] = bytes(4)
    assert maker.ogg_checksum(page) == stored
