"""The tables of an ablation in words: our figures beside the published ones. Rows of plain text, for Markdown and for HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from toolkit.evaluate.ablation.results import FEWEST, Result, verdict
from toolkit.evaluate.ablation.scores import measures
from toolkit.evaluate.ablation.training import TrainingFacts
from toolkit.evaluate.bootstrap import Interval
from toolkit.evaluate.published_scores import NOT_REBUILT
from toolkit.evaluate.results import heading
from toolkit.evaluate.scoring import Column

NOTES = (
    "Ours are means over sentences with 95 % intervals (percentile bootstrap over sentences); published are mean opinion scores of"
    " people, which no figure of ours replaces.",
    "A row is called better or worse than the reference only where the 95 % interval of the paired difference over the same sentences,"
    f" {FEWEST} or more, excludes 0; what another seed of the training would change is not in that interval. Each table makes several"
    " comparisons.",
    "Not converged: the training was ended before its last step, or its dev loss still fell by more than 1 % over the last tenth of its"
    " steps. RTF: seconds of computing for a second of speech, half a second of one utterance on this machine.",
)
QUIET = "–"


class Rows(NamedTuple):
    """A table of text; cells of ``prose`` may take several lines."""

    caption: str
    head: list[str]
    body: list[list[str]]
    prose: bool = False


def all_rows(rows: Mapping[str, Result], reference: str) -> list[Rows]:
    """The scores of a table, what they say against the reference, and what stands behind them."""
    return [score_rows(rows), *difference_rows(rows, reference), training_rows(rows)]


def score_rows(rows: Mapping[str, Result]) -> Rows:
    """Published and measured means."""
    used = {name: column for name, column in measures().items() if any(name in row.means for row in rows.values())}
    head = ["System", "Published MOS", "Sentences", *(heading(column) for column in used.values())]
    body = [
        [row.entry.label, str(row.entry.opinion or QUIET), state(row), *(shown(row.means.get(name), used[name]) for name in used)]
        for row in rows.values()
    ]
    return Rows("Published and ours", head, body)


def difference_rows(rows: Mapping[str, Result], reference: str) -> list[Rows]:
    """Verdicts on each filled row; no table where there are none."""
    filled = [row for row in rows.values() if row.differences]
    used = {name: column for name, column in measures().items() if any(name in row.differences for row in filled)}
    if not used:
        return []
    head = ["System", *(column.title for column in used.values())]
    body = [
        [row.entry.label, *(verdict(used[name], row.differences[name]) if name in row.differences else QUIET for name in used)]
        for row in filled
    ]
    return [Rows(f"Against: {rows[reference].entry.label}", head, body)]


def training_rows(rows: Mapping[str, Result]) -> Rows:
    """Experiment, lengths of the trainings, sizes, speed."""
    head = ["System", "Experiment", "Speech", "Predictor", "Vocoder", "Receptive field", "RTF", "Converged"]
    body = []
    for row in rows.values():
        if row.cell is not None:
            reach, speed = QUIET, QUIET
            if row.speed is not None:
                speed = f"{row.speed.rtf:.3g}"
                reach = f"{row.speed.receptive_field} samples, {row.speed.milliseconds:.1f} ms" if row.speed.receptive_field else QUIET
            trained = row.predictor or row.vocoder
            converged = "not converged: " + "; ".join(row.unfinished) if row.unfinished else ("yes" if trained else QUIET)
            cells = [row.entry.label, row.cell.experiment, row.cell.speech, length(row.predictor), length(row.vocoder)]
            body.append([*cells, reach, speed, converged])
    return Rows("What stands behind the figures", head, body, prose=True)


def state(row: Result) -> str:
    """How many sentences, or why none."""
    if row.cell is None:
        return row.missing or NOT_REBUILT
    return f"not made: {row.missing}" if row.missing else str(row.sentences)


def shown(value: Interval | None, column: Column) -> str:
    """``5.12 [4.90, 5.40]``."""
    return QUIET if value is None else f"{value.mean:.{column.digits}f} [{value.low:.{column.digits}f}, {value.high:.{column.digits}f}]"


def length(facts: TrainingFacts | None) -> str:
    """Parameters, steps and seconds."""
    return QUIET if facts is None else f"{facts.parameters / 1e6:.2f} M parameters, {facts.steps} steps, {facts.seconds:.0f} s"
