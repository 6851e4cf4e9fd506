"""Word errors of a folder of recordings or synthesised speech, by pocketsphinx (closed vocabulary) and by Whisper (free).

    python tools/benchmarks/mini_word_errors.py --audio DIR --text FILE [--ids FILE] [--whisper DIR] [--out FILE.json]

DIR holds ``<id>.wav``, ``.flac`` or ``.ogg``; FILE has a line ``id text`` or ``id|text`` each. Needs pocketsphinx, jiwer, soundfile,
scipy, and for ``--whisper`` faster-whisper; neither torch nor an installed toolkit. Ends with 1 where a file is missing, or where
a recogniser gives under 70 % errors on shuffled texts: such a judge does not listen.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.data.writing import write_json  # noqa: E402
from toolkit.errors import DataError, ToolkitError  # noqa: E402
from toolkit.evaluate.recognition import (  # noqa: E402
    PocketsphinxRecogniser,
    Recogniser,
    WhisperRecogniser,
    shuffled,
    spoken_words,
    total,
    word_errors,
)

CHANCE = 0.7


def read_texts(path: Path, wanted: Path | None) -> dict[str, str]:
    """Identifier -> text, of the identifiers in the list ``wanted`` if one is given."""
    rows = [line.replace("|", " ", 1).split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = {row[0]: row[1].split("|")[-1] for row in rows if len(row) == 2}
    if wanted is None:
        return texts
    ids = wanted.read_text(encoding="utf-8").split()
    unknown = [uid for uid in ids if uid not in texts]
    if unknown:
        raise DataError(f"{wanted}: no text in {path}, got {unknown[0]} and {len(unknown) - 1} more; list what has a text")
    return {uid: texts[uid] for uid in ids}


def find_audio(folder: Path, ids: list[str]) -> dict[str, Path]:
    """Identifier -> sound file; all that are missing stand in one error."""
    found = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in (".wav", ".flac", ".ogg")}
    missing = [uid for uid in ids if uid not in found]
    if missing:
        raise DataError(f"{folder}: no recording, got {len(missing)} of {len(ids)} missing, first {missing[0]}; speak every sentence")
    return {uid: found[uid] for uid in ids}


def kind(text: str) -> str:
    """Clock times, digit strings, and strings longer than any in training."""
    words = text.split()
    return "clock" if words[0] == "it" else "digits" if len(words) <= 7 else "long digits"


def judge(recogniser: Recogniser, texts: dict[str, str], audio: dict[str, Path]) -> dict[str, Any]:
    """Transcribe everything and count: overall, per kind, per sentence, on shuffled texts."""
    heard: dict[str, str] = {}
    began = time.perf_counter()
    for uid, path in audio.items():
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        heard[uid] = recogniser.transcribe(np.ascontiguousarray(wave[:, 0]), rate)
    seconds = (time.perf_counter() - began) / len(audio)
    errors = {uid: word_errors(text, heard[uid]) for uid, text in texts.items()}
    kinds = defaultdict(list)
    for uid, text in texts.items():
        kinds[kind(text)].append(errors[uid])
    chance = total(word_errors(other, heard[uid]) for uid, other in zip(texts, shuffled(list(texts.values())), strict=True))
    wrong = sorted((uid for uid in texts if errors[uid].rate > 0), key=lambda uid: (-errors[uid].rate, uid))
    return {
        "word_error_rate": total(errors.values()).rate,
        "errors": total(errors.values())._asdict(),
        "kinds": {name: {"word_error_rate": total(rows).rate, "sentences": len(rows)} for name, rows in sorted(kinds.items())},
        "shuffled_word_error_rate": chance.rate,
        "sentences_with_errors": len(wrong),
        "seconds_per_sentence": round(seconds, 3),
        "wrong": [{"id": uid, "text": texts[uid], "heard": heard[uid], "word_error_rate": errors[uid].rate} for uid in wrong],
    }


def show(name: str, result: dict[str, Any], worst: int) -> None:
    """The figures of one recogniser as lines."""
    kinds = ", ".join(f"{kind} {row['word_error_rate']:.2%} of {row['sentences']}" for kind, row in result["kinds"].items())
    print(f"{name}: word errors {result['word_error_rate']:.2%} ({kinds}); {result['sentences_with_errors']} sentences with errors; "
          f"shuffled texts {result['shuffled_word_error_rate']:.1%}; {result['seconds_per_sentence']:.2f} s a sentence")  # fmt: skip
    for row in result["wrong"][:worst]:
        print(f"  {row['id']}  {row['text']}  |  {' '.join(spoken_words(row['heard']))}  |  as written: {row['heard']}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, required=True, help="folder of sound files named by identifier")
    parser.add_argument("--text", type=Path, required=True, help="lines of identifier and text")
    parser.add_argument("--ids", type=Path, help="list of identifiers to judge; default: every line of --text")
    default = ROOT / "recipes" / "ljspeech" / "mini" / "lexicon.txt"
    parser.add_argument("--lexicon", type=Path, default=default, help="vocabulary of pocketsphinx")
    parser.add_argument("--whisper", type=Path, help="folder of a CTranslate2 Whisper model")
    parser.add_argument("--worst", type=int, default=10, help="how many wrong sentences to print")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    texts = read_texts(args.text, args.ids)
    audio = find_audio(args.audio, list(texts))
    words = args.lexicon.read_text(encoding="utf-8").split()
    recognisers: dict[str, Recogniser] = {"pocketsphinx": PocketsphinxRecogniser(words)}
    if args.whisper:
        recognisers["whisper"] = WhisperRecogniser(args.whisper)
    results = {}
    for name, recogniser in recognisers.items():
        results[name] = judge(recogniser, texts, audio)
        show(name, results[name], args.worst)
    if args.out:
        write_json(args.out, results)
    return int(any(result["shuffled_word_error_rate"] < CHANCE for result in results.values()))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolkitError as error:
        sys.exit(f"error: {error}")
