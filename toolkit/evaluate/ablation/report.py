"""The tables of an ablation from what its experiments have left: ``ablation.md``, ``ablation.html``, ``ablation.json`` and sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from toolkit.data.writing import write_json, write_text
from toolkit.errors import ToolkitError
from toolkit.evaluate.ablation.listening import write_material
from toolkit.evaluate.ablation.lists import folder_of, list_rows, speakers
from toolkit.evaluate.ablation.page import as_html
from toolkit.evaluate.ablation.plan import Plan
from toolkit.evaluate.ablation.results import Result, as_data, results
from toolkit.evaluate.ablation.scores import Scored, measure, measures
from toolkit.evaluate.ablation.tables import NOTES, Rows, all_rows
from toolkit.evaluate.environment import environment
from toolkit.evaluate.published_scores import TABLES
from toolkit.evaluate.results import markdown_table


class Ablation(NamedTuple):
    """Everything that is written down: rows by table and key, scored experiments by name, or why one could not be scored."""

    plan: Plan
    work: Path
    tables: Mapping[str, Mapping[str, Result]]
    scored: Mapping[str, Scored | str]
    lists: Mapping[str, Rows]  # by name of the list
    command: str

    @property
    def missing(self) -> list[str]:
        """Cells that are not filled, with the reason."""
        named = [(name, row) for name, rows in self.tables.items() for row in rows.values() if row.cell and row.missing]
        return [f"{name}, {row.entry.label}: {row.missing}" for name, row in named]

    @property
    def about(self) -> list[str]:
        """What was judged and how, in words."""
        found = [one for one in self.scored.values() if not isinstance(one, str)]
        cut = {str(u.facts.get("max_seconds")) for one in found for u in one.experiment.utterances} - {"None"}
        judges = sorted({one.recogniser for one in found})
        return [
            f"Plan {self.plan.path.name}, {len(self.plan.experiments)} experiments. Speech recogniser: {', '.join(judges) or 'none'}.",
            *([f"Waves end after {', '.join(sorted(cut))} s, so there are no word errors of them."] if cut else []),
            f"Made by: {self.command}",
        ]


def ablation(plan: Plan, work: Path, asr: str, lists: Sequence[str], command: str) -> Ablation:
    """Score every experiment of a plan and fill its tables; what is not there yet leaves its cells empty.

    Args:
        work: folder with ``exp/`` and ``dump/``.
        asr: as ``choose_judge`` takes it.
        lists: names of the lists of sentences that were spoken beside the evaluation set.
    """
    kinds: dict[str, set[str]] = {}
    for table in plan.tables.values():
        for cell in table.cells.values():
            kinds.setdefault(cell.experiment, set()).add(cell.speech)
    scored: dict[str, Scored | str] = {}
    for name, wanted in kinds.items():
        try:
            scored[name] = measure(plan.folder(work, name), work, wanted, asr, plan.likelihood_seconds)
        except ToolkitError as error:
            scored[name] = str(error).splitlines()[0]
    tables = {name: results(plan, name, scored) for name in plan.tables}
    return Ablation(plan, work, tables, scored, {name: list_rows(plan, work, name, asr) for name in lists}, command)


def write(found: Ablation, out: Path) -> int:
    """Write the tables and the material of a listening test; returns how many sounds that has."""
    facts = environment()
    references = {name: table.reference for name, table in found.plan.tables.items()}
    write_text(out / "ablation.md", as_markdown(found, facts))
    write_text(out / "ablation.html", as_html(found.tables, references, found.scored, list(found.lists.values()), found.about, facts))
    data = {
        "command": found.command,
        "environment": facts,
        "definitions": {name: column._asdict() for name, column in measures().items()},
        "tables": {
            name: {"source": TABLES[name].source, "reference": references[name], "rows": as_data(rows)}
            for name, rows in found.tables.items()
        },
        "utterances": {name: one.values for name, one in found.scored.items() if not isinstance(one, str)},
        "lists": {name: rows._asdict() for name, rows in found.lists.items()},
    }
    write_json(out / "ablation.json", data)
    scored = [(name, one) for name, one in found.scored.items() if not isinstance(one, str)]
    spoken = [(name, title, folder_of(found.plan, found.work, name, title)) for title in found.lists for name in speakers(found.plan)]
    return write_material(scored, spoken, out / "listening")


def as_markdown(found: Ablation, facts: Mapping[str, str]) -> str:
    """All tables, how to read them, and where they were made."""
    parts = ["# Ablations of Tacotron 2, published and here", *found.about]
    for name, rows in found.tables.items():
        published = TABLES[name]
        parts += [f"## {published.title}", f"Published: {published.source}. {published.note}"]
        parts += [_markdown(part) for part in all_rows(rows, found.plan.tables[name].reference)]
    parts += ["## Second list", *map(_markdown, found.lists.values())] if found.lists else []
    defined = "\n".join(f"- {column.title}: {column.definition}" for column in measures().values())
    parts += ["## How to read the figures", *NOTES, defined, "## Environment", markdown_table(["", ""], [[k, v] for k, v in facts.items()])]
    return "\n\n".join(parts) + "\n"


def _markdown(rows: Rows) -> str:
    return f"{rows.caption}:\n\n{markdown_table(rows.head, rows.body)}"
