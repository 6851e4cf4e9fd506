"""Durations in frames -> times of symbols and words, as CTM lines and as Praat's TextGrid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from toolkit.align.path import Ints
from toolkit.errors import DataError
from toolkit.text.base import speakable
from toolkit.text.frontend import TextFrontend
from toolkit.text.vocabulary import EOS


class Interval(NamedTuple):
    """What is heard from ``start`` for ``seconds``."""

    start: float
    seconds: float
    label: str


def symbol_times(symbols: Sequence[str], durations: Ints, hop: float) -> list[Interval]:
    """The symbols that have frames. ``symbols`` are without ``<eos>``, ``durations`` with it; ``hop``: seconds a frame."""
    if len(durations) != len(symbols) + 1:
        raise DataError(f"durations: expected one for each of {len(symbols)} symbols and {EOS}, got {len(durations)}; align again")
    ends = np.cumsum(durations)
    shown = zip([*symbols, EOS], ends - durations, durations, strict=True)
    return [Interval(float(start) * hop, float(count) * hop, symbol) for symbol, start, count in shown if count]


def word_times(frontend: TextFrontend, text: str, durations: Ints, hop: float) -> list[Interval]:
    """The words of a text, from their first symbol to their last.

    Raises:
        DataError: the tokenizer's pieces are not its symbols, so that nobody knows which symbols a word has.
    """
    symbols, pieces = frontend.symbols(text), frontend.tokenizer.pieces(frontend.cleaner(text))
    if [symbol for _, own in pieces for symbol in own] != symbols:
        raise DataError(f"text: tokenizer {type(frontend.tokenizer).__name__} cannot tell which symbols a word has, got {text[:60]!r}")
    ends = np.concatenate([[0], np.cumsum(durations)])
    words, place = [], 0
    for word, own in pieces:
        first, place = place, place + len(own)
        if speakable(own):
            words.append(Interval(float(ends[first]) * hop, float(ends[place] - ends[first]) * hop, word))
    return words


def ctm(times: Mapping[str, Iterable[Interval]]) -> str:
    """Lines ``id 1 start seconds label`` in NIST's form; a space is ``<space>``."""
    return "".join(
        f"{key} 1 {start:.4f} {seconds:.4f} {'<space>' if label == ' ' else label}\n"
        for key, intervals in times.items()
        for start, seconds, label in intervals
    )


def read_ctm(text: str, where: str) -> dict[str, list[Interval]]:
    """The inverse of ``ctm``.

    Raises:
        DataError: a line has not five fields, or its times are no numbers.
    """
    times: dict[str, list[Interval]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            key, _, start, seconds, label = line.split()
            interval = Interval(float(start), float(seconds), " " if label == "<space>" else label)
        except ValueError:
            raise DataError(f"{where}:{number}: expected: id channel start seconds label, got {line[:80]!r}; align again") from None
        times.setdefault(key, []).append(interval)
    return times


def text_grid(tiers: Mapping[str, Sequence[Interval]], seconds: float) -> str:
    """Praat's long text form: each tier covers ``seconds`` without gaps, where nothing is said with empty labels."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {seconds:.6f}", "tiers? <exists>"]
    lines += [f"size = {len(tiers)}", "item []:"]
    for index, (name, intervals) in enumerate(tiers.items(), 1):
        covering = _covering(intervals, seconds)
        lines += [f"    item [{index}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}", "        xmin = 0"]
        lines += [f"        xmax = {seconds:.6f}", f"        intervals: size = {len(covering)}"]
        for number, (start, end, label) in enumerate(covering, 1):
            lines += [f"        intervals [{number}]:", f"            xmin = {start:.6f}", f"            xmax = {end:.6f}"]
            lines.append(f"            text = {_quoted(label.strip())}")
    return "\n".join(lines) + "\n"


def _covering(intervals: Sequence[Interval], seconds: float) -> list[tuple[float, float, str]]:
    """Start, end and label of the intervals and of the gaps between them."""
    result, place = [], 0.0
    for start, length, label in intervals:
        if start > place + 1e-6:
            result.append((place, start, ""))
        place = start + length
        result.append((start, place, label))
    if seconds > place + 1e-6:
        result.append((place, seconds, ""))
    return result


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
