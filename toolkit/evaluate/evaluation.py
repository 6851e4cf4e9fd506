"""One evaluation: read the experiment, score it, write its results and its report."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from toolkit.evaluate.comparison import siblings
from toolkit.evaluate.environment import environment
from toolkit.evaluate.judge import choose_judge
from toolkit.evaluate.material import Experiment, read_experiment
from toolkit.evaluate.report import write_report
from toolkit.evaluate.results import summary_line, write_results
from toolkit.evaluate.scoring import score


class Evaluation(NamedTuple):
    """What an evaluation leaves."""

    experiment: Experiment
    report: Path
    summary: str


def evaluate(folder: Path, data: Path | None = None, compare: Sequence[Path] = (), asr: str = "auto", command: str = "") -> Evaluation:
    """Score an experiment and write ``report.html``, ``RESULTS.md`` and ``scores.json`` into it. It may be half-done.

    Args:
        folder: of the experiment.
        data: folder of features, for the recordings in ``eval/wav.scp``.
        compare: experiments to set beside it; without any, its neighbours that spoke the same sentences.
        asr: ``auto``, ``none`` or ``pocketsphinx``.
        command: for the record.
    """
    experiment = read_experiment(folder, data)
    others = [read_experiment(path, data) for path in compare or siblings(experiment)]
    judge = choose_judge(asr, experiment)
    scores = score(experiment, judge.recogniser, judge.name)
    facts, date = environment(), datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    if experiment.utterances:
        write_results(experiment, scores, facts, command, date)
    report = write_report(experiment, scores, facts, command, date, others)
    return Evaluation(experiment, report, summary_line(scores))
