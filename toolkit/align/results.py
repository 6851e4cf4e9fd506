"""What an alignment leaves: in each split's folder durations and times, and on request a TextGrid of each utterance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from toolkit.align.path import Ints
from toolkit.align.times import Interval, ctm, read_ctm, symbol_times, text_grid, word_times
from toolkit.data import kaldi
from toolkit.data.store import ArkWriter
from toolkit.data.writing import write_text
from toolkit.errors import DataError
from toolkit.text.frontend import TextFrontend

SPLITS = ("train", "dev", "eval")
DURATIONS, SYMBOLS, WORDS, FACTS = "durations.scp", "symbols.ctm", "words.ctm", "align.json"
FILES = ("durations.ark", DURATIONS, SYMBOLS, WORDS)


def write_split(folder: Path, durations: Mapping[str, Ints], texts: Mapping[str, str], frontend: TextFrontend, hop: float) -> None:
    """Write durations (frames of each symbol, ``<eos>`` last) and the times of symbols and words, ``hop`` seconds a frame."""
    symbols = {key: symbol_times(frontend.symbols(texts[key]), counts, hop) for key, counts in durations.items()}
    words = {key: word_times(frontend, texts[key], counts, hop) for key, counts in durations.items()}
    with ArkWriter(folder / "durations.ark", folder / DURATIONS) as writer:
        for key, counts in durations.items():
            writer.add(key, counts.astype(np.float32))  # the store holds floats, exact for whole numbers below 16 million
    write_text(folder / SYMBOLS, ctm(symbols))
    write_text(folder / WORDS, ctm(words))


def write_text_grids(out: Path, data: Path, grids: Path, hop: float) -> int:
    """A TextGrid of each aligned utterance, with tiers ``words`` and ``symbols``, as ``grids/<split>/<id>.TextGrid``. Returns how many."""
    written = 0
    for split in SPLITS:
        words, symbols = intervals_in(out / split / WORDS), intervals_in(out / split / SYMBOLS)
        for key, frames in kaldi.read_map(data / split / "utt2num_frames").items():
            tiers = {"words": words.get(key, []), "symbols": symbols.get(key, [])}
            write_text(grids / split / f"{key}.TextGrid", text_grid(tiers, int(frames) * hop))
            written += 1
    return written


def intervals_in(path: Path) -> dict[str, list[Interval]]:
    """The intervals in a CTM file.

    Raises:
        DataError: there is no such file, or it is damaged.
    """
    try:
        return read_ctm(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no alignment here; make one with: toolkit align") from None
