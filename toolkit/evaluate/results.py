"""Results of an experiment for the record: ``RESULTS.md`` for people, ``scores.json`` for machines."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.data.writing import write_json, write_text
from toolkit.evaluate.material import SYSTEMS, Experiment
from toolkit.evaluate.scoring import RECORDING, Column, Scores, Summary, columns

ARROWS = {"lower": "↓", "higher": "↑", "one": "→ 1"}


def titles() -> dict[str, str]:
    """Every kind of speech, the recording first, by the name that is shown."""
    return {RECORDING: "Recording"} | {name: kind.title for name, kind in SYSTEMS.items()}


def shown(summary: Summary, column: Column) -> str:
    """``5.12 ± 0.40``: mean and standard deviation over utterances."""
    spread = f" ± {summary.deviation:.{column.digits}f}" if summary.utterances > 1 else ""
    return f"{summary.mean:.{column.digits}f}{spread}"


def heading(column: Column) -> str:
    """``MCD (dB) ↓``."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.title}{unit} {ARROWS[column.better]}"


def score_rows(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of scores, without columns and rows that hold nothing."""
    known = columns()
    summaries = {system: scores.summary(system) for system in titles()}
    used = [name for name in known if any(name in summary for summary in summaries.values())]
    head = ["Speech", *(heading(known[name]) for name in used)]
    rows = [
        [title, *(shown(summaries[system][name], known[name]) if name in summaries[system] else "–" for name in used)]
        for system, title in titles().items()
        if summaries[system]
    ]
    return head, rows


def error_rows(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """Word errors, summed over all sentences."""
    head = ["Speech", "Word error rate", "Substituted", "Deleted", "Inserted", "Words"]
    rows = [
        [title, f"{100 * e.rate:.1f} %", str(e.substitutions), str(e.deletions), str(e.insertions), str(e.words)]
        for system, title in titles().items()
        if (e := scores.errors.get(system))
    ]
    return head, rows


def stop_rows(experiment: Experiment) -> tuple[list[str], list[list[str]]]:
    """What ended the free-running utterances, and how many of them."""
    reasons = collections.Counter(str(u.facts["stopped_by"]) for u in experiment.utterances if "stopped_by" in u.facts)
    meaning = {"stop": "the stop token", "limit": "the limit on length: a missed stop"}
    rows = [[reason, meaning.get(reason, ""), str(count)] for reason, count in sorted(reasons.items())]
    return ["Reason", "Ended by", "Utterances"], rows


def write_results(experiment: Experiment, scores: Scores, facts: Mapping[str, str], command: str, date: str) -> None:
    """Write ``RESULTS.md`` and ``scores.json`` into the experiment."""
    parts = [
        f"# Results: {experiment.name}",
        f"Date: {date}",
        f"Command: `{command}`",
        markdown_table(["", ""], [[name, value] for name, value in facts.items()]),
        f"## Scores\n\nMean ± standard deviation over {len(experiment.utterances)} utterances of the evaluation set.",
        markdown_table(*score_rows(scores)),
        f"## Word errors\n\nRecogniser: {scores.recogniser}.",
    ]
    if scores.errors:
        parts.append(markdown_table(*error_rows(scores)))
    parts += ["## Stop reasons of free running", markdown_table(*stop_rows(experiment))]
    parts += ["## Definitions", "\n".join(f"- {column.title}: {column.definition}" for column in columns().values())]
    write_text(experiment.folder / "RESULTS.md", "\n\n".join(parts) + "\n")
    write_json(experiment.folder / "scores.json", as_data(experiment, scores))


def as_data(experiment: Experiment, scores: Scores) -> dict[str, Any]:
    """The scores as plain data: summary and every utterance, rounded to six digits."""
    return {
        "experiment": experiment.name,
        "recogniser": scores.recogniser,
        "summary": {
            system: {name: {"mean": round(s.mean, 6), "sd": round(s.deviation, 6), "n": s.utterances} for name, s in summary.items()}
            for system in titles()
            if (summary := scores.summary(system))
        },
        "word_errors": {system: errors._asdict() for system, errors in scores.errors.items()},
        "stopped_by": {u.id: u.facts["stopped_by"] for u in experiment.utterances if "stopped_by" in u.facts},
        "utterances": {
            system: {key: {name: round(value, 6) for name, value in row.items()} for key, row in rows.items()}
            for system, rows in scores.values.items()
        },
        "heard": scores.heard,
    }


def summary_line(scores: Scores) -> str:
    """The free-running scores on one line, for the console."""
    known, system = columns(), "free" if scores.values.get("free") else "free_griffin_lim"
    found = scores.summary(system)
    values = [f"{known[name].title} {s.mean:.{known[name].digits}f} {known[name].unit}".strip() for name, s in found.items()]
    return f"{titles()[system]}: {', '.join(values) or 'not scored'}"


def path_of(folder: Path) -> Path:
    """Where the scores of an experiment stand."""
    return folder / "scores.json"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar within a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
