"""English pronunciations from files on this machine: the CMU dictionary, homographs, and predictions for unknown words.

NLTK and g2p_en are imported only when a sentence needs them, and never before it is certain that they find their data:
g2p_en would otherwise try to download them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import DataError

CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
PHONES = CONSONANTS + [f"{vowel}{stress}" for vowel in VOWELS for stress in "012"]
DICTIONARY = "corpora/cmudict/cmudict"
TAGGER = "taggers/averaged_perceptron_tagger_eng"
NLTK_FILES = ("corpora/cmudict.zip", "taggers/averaged_perceptron_tagger.zip")  # what g2p_en looks for when it is imported
FIX = "run: python tools/make_nltk_data.py"


class Homograph(NamedTuple):
    """A word with two pronunciations: the first where its part of speech starts with ``tag``, else the second."""

    first: list[str]
    second: list[str]
    tag: str


def data_folders() -> list[Path]:
    """Where NLTK looks for its data, most specific first, without importing it."""
    named = [Path(part) for part in os.environ.get("NLTK_DATA", "").split(os.pathsep) if part]
    shared = [Path(folder, "nltk_data") for folder in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    return [*named, Path.home() / "nltk_data", *(Path(sys.prefix, *part, "nltk_data") for part in ((), ("share",), ("lib",))), *shared]


def find_dictionary(path: str = "") -> Path:
    """The dictionary's file: ``path`` if it is given, else the first in the NLTK folders."""
    candidates = [Path(path).expanduser()] if path else [folder / DICTIONARY for folder in data_folders()]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        where = path or DICTIONARY
        raise DataError(f"{where}: the pronunciation dictionary is missing, looked in {', '.join(map(str, candidates[:4]))}; {FIX}")
    return found


@lru_cache(maxsize=2)
def load_dictionary(path: Path) -> dict[str, str]:
    """Upper-case word -> its first pronunciation, phones joined by spaces. Lines are ``WORD 1 W ER1 D`` (NLTK's form)."""
    words: dict[str, str] = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            word, _, rest = line.rstrip("\n").partition(" ")
            which, _, phones = rest.partition(" ")
            if not phones or not which.isdigit():
                raise DataError(f"{path}:{number}: expected WORD NUMBER PHONES, got {line.rstrip()[:60]!r}; {FIX}")
            words.setdefault(word, phones)
    return words


@lru_cache(maxsize=1)
def load_homographs() -> dict[str, Homograph]:
    """The list of homographs in g2p_en's folder, read without importing the package."""
    spec = importlib.util.find_spec("g2p_en")
    file = Path(spec.origin).parent / "homographs.en" if spec and spec.origin else None
    if file is None or not file.is_file():
        raise DataError("phone: the package g2p_en is missing or incomplete; run: pip install g2p-en")
    rows = [line.split("|") for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {row[0].lower(): Homograph(row[1].split(), row[2].split(), row[3]) for row in rows}


@lru_cache(maxsize=1)
def _tagger() -> Any:
    _need(f"{TAGGER}/")
    from nltk.tag import PerceptronTagger

    return PerceptronTagger()


@lru_cache(maxsize=1)
def _network() -> Any:
    _need(*NLTK_FILES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files open
        from g2p_en import G2p

        network = G2p()
        network.variables.close()
    return network


def _need(*names: str) -> None:
    import nltk

    for name in names:
        try:
            nltk.data.find(name)
        except LookupError as error:
            raise DataError(f"phone: NLTK's {name} is missing, and nothing is downloaded; {FIX}") from error


def tags(words: list[str]) -> list[str]:
    """Penn Treebank part-of-speech tags of the words of one sentence."""
    return [tag for _, tag in _tagger().tag(words)]


@lru_cache(maxsize=10_000)
def predict(word: str) -> tuple[str, ...]:
    """Phones of a lower-case word that the dictionary lacks (g2p_en's recurrent network)."""
    phones = ["UW1" if phone == "UW" else phone for phone in _network().predict(word)]
    return tuple(phone for phone in phones if phone in PHONES)
