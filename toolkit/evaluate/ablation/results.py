"""Cells of an ablation: means with intervals, differences from the table's reference cell, and what may be said about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from toolkit.evaluate.ablation.plan import Cell, Plan
from toolkit.evaluate.ablation.scores import GRIFFIN_LIM, Scored, Values, measures
from toolkit.evaluate.ablation.training import TrainingFacts, VocoderFacts
from toolkit.evaluate.bootstrap import Interval, interval, paired
from toolkit.evaluate.published_scores import TABLES, Entry
from toolkit.evaluate.scoring import RECORDING, Column

NO_DIFFERENCE = "no difference shown"
FEWEST = 6  # sentences: with fewer even a difference in all of them is no evidence at 5 % (sign test, 2 / 2^5)


class Result(NamedTuple):
    """A row of a table. Without a cell it is only quoted; ``missing`` says why a cell is not filled."""

    entry: Entry
    cell: Cell | None
    missing: str
    sentences: int
    means: Mapping[str, Interval]
    differences: Mapping[str, Interval]  # from the reference; empty for the reference itself
    predictor: TrainingFacts | None
    vocoder: TrainingFacts | None
    speed: VocoderFacts | None

    @property
    def unfinished(self) -> list[str]:
        """Why its networks cannot be called converged."""
        trainings = {"predictor": self.predictor, "vocoder": self.vocoder}
        return [f"{name} {facts.unfinished}" for name, facts in trainings.items() if facts and facts.unfinished]


def results(plan: Plan, name: str, scored: Mapping[str, Scored | str]) -> dict[str, Result]:
    """The rows of a table by key, in the published order.

    Args:
        scored: experiments by name; a text says why one could not be scored.
    """
    table = plan.tables[name]
    reference = table.cells[table.reference]
    return {
        key: _result(entry, table.cells.get(key), reference, scored)
        for key, entry in TABLES[name].entries.items()
        if key in table.cells or entry.opinion is not None
    }


def _result(entry: Entry, cell: Cell | None, reference: Cell, scored: Mapping[str, Scored | str]) -> Result:
    if cell is None:
        return Result(entry, None, "" if entry.rebuilt is False else "not in the plan", 0, {}, {}, None, None, None)
    found = scored[cell.experiment]
    if isinstance(found, str):
        return Result(entry, cell, found, 0, {}, {}, None, None, None)
    values, base = found.values[cell.speech], scored[reference.experiment]
    differences = {} if isinstance(base, str) or cell == reference else compared(values, base.values[reference.speech])
    spoken = cell.speech != RECORDING
    own = spoken and cell.speech != GRIFFIN_LIM
    return Result(
        entry, cell, "", len(found.experiment.utterances),
        {measure: interval(list(row.values())) for measure, row in values.items() if len(row) > 1}, differences,
        found.predictor if spoken and cell.speech != "copy" else None, found.vocoder if own else None, found.speed.get(cell.speech),
    )  # fmt: skip


def compared(first: Values, second: Values) -> dict[str, Interval]:
    """Mean differences ``first - second`` over the sentences that both have, where those are enough."""
    found = {}
    for measure in first:
        shared = [key for key in first[measure] if key in second.get(measure, {})]
        if len(shared) >= FEWEST:
            found[measure] = paired([first[measure][key] for key in shared], [second[measure][key] for key in shared])
    return found


def verdict(column: Column, difference: Interval) -> str:
    """What a paired difference from the reference says: an order only where its interval excludes 0."""
    if not difference.excludes(0.0):
        return NO_DIFFERENCE
    shown = f"{difference.mean:+.{column.digits}f} [{difference.low:+.{column.digits}f}, {difference.high:+.{column.digits}f}]"
    if column.better == "one":
        return f"differs, {shown}"
    return f"{'better' if (difference.mean < 0) == (column.better == 'lower') else 'worse'}, {shown}"


def as_data(rows: Mapping[str, Result]) -> dict[str, Any]:
    """A table as plain data."""
    return {
        key: {
            "label": row.entry.label,
            "published": row.entry.opinion._asdict() if row.entry.opinion else None,
            "rebuilt": row.entry.rebuilt,
            "experiment": row.cell.experiment if row.cell else None,
            "speech": row.cell.speech if row.cell else None,
            "missing": row.missing,
            "sentences": row.sentences,
            "means": {name: value._asdict() for name, value in row.means.items()},
            "differences": {
                name: value._asdict() | {"verdict": verdict(measures()[name], value)} for name, value in row.differences.items()
            },
            "predictor": row.predictor._asdict() if row.predictor else None,
            "vocoder": row.vocoder._asdict() if row.vocoder else None,
            "speed": row.speed._asdict() if row.speed else None,
            "not_converged": row.unfinished,
        }
        for key, row in rows.items()
    }
