"""``errors.html``: every sentence of an error analysis with its speech and both verdicts, for a person who confirms them by ear."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from toolkit.data.writing import write_text
from toolkit.evaluate.error_analysis.analysis import Analysis, Finding
from toolkit.evaluate.error_analysis.tables import RULES, TITLES, count_rows, said, stop_rows
from toolkit.evaluate.error_analysis.word_events import Event
from toolkit.evaluate.page import details, document, escape, flac, picture, player, table
from toolkit.train import pictures

BOXES = {
    "repeat": "a word repeated",
    "skip": "a word skipped",
    "mispronounced": "a word mispronounced",
    "stop": "wrong stop",
    "prosody": "unnatural prosody",
    "fine": "fine",
}
HOW = (
    "Listen to each sentence and mark every kind of error that you hear, or “fine”. Each kind counts at most once in a sentence."
    " Marked words are what the judges suspect. What you mark is kept in this browser; save it as a file when you are done."
)
KEYS = "J next sentence · K previous · P play or pause · 1 to 6 the marks, in their order"


def write_page(analysis: Analysis, out: Path, command: str) -> Path:
    """Write ``errors.html`` into a folder; it needs nothing else."""
    head, rows = count_rows(analysis)
    counted = [*([escape(cell) for cell in row] for row in rows), _by_ear(len(analysis.findings))]
    ends_head, ends = stop_rows(analysis)
    parts = [
        '<a class="skip" href="#sentences">Skip to the sentences</a><header class="top"><p class="kicker">Error analysis</p>',
        f"<h1>{escape(analysis.experiment)}</h1><p class='lead'>{escape(HOW)}</p></header>{_bar(analysis)}<main id='content'>",
        table([escape(cell) for cell in head], counted, "Sentences with each kind of error", "wide"),
        table(ends_head, [[escape(cell) for cell in row] for row in ends], "Wrong stops, by judge") if ends else "",
        details("How the judges decide", "".join(f"<p>{escape(rule)}</p>" for rule in RULES)),
        f"<p class='quiet'>Recogniser: {escape(analysis.recogniser)}. Command: <code>{escape(command)}</code></p>",
        '<section id="sentences" aria-labelledby="sentences-title"><h2 id="sentences-title">Sentences</h2>',
        *(_card(number, finding) for number, finding in enumerate(analysis.findings, start=1)),
        "</section></main>",
    ]
    path = out / "errors.html"
    write_text(path, document(f"{analysis.experiment}: errors", "".join(parts), "error_page"))
    return path


def _by_ear(sentences: int) -> list[str]:
    """The row that fills as the listener marks."""
    cells = [f'<output data-count="{kind}">0</output>' for kind in ("repeat", "skip", "mispronounced", "stop", "prosody", "any")]
    return ["confirmed here, by ear", f'<output data-count="judged">0</output> of {sentences}', *cells]


def _bar(analysis: Analysis) -> str:
    """Progress, filters and files, in sight all the time."""
    told = "\n".join(f"{finding.id} {finding.text} {len(finding.speech.wave)}" for finding in analysis.findings)
    key = hashlib.sha256(f"{analysis.experiment}\n{told}".encode()).hexdigest()[:16]
    return (
        f'<div class="bar" role="region" aria-label="Progress" data-key="{key}" data-name="{escape(analysis.experiment)}">'
        f'<p role="status"><output data-count="judged">0</output> of {len(analysis.findings)} judged</p>'
        '<label><input type="checkbox" id="suspected"> only suspected</label>'
        '<label><input type="checkbox" id="open"> only not judged</label>'
        '<button type="button" id="csv">Save as CSV</button><button type="button" id="json">Save as JSON</button>'
        f'<label><input type="checkbox" id="keys" checked> keys</label><p class="quiet keys">{escape(KEYS)}</p></div>'
    )


def _card(number: int, finding: Finding) -> str:
    doubt = bool(finding.alignment or finding.transcript)
    heard = {} if finding.heard is None else {"Heard": finding.heard or "(nothing)"}
    boxes = "".join(
        f'<label><input type="checkbox" name="{kind}"> <kbd>{place}</kbd> {escape(title)}</label>'
        for place, (kind, title) in enumerate(BOXES.items(), start=1)
    )
    data = {
        "id": finding.id,
        "text": finding.text,
        "suspected": str(doubt).lower(),
        "alignment": _kinds(finding.alignment),
        "transcript": _kinds(finding.transcript),
    }
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    verdicts = {"Alignment": said(finding, finding.alignment), "Transcript": said(finding, finding.transcript), **heard}
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(verdict)}</dd></div>" for name, verdict in verdicts.items())
    speech = player(flac(finding.speech.wave, finding.speech.sample_rate), f"Speech: {finding.text}")
    return (
        f'<article class="utterance sentence" id="s{number}" tabindex="-1" aria-labelledby="t{number}"{attributes}>'
        f'<header><h3 id="t{number}"><span class="number">{number}</span>{_marked(finding)}</h3>'
        f'<p class="facts"><code>{escape(finding.id)}</code></p></header><div class="columns"><div>{speech}'
        f'<fieldset><legend>What do you hear?</legend>{boxes}</fieldset><dl class="verdicts">{told}</dl></div>'
        f"{_picture(finding)}</div></article>"
    )


def _kinds(events: Sequence[Event] | None) -> str:
    return " ".join(dict.fromkeys(event.kind for event in events or []))


def _marked(finding: Finding) -> str:
    """The text with suspected words marked; what is wrong with each stands in its tooltip, and below in words."""
    wrong: dict[int, list[str]] = {}
    for event in [*(finding.alignment or []), *(finding.transcript or [])]:
        for number in event.words:
            wrong.setdefault(number, []).append(TITLES[event.kind])
    parts, end = [], 0
    for k, word in enumerate(finding.words):
        if k in wrong:
            title = ", ".join(dict.fromkeys(wrong[k]))
            parts += [escape(finding.text[end : word.start]), f'<mark title="{escape(title)}">{escape(word.text)}</mark>']
            end = word.end
    return "".join([*parts, escape(finding.text[end:])])


def _picture(finding: Finding) -> str:
    if finding.speech.weights is None:
        return ""
    symbols = finding.speech.symbols if len(finding.speech.symbols) == finding.speech.weights.shape[1] else None
    image = pictures.png(pictures.alignment(finding.speech.weights, symbols, finding.speech.step_seconds))
    return picture(image, f"Alignment of: {finding.text}", f"Alignment; ended by {finding.speech.stopped_by}")
