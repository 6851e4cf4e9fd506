"""``ablation.html``: the tables and a few sentences of every cell to listen to, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.evaluate.ablation.results import Result
from toolkit.evaluate.ablation.scores import Scored
from toolkit.evaluate.ablation.tables import NOTES, Rows, all_rows
from toolkit.evaluate.page import details, document, escape, flac, player, section, table
from toolkit.evaluate.published_scores import TABLES
from toolkit.evaluate.scoring import load

HEARD = 3  # sentences of each table


def as_html(
    tables: Mapping[str, Mapping[str, Result]], references: Mapping[str, str], scored: Mapping[str, Scored | str],
    lists: Sequence[Rows], about: Sequence[str], facts: Mapping[str, str],
) -> str:  # fmt: skip
    """The page.

    Args:
        tables: rows by table and key. references: key of each table's reference.
        about: paragraphs at the top.
        facts: versions and hardware.
    """
    parts = {name: (TABLES[name].title, _table(name, rows, references[name], scored)) for name, rows in tables.items()}
    if lists:
        parts["lists"] = ("Second list", "".join(_html(rows) for rows in lists))
    parts["environment"] = ("Environment", table(["What", "Version"], [[escape(k), escape(v)] for k, v in facts.items()], "Environment"))
    links = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, (title, _) in parts.items())
    body = (
        '<a class="skip" href="#content">Skip to the content</a><header class="top"><p class="kicker">Text-to-speech ablations</p>'
        f"<h1>Tacotron 2, published and here</h1>{''.join(f'<p>{escape(text)}</p>' for text in about)}</header>"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav><main id="content">'
        + "".join(section(key, title, part) for key, (title, part) in parts.items())
        + details("How to read the figures", "".join(f"<p>{escape(note)}</p>" for note in NOTES), shown=True)
        + "</main>"
    )
    return document("Ablations of Tacotron 2", body)


def _table(name: str, rows: Mapping[str, Result], reference: str, scored: Mapping[str, Scored | str]) -> str:
    published = TABLES[name]
    said = f"<p class='quiet'>Published: {escape(published.source)}. {escape(published.note)}</p>"
    return said + "".join(_html(part) for part in all_rows(rows, reference)) + _players(rows, scored)


def _html(rows: Rows) -> str:
    body = [[escape(cell) for cell in row] for row in rows.body]
    return table([escape(cell) for cell in rows.head], body, rows.caption, "wide prose" if rows.prose else "wide")


def _players(rows: Mapping[str, Result], scored: Mapping[str, Scored | str]) -> str:
    """A system a row, a sentence a column."""
    body, texts = [], dict[str, str]()
    for row in rows.values():
        found = scored[row.cell.experiment] if row.cell else ""
        if row.cell is None or isinstance(found, str):
            continue
        cells = [escape(row.entry.label)]
        for utterance in found.experiment.utterances[:HEARD]:
            texts[utterance.id] = utterance.text
            audio = load(utterance).get(row.cell.speech)
            label = f"{row.entry.label}: {utterance.text}"
            cells.append(player(flac(audio.wave, audio.sample_rate), label) if audio else "–")
        body.append(cells)
    return table(["System", *(escape(text) for text in texts.values())], body, "To listen to", "wide heard") if body else ""
