"""RESULTS.md and scores.json say what was measured."""

import json
from pathlib import Path

import pytest

from toolkit.evaluate.environment import environment
from toolkit.evaluate.material import Experiment, Utterance
from toolkit.evaluate.recognition import Errors
from toolkit.evaluate.results import stop_rows, summary_line, write_results
from toolkit.evaluate.scoring import Scores, columns, summarise


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    reasons = {"a": "stop", "b": "limit", "c": "stop"}
    return Experiment(tmp_path, {}, tuple(Utterance(key, "one two", {"stopped_by": reason}) for key, reason in reasons.items()))


@pytest.fixture
def scores() -> Scores:
    values = {"free": {"a": {"mel_cepstral_distortion": 4.0, "word_error_rate": 50.0}, "b": {"mel_cepstral_distortion": 6.0}}}
    return Scores(values, {"free": Errors(1, 1, 0, 8)}, {"free": {"a": "one"}}, "a judge")


def test_mean_and_sample_deviation() -> None:
    assert summarise([4.0, 6.0])[:2] == (5.0, pytest.approx(2**0.5))
    assert summarise([3.0]) == (3.0, 0.0, 1)
    assert summarise([]).utterances == 0


def test_word_errors_are_pooled_over_words(scores: Scores) -> None:
    assert scores.summary("free")["word_error_rate"].mean == pytest.approx(25.0)
    assert scores.summary("copy") == {}


def test_results_for_people(experiment: Experiment, scores: Scores) -> None:
    write_results(experiment, scores, {"python": "3"}, "toolkit evaluate --exp x", "a day")
    text = (experiment.folder / "RESULTS.md").read_text(encoding="utf-8")
    for line in (
        "Date: a day",
        "Command: `toolkit evaluate --exp x`",
        "| python | 3 |",
        "| Speech | MCD (dB) ↓ | WER (%) ↓ |",
        "| Free running | 5.00 ± 1.41 | 25.0 |",
        "| Free running | 25.0 % | 1 | 1 | 0 | 8 |",
        "Recogniser: a judge.",
    ):
        assert line in text.splitlines()


def test_results_for_machines(experiment: Experiment, scores: Scores) -> None:
    write_results(experiment, scores, {}, "", "")
    data = json.loads((experiment.folder / "scores.json").read_text(encoding="utf-8"))
    assert data["summary"]["free"]["mel_cepstral_distortion"] == {"mean": 5.0, "sd": pytest.approx(2**0.5, abs=1e-6), "n": 2}
    assert data["word_errors"]["free"] == {"substitutions": 1, "deletions": 1, "insertions": 0, "words": 8}
    assert data["stopped_by"] == {"a": "stop", "b": "limit", "c": "stop"}
    assert data["utterances"]["free"]["b"] == {"mel_cepstral_distortion": 6.0}


def test_stop_reasons_are_counted(experiment: Experiment) -> None:
    assert [(row[0], row[2]) for row in stop_rows(experiment)[1]] == [("limit", "1"), ("stop", "2")]


def test_the_line_for_the_console(scores: Scores) -> None:
    assert summary_line(scores) == "Free running: MCD 5.00 dB, WER 25.0 %"
    assert summary_line(Scores()).endswith("not scored")


def test_environment_and_definitions_are_there() -> None:
    assert {"python", "torch", "toolkit", "processor"} <= set(environment())
    assert all(column.definition for column in columns().values())
