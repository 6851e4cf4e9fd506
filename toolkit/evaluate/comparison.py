"""Experiments side by side: the same sentences, their alignments and scores, and what differs in the configurations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.config import difference
from toolkit.errors import ToolkitError
from toolkit.evaluate.material import Experiment, read_experiment
from toolkit.evaluate.page import escape, picture, table
from toolkit.evaluate.report_utterances import alignment
from toolkit.evaluate.results import as_data, heading, path_of
from toolkit.evaluate.scoring import Scores, columns

MAX_SIBLINGS = 3
MAX_SENTENCES = 4
SPOKEN = ("free", "free_griffin_lim")


def siblings(experiment: Experiment) -> list[Path]:
    """Folders beside the experiment that have spoken some of the same sentences."""
    here = experiment.folder.resolve()
    found = []
    for config in sorted(here.parent.glob("*/config.yaml")):
        try:
            if config.parent != here and shared(experiment, read_experiment(config.parent)):
                found.append(config.parent)
        except ToolkitError:  # a neighbour that is broken is no reason to fail here
            continue
    return found[:MAX_SIBLINGS]


def shared(first: Experiment, second: Experiment) -> list[str]:
    """Ids of the sentences that both have spoken."""
    texts = {u.id: u.text for u in second.utterances}
    return [u.id for u in first.utterances if texts.get(u.id) == u.text]


def comparison(experiment: Experiment, scores: Scores, others: Sequence[Experiment]) -> str:
    """The section's HTML."""
    every = [experiment, *others]
    parts = [_scores(experiment, scores, others)]
    for other in others:
        lines = difference(dict(experiment.config), dict(other.config))
        listed = "".join(f"<li><code>{escape(line)}</code></li>" for line in lines) or "<li>nothing</li>"
        parts.append(f"<h3>Settings: {escape(experiment.name)} → {escape(other.name)}</h3><ul class='settings'>{listed}</ul>")
    common = [key for key in (u.id for u in experiment.utterances) if all(key in shared(experiment, other) for other in others)]
    parts += [_alignments(key, every) for key in common[:MAX_SENTENCES]]
    return "".join(parts)


def _scores(experiment: Experiment, scores: Scores, others: Sequence[Experiment]) -> str:
    """Free-running means of each experiment; the others' as they were last evaluated."""
    summaries = {experiment.name: as_data(experiment, scores)["summary"]}
    for other in others:
        path = path_of(other.folder)
        summaries[other.name] = json.loads(path.read_text(encoding="utf-8"))["summary"] if path.is_file() else {}
    known, rows = columns(), []
    for name, summary in summaries.items():
        found: dict[str, Any] = next((summary[system] for system in SPOKEN if system in summary), {})
        rows.append([escape(name), *(f"{found[key]['mean']:.{known[key].digits}f}" if key in found else "–" for key in known)])
    head = ["Experiment", *(escape(heading(column)) for column in known.values())]
    return table(head, rows, "Free-running speech of each experiment, means", "wide")


def _alignments(key: str, every: Sequence[Experiment]) -> str:
    drawn, text = [], ""
    for experiment in every:
        utterance = next(u for u in experiment.utterances if u.id == key)
        text, image = utterance.text, alignment(utterance, experiment)
        if image is not None:
            kind = str(experiment.config.get("attention") or "")
            caption = f"{experiment.name}: {kind}" if kind else experiment.name
            drawn.append(picture(image, f"Alignment of {experiment.name}, free running: {text}", caption))
    return f"<h3>{escape(text)}</h3><div class='pictures'>{''.join(drawn)}</div>" if drawn else ""
