"""Counts of an error analysis beside the published ones: ``errors.md`` for people, ``errors.json`` for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.data.writing import write_json, write_text
from toolkit.evaluate.error_analysis.analysis import Analysis, Finding
from toolkit.evaluate.error_analysis.word_events import KINDS, LATE_SECONDS, READ_SHARE, SKIP_SHARE, Event, counts
from toolkit.evaluate.results import markdown_table

TITLES = {"repeat": "repeated words", "skip": "skipped words", "mispronounced": "mispronunciations", "stop": "wrong stop"}
PROSODY = "unnatural prosody"
PUBLISHED = {"repeat": 0, "skip": 1, "mispronounced": 6, "stop": 1, "prosody": 23}  # Tacotron 2, section 3.2: 100 sentences, by ear
JUDGES = {
    "alignment": "speech, by alignment",
    "transcript": "speech, by transcript",
    "recordings": "recordings, by transcript",
    "both": "speech, by both",
    "either": "speech, by either",
}
STOPS = ("early", "late", "missed")
RULES = (
    f"Alignment: a word is skipped where its symbols never hold {SKIP_SHARE:g} of a decoder step's attention; repeated where attention"
    f" reads it again, from its first half on, after a later word (reading is {READ_SHARE:g} of the attention)."
    f" A stop is early where attention never reaches the end of the last word, late more than {LATE_SECONDS:g} s after it, in attention"
    " or in silence, and missed where the limit on length cuts the speech. It cannot see a mispronunciation.",
    "Transcript: the fewest edits between the words of the text and those that a recogniser heard. Not heard is skipped, at the end an"
    " early stop; heard again beside itself is repeated; extra words after the end are a late stop; another word in its place is"
    " mispronounced. The recogniser's own mistakes count too: the row of the recordings says how many there are.",
    "Each kind counts at most once in a sentence. A judge suspects; only a person who listens counts as the paper did: open errors.html.",
)


def verdicts(analysis: Analysis) -> dict[str, list[list[Event]]]:
    """Events by judge and sentence, of the judges that had something to go by in every sentence."""
    rows: dict[str, list[list[Event] | None]] = {
        "alignment": [finding.alignment for finding in analysis.findings],
        "transcript": [finding.transcript for finding in analysis.findings],
        "recordings": [finding.control for finding in analysis.findings],
    }
    return {name: [e for e in events if e is not None] for name, events in rows.items() if all(e is not None for e in events)}


def summary(analysis: Analysis) -> dict[str, dict[str, int]]:
    """Sentences with each kind of error, by judge; ``both`` and ``either`` of the two on the speech."""
    judges = verdicts(analysis)
    found = {name: counts(events) for name, events in judges.items()}
    if "alignment" in judges and "transcript" in judges:
        pairs = list(zip(judges["alignment"], judges["transcript"], strict=True))
        found["both"] = counts(_shared(first, second) for first, second in pairs)
        found["either"] = counts([*first, *second] for first, second in pairs)
    return found


def _shared(first: Sequence[Event], second: Sequence[Event]) -> list[Event]:
    """Events whose kind both judges found in the sentence."""
    return [event for event in first if event.kind in {other.kind for other in second}]


def stops(events: Iterable[Iterable[Event]]) -> dict[str, int]:
    """Sentences by how their stop is wrong."""
    seen = [{event.seen.partition(":")[0] for event in sentence if event.kind == "stop"} for sentence in events]
    return {how: sum(how in found for found in seen) for how in STOPS}


def count_rows(analysis: Analysis) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: the published counts, then each judge's."""
    head = ["counted in", "sentences", *(TITLES[kind] for kind in KINDS), PROSODY, "any of these"]
    rows = [["Tacotron 2 as published, by ear", "100", *(str(PUBLISHED[kind]) for kind in KINDS), str(PUBLISHED["prosody"]), "–"]]
    for name, found in summary(analysis).items():
        unseen = {"mispronounced"} if name in ("alignment", "both") else set()
        cells = ["–" if kind in unseen else str(found[kind]) for kind in KINDS]
        rows.append([JUDGES[name], str(len(analysis.findings)), *cells, "–", str(found["any"])])
    return head, rows


def stop_rows(analysis: Analysis) -> tuple[list[str], list[list[str]]]:
    """Wrong stops by judge: early, late, missed."""
    return ["judge", *STOPS], [[JUDGES[name], *(str(n) for n in stops(events).values())] for name, events in verdicts(analysis).items()]


def said(finding: Finding, events: Sequence[Event] | None) -> str:
    """Events of a sentence in words."""
    if events is None:
        return "not judged"
    names = [(event, " ".join(finding.words[k].text for k in event.words)) for event in events]
    return "; ".join(f"{event.kind}{f' {words!r}' if words else ''} ({event.seen})" for event, words in names) or "nothing"


def as_data(analysis: Analysis, command: str) -> dict[str, Any]:
    """Everything that was found as plain data."""

    def plain(events: Sequence[Event] | None) -> list[Mapping[str, Any]] | None:
        return None if events is None else [{"kind": e.kind, "words": list(e.words), "seen": e.seen} for e in events]

    return {
        "experiment": analysis.experiment,
        "source": analysis.source,
        "recogniser": analysis.recogniser,
        "command": command,
        "published": {"source": "Tacotron 2, section 3.2", "sentences": 100, **PUBLISHED},
        "counts": summary(analysis),
        "stops": {name: stops(events) for name, events in verdicts(analysis).items()},
        "sentences": [
            {
                "id": finding.id,
                "text": finding.text,
                "words": [word.text for word in finding.words],
                "stopped_by": finding.speech.stopped_by,
                "heard": finding.heard,
                "alignment": plain(finding.alignment),
                "transcript": plain(finding.transcript),
                "recording": plain(finding.control),
            }
            for finding in analysis.findings
        ],
    }


def write_tables(analysis: Analysis, out: Path, command: str) -> None:
    """``errors.md`` and ``errors.json`` in a folder."""
    suspects = [f for f in analysis.findings if f.alignment or f.transcript]
    rows = [[f.id, f.text, said(f, f.alignment), said(f, f.transcript)] for f in suspects]
    parts = [
        f"# Errors: {analysis.experiment}",
        f"{len(analysis.findings)} sentences of {analysis.source}. Recogniser: {analysis.recogniser}.",
        f"Command: `{command}`",
        "Sentences with each kind of error:",
        markdown_table(*count_rows(analysis)),
        "Wrong stops:",
        markdown_table(*stop_rows(analysis)),
        *RULES,
        "## Suspected sentences",
        markdown_table(["id", "text", "alignment", "transcript"], rows) if rows else "None.",
    ]
    write_text(out / "errors.md", "\n\n".join(parts) + "\n")
    write_json(out / "errors.json", as_data(analysis, command))
