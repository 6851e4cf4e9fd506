"""Word errors of speech, judged by a recogniser: transcribe, read both texts as spoken words, count the edits.

Two judges: pocketsphinx with a free loop over a closed vocabulary, and Whisper without any grammar. Neither is imported
before it is asked for, and nothing here needs torch.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from toolkit.errors import ConfigError, DataError, MissingExtraError

RATE = 16000
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
MINUTES = {15: "quarter", 30: "half"}
CLOCK_WORDS = {"it", "past", "half", "quarter", "o'clock"}
REDUCED = {"it": "IH D", "past": "P AE S"}  # how they sound before a vowel and a consonant; the dictionary lacks them
SILENCE = 0.1  # seconds added at both ends: pocketsphinx needs a start and an end to hear the first and the last word
# A free loop has no language to weigh (defaults lw 6.5, wip 0.65). The mean is that of the whole utterance, not
# carried over from the one before: a result must not depend on the order. The lattice search changes nothing and takes 4/5 of the time.
SETTINGS = {"lw": 1.0, "wip": 1.0, "pip": 1.0, "cmn": "batch", "bestpath": False}
SOUND_ALIKE = {"to": "two", "too": "two", "for": "four"}


class Recogniser(Protocol):
    """Anything that writes down what it hears."""

    def transcribe(self, wave: NDArray[np.float32], sample_rate: int) -> str:
        """The text of a wave (N samples, full scale 1.0)."""


class PocketsphinxRecogniser:
    """A closed vocabulary in any order and any number (extra ``[eval]``); pronunciations from the bundled dictionary.

    Args:
        words: the vocabulary.
        settings: decoder settings of pocketsphinx that replace ``SETTINGS``, found on training recordings of the mini corpus.
    """

    def __init__(self, words: Iterable[str], **settings: Any) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise MissingExtraError("recognition by pocketsphinx", "eval", "pocketsphinx") from error
        vocabulary = sorted(set(words))
        self._decoder = Decoder(lm=None, samprate=float(RATE), loglevel="FATAL", **(SETTINGS | settings))
        unknown = [word for word in vocabulary if self._decoder.lookup_word(word) is None]
        if unknown or not vocabulary:
            raise ConfigError(f"vocabulary: not in the recogniser's dictionary, got {', '.join(unknown) or 'no words'}; use English words")
        for word in vocabulary:
            if word in REDUCED:
                self._decoder.add_word(f"{word}(9)", REDUCED[word], True)
        self._decoder.add_jsgf_string("loop", f"#JSGF V1.0; grammar loop; public <loop> = ( {' | '.join(vocabulary)} )+;")
        self._decoder.activate_search("loop")

    def transcribe(self, wave: NDArray[np.float32], sample_rate: int) -> str:
        """The likeliest words, or an empty text where none fits."""
        padded = np.pad(resampled(wave, sample_rate), int(SILENCE * RATE))
        samples = np.clip(padded * 32767, -32768, 32767).astype("<i2")
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found else ""


class WhisperRecogniser:
    """Whisper through faster-whisper, English, greedy temperature, no grammar and no prompt.

    Args:
        folder: a CTranslate2 model: ``model.bin``, ``config.json``, ``tokenizer.json``, vocabulary.
        threads: processor threads.
    """

    def __init__(self, folder: Path | str, threads: int = 1) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingExtraError("recognition by Whisper", "eval", "faster-whisper") from error
        if not (Path(folder) / "model.bin").is_file():
            raise ConfigError(f"{folder}: no Whisper model there, model.bin is missing; give a CTranslate2 model folder")
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)

    def transcribe(self, wave: NDArray[np.float32], sample_rate: int) -> str:
        """The likeliest text by a beam of five."""
        settings = {"language": "en", "beam_size": 5, "temperature": 0.0, "condition_on_previous_text": False, "without_timestamps": True}
        segments, _ = self._model.transcribe(resampled(wave, sample_rate), **settings)
        return " ".join(segment.text.strip() for segment in segments)


def resampled(wave: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """The wave (N) at the recognisers' 16 kHz."""
    if sample_rate == RATE:
        return wave.astype(np.float32)
    divisor = math.gcd(sample_rate, RATE)
    result: NDArray[np.float32] = resample_poly(wave.astype(np.float64), RATE // divisor, sample_rate // divisor).astype(np.float32)
    return result


def spoken_words(text: str) -> list[str]:
    """The words of a text as they are spoken, so that different spellings of the same speech compare equal.

    ``473``, ``4-7-3`` and ``four seven three`` are digits one by one; where the text speaks of a clock, ``25 past 11`` is
    ``twenty five past eleven`` and ``7:40`` is ``twenty to eight``. Words that sound alike (to, too, two) become one.
    """
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = re.sub(r"\bo[' ]?clock\b", "o'clock", text)
    text = re.sub(r"\bit's\b", "it is", text)
    text = re.sub(r"\b(\d{1,2})[:.](\d\d)\b", _clock_time, text)
    tokens = re.findall(r"\d+|[a-z']+", text)
    clock = not CLOCK_WORDS.isdisjoint(tokens)
    words: list[str] = []
    for token in tokens:
        if not token.isdigit():
            words.append(token.strip("'"))
        elif clock and len(token) == 2 and token[0] != "0":
            words += _number(int(token))
        else:
            words += [ONES[int(digit)] for digit in token]
    return [SOUND_ALIKE.get(word, word) for word in words if word]


def _number(value: int) -> list[str]:
    """Words of 0 to 99."""
    if value < 20:
        return [ONES[value]]
    return [TENS[value // 10 - 2]] + ([ONES[value % 10]] if value % 10 else [])


def _clock_time(match: re.Match[str]) -> str:
    """``7:40`` -> ``twenty to eight``; what is no time of a clock is left as it is."""
    hour, minute = int(match[1]), int(match[2])
    if not 1 <= hour <= 12 or minute > 59:
        return match[0]
    if minute == 0:
        return f"{ONES[hour]} o'clock"
    distance, side, named = (minute, "past", hour) if minute <= 30 else (60 - minute, "to", hour % 12 + 1)
    return f"{MINUTES.get(distance) or ' '.join(_number(distance))} {side} {ONES[named]}"


class Errors(NamedTuple):
    """Edits that turn the reference into what was heard, and the reference's length in words."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def rate(self) -> float:
        """Word error rate, (S + D + I) / N; it may exceed 1."""
        return (self.substitutions + self.deletions + self.insertions) / self.words


def word_errors(reference: str, hypothesis: str) -> Errors:
    """Count the edits between two texts, both read as spoken words.

    Raises:
        DataError: the reference has no words.
    """
    words = _reference_words(reference)
    result = jiwer_module().process_words(" ".join(words), " ".join(spoken_words(hypothesis)))
    return Errors(result.substitutions, result.deletions, result.insertions, len(words))


def total(errors: Iterable[Errors]) -> Errors:
    """The sum over sentences: its rate weighs every word alike."""
    rows = list(errors)
    if not rows:
        raise DataError("word errors: no sentences to sum, got 0; give at least one")
    return Errors(*(sum(column) for column in zip(*rows, strict=True)))


def character_error_rate(reference: str, hypothesis: str) -> float:
    """Edits over characters of the spoken words, spaces included."""
    return float(jiwer_module().cer(" ".join(_reference_words(reference)), " ".join(spoken_words(hypothesis))))


def shuffled(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The texts in other places, none in its own: a recogniser that really listens has high errors against them."""
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    result = list(texts)
    for place, source in zip(order, order[1:] + order[:1], strict=True):
        result[place] = texts[source]
    return result


def _reference_words(reference: str) -> list[str]:
    words = spoken_words(reference)
    if not words:
        raise DataError(f"word errors: the reference has no words, got {reference!r}; give the spoken text")
    return words


def jiwer_module() -> Any:
    """jiwer, imported when the first error is counted."""
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtraError("counting word errors", "eval", "jiwer") from error
    return jiwer
