"""Repeated, skipped and mispronounced words and wrong stops of one sentence, by two judges: its alignment and a transcript.

Tacotron 2 counts these by ear (section 3.2); a judge only suspects, and a person confirms. Every rule stands in a docstring.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.evaluate.recognition import jiwer_module, spoken_words

KINDS = ("repeat", "skip", "mispronounced", "stop")
WORD = re.compile(r"\{[^{}]*\}|\w+(?:['.-]\w+)*")
SKIP_SHARE = 0.3  # of one decoder step's attention
READ_SHARE = 0.5
LATE_SECONDS = 0.5


class Word(NamedTuple):
    """A word of the cleaned text: its characters ``[start, end)`` there and its symbols ``[first, last)``."""

    text: str
    start: int
    end: int
    first: int
    last: int


class Event(NamedTuple):
    """A suspicion: its kind, the words by number (none for what follows the end), and what was seen."""

    kind: str
    words: tuple[int, ...]
    seen: str


def words_of(cleaned: str, tokenize: Callable[[str], list[str]]) -> list[Word]:
    """The words of a cleaned text. Where symbols begin is found by tokenizing what stands before, so it holds for every tokenizer."""
    spans = [(match.start(), match.end()) for match in WORD.finditer(cleaned)]
    size = len(tokenize(cleaned))
    counts = [(len(tokenize(cleaned[:start])), len(tokenize(cleaned[:end]))) for start, end in spans]
    return [
        Word(cleaned[start:end], start, end, min(first, size), min(last, size))
        for (start, end), (first, last) in zip(spans, counts, strict=True)
    ]


def alignment_events(
    weights: NDArray[np.floating], words: Sequence[Word], step_seconds: float, stopped_by: str, silence: float = 0.0
) -> list[Event]:
    """What the attention ``T/r x S`` of a synthesis says.

    - early stop: the strongest symbol of no step lies in the second half of the last word or after it. The words at the end that
      got no attention (as in *skip*) are missing; they are not counted as skipped too.
    - skip: the symbols of the word together never hold ``SKIP_SHARE`` of a step's attention.
    - repeat: a word that is read again, after a later one or by going back over more than half of it. *Read* are steps in which
      a word's symbols hold ``READ_SHARE`` of the attention. Going back counts where it begins in the word's first half, and takes
      at least half the steps and half the symbols of its longest reading before: a whole word, not a tremble at a boundary.
    - late stop: more than ``LATE_SECONDS`` after the last step whose strongest symbol belongs to the text, or so much silence at
      the end of the wave.
    - missed stop: the limit on length ended the speech.

    Args:
        silence: seconds at the end of the wave.
    """
    words = [word for word in words if word.last > word.first]
    if not words:
        return []
    shares = np.stack([weights[:, word.first : word.last].sum(1) for word in words], 1)
    strongest = weights.argmax(1)
    unread = [k for k, peak in enumerate(shares.max(0)) if peak < SKIP_SHARE]
    last = words[-1]
    early = int(strongest.max()) < last.first + (last.last - last.first - 1) // 2
    missing = _tail(unread, len(words)) or ((len(words) - 1,) if early else ())
    events = [Event("skip", (k,), "no attention") for k in unread if not (early and k in missing)]
    events += [Event("repeat", (k,), "read again") for k in _repeated(shares, strongest, words)]
    text = np.flatnonzero(strongest < last.last)
    after = (len(weights) - 1 - int(text[-1] if len(text) else -1)) * step_seconds
    if early:
        events.append(Event("stop", missing, "early: attention never reached the end"))
    if stopped_by == "limit":
        events.append(Event("stop", (), "missed: cut off at the limit on length"))
    elif not early and max(after, silence) > LATE_SECONDS:
        events.append(Event("stop", (), f"late: {max(after, silence):.1f} s after the end"))
    return events


def _repeated(shares: NDArray[np.floating], strongest: NDArray[np.intp], words: Sequence[Word]) -> list[int]:
    """Words that are read again, each once."""
    readings: list[tuple[int, list[int]]] = []  # word, its strongest symbol in successive steps
    for row, symbol in zip(shares, strongest.tolist(), strict=True):
        k = int(row.argmax())
        if row[k] < READ_SHARE:
            continue
        half = (words[k].last - words[k].first) / 2
        if readings and readings[-1][0] == k and symbol >= readings[-1][1][-1] - half:
            readings[-1][1].append(symbol)
        else:
            readings.append((k, [symbol]))
    found = set()
    for place, (k, symbols) in enumerate(readings):
        before = [earlier for word, earlier in readings[:place] if word == k]
        since = next(n for n, (word, _) in enumerate(readings) if word == k)
        back = any(word > k for word, _ in readings[since:place]) or (before and readings[place - 1][0] == k)
        if back and _whole(symbols, max(before, key=len), words[k]):
            found.add(k)
    return sorted(found)


def _whole(again: Sequence[int], before: Sequence[int], word: Word) -> bool:
    """Whether a reading takes up the word at its beginning and is about as much as the one before."""
    from_start = again[0] < (word.first + word.last) / 2
    return from_start and 2 * len(again) >= len(before) and 2 * len(set(again)) >= len(set(before))


def _tail(indices: Iterable[int], count: int) -> tuple[int, ...]:
    """Those of the indices that lead up to ``count`` without a gap."""
    known = set(indices)
    start = count
    while start - 1 in known:
        start -= 1
    return tuple(range(start, count))


def transcript_events(words: Sequence[Word], heard: str) -> list[Event]:
    """What a recogniser's transcript says, aligned with the text by the fewest edits of spoken words.

    - early stop: the last words were not heard.
    - skip: a word was not heard, and is not one of those.
    - repeat: an extra word is one of the words beside it, within as many places as there are extra words together.
    - late stop: extra words after the last word that repeat nothing.
    - mispronounced: another word was heard in its place, or an extra one after it that is none of the above.
    """
    spoken = [(word, k) for k, whole in enumerate(words) for word in spoken_words(whole.text)]
    reference, owners = [word for word, _ in spoken], [k for _, k in spoken]
    found = spoken_words(heard)
    if not reference:
        return []
    deleted: list[int] = []
    events: list[Event] = []
    for chunk in _chunks(reference, found):
        start, end, extra = chunk.ref_start_idx, chunk.ref_end_idx, found[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            deleted += range(start, end)
        elif chunk.type == "substitute":
            events += [Event("mispronounced", (owners[start + k],), f"heard {word!r}") for k, word in enumerate(extra)]
        elif chunk.type == "insert":
            events += _extra(extra, start, reference, owners)
    missing = _tail(deleted, len(reference))
    if missing:
        events.append(Event("stop", tuple(dict.fromkeys(owners[k] for k in missing)), "early: the last words were not heard"))
    skipped = dict.fromkeys(owners[k] for k in deleted if k not in missing)
    return events + [Event("skip", (k,), "not heard") for k in skipped]


def _extra(extra: Sequence[str], place: int, reference: Sequence[str], owners: Sequence[int]) -> list[Event]:
    """Events of extra words that were heard before the reference's word ``place``."""
    near = range(max(0, place - len(extra)), min(len(reference), place + len(extra)))
    repeated = tuple(dict.fromkeys(owners[k] for k in near if reference[k] in extra))
    others = [word for word in extra if word not in {reference[k] for k in near}]
    events = [Event("repeat", repeated, f"heard again: {' '.join(extra)}")] if repeated else []
    if others and place == len(reference):
        events.append(Event("stop", (), f"late: heard {' '.join(others)!r} after the end"))
    elif others:
        events.append(Event("mispronounced", (owners[max(0, place - 1)],), f"also heard {' '.join(others)!r}"))
    return events


def _chunks(reference: Sequence[str], found: Sequence[str]) -> list[Any]:
    return list(jiwer_module().process_words(" ".join(reference), " ".join(found)).alignments[0])


def counts(sentences: Iterable[Iterable[Event]]) -> dict[str, int]:
    """In how many sentences each kind stands, counted at most once in each, and ``any`` of them."""
    found = [{event.kind for event in events} for events in sentences]
    return {kind: sum(kind in kinds for kinds in found) for kind in KINDS} | {"any": sum(bool(kinds) for kinds in found)}
