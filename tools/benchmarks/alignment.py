#!/usr/bin/env python3
"""How far are the word boundaries of `toolkit align` from those of an aligner that knows nothing of it?

    python tools/benchmarks/alignment.py --data DUMP --utterances 50 ALIGNMENT [ALIGNMENT ...]

DUMP holds train/, dev/ and eval/ with wav.scp; an ALIGNMENT is what `toolkit align --out` made of it. The other aligner is that of
pocketsphinx (extra [eval]): hidden Markov models of triphones, trained on other speakers. Sentences with a word that its dictionary
lacks are left out. Both may be wrong, but hardly alike. Only for English.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.align.agreement import Agreement, of_differences
from toolkit.align.results import SPLITS, WORDS, intervals_in
from toolkit.align.times import Interval
from toolkit.audio import wave as wave_files
from toolkit.data import kaldi
from toolkit.errors import DataError, MissingExtraError, ToolkitError
from toolkit.evaluate.recognition import RATE

FRAME = 0.01  # seconds, of pocketsphinx


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alignments", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--utterances", type=int, default=50, help="of each split, the first ones")
    args = parser.parse_args()
    try:
        reference = dict(aligned(args.data, args.alignments[0], args.utterances))
        print(f"{len(reference)} utterances, {sum(map(len, reference.values()))} words")
        for folder in args.alignments:
            for name, agreement in distances(folder, reference).items():
                print(f"{folder}: {name} of words: {agreement}")
    except ToolkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def aligned(data: Path, alignment: Path, most: int) -> Iterator[tuple[str, list[Interval]]]:
    """Words of the utterances that pocketsphinx could align."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise MissingExtraError("alignment by pocketsphinx", "eval", "pocketsphinx") from error
    decoder = Decoder(lm=None, samprate=float(RATE), loglevel="FATAL")
    for split in SPLITS:
        waves = kaldi.read_map(data / split / "wav.scp")
        for key, intervals in list(intervals_in(alignment / split / WORDS).items())[:most]:
            words = [re.sub(r"[^a-z']", "", word.label.lower()) for word in intervals]
            if all(word and decoder.lookup_word(word) for word in words):
                found = times(decoder, words, wave_files.read(kaldi.to_path(waves[key]), RATE))
                if [word.label for word in found] == words:
                    yield key, found


def times(decoder: Any, words: list[str], wave: NDArray[np.float32]) -> list[Interval]:
    """Where the decoder hears each word of a wave at ``RATE``; fewer than were asked where it finds no path."""
    decoder.set_align_text(" ".join(words))
    decoder.start_utt()
    decoder.process_raw((np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    heard = [segment for segment in decoder.seg() or [] if re.match(r"[a-z']", segment.word)]
    lengths = [(segment.end_frame + 1 - segment.start_frame) * FRAME for segment in heard]
    return [Interval(s.start_frame * FRAME, length, re.sub(r"\(\d+\)", "", s.word)) for s, length in zip(heard, lengths, strict=True)]


def distances(folder: Path, reference: dict[str, list[Interval]]) -> dict[str, Agreement]:
    """Of the starts and of the ends of words."""
    ours = {key: words for split in SPLITS for key, words in intervals_in(folder / split / WORDS).items()}
    missing = [key for key in reference if len(ours.get(key, ())) != len(reference[key])]
    if missing:
        raise DataError(f"{folder}: other words than in the first alignment, got {missing[0]}; align the same texts")
    pairs = [pair for key, words in reference.items() for pair in zip(words, ours[key], strict=True)]
    starts = np.array([mine.start - theirs.start for theirs, mine in pairs])
    ends = np.array([mine.start + mine.seconds - theirs.start - theirs.seconds for theirs, mine in pairs])
    return {"starts": of_differences(starts), "ends": of_differences(ends)}


if __name__ == "__main__":
    sys.exit(main())
