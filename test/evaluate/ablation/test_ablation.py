"""Plans of ablations, what a cell may claim, and the tables beside the published figures."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from toolkit.audio import wave as wave_files
from toolkit.bin.main import main
from toolkit.config import read
from toolkit.errors import ConfigError
from toolkit.evaluate.ablation import tables as ablation_tables
from toolkit.evaluate.ablation.plan import Plan, Step, load_plan, steps
from toolkit.evaluate.ablation.report import Ablation, write
from toolkit.evaluate.ablation.results import NO_DIFFERENCE, compared, results, verdict
from toolkit.evaluate.ablation.scores import Scored, measures
from toolkit.evaluate.ablation.training import TrainingFacts, VocoderFacts, still_falling, training_facts
from toolkit.evaluate.bootstrap import Interval
from toolkit.evaluate.material import Experiment, Utterance
from toolkit.evaluate.published_scores import TABLES
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System
from toolkit.vocoders.wavenet import WaveNet

CONF = Path(__file__).resolve().parents[3] / "recipes/ljspeech/conf"
BOTH = pytest.mark.parametrize("name", ["ablation", "ablation_tiny"])


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: load_plan(CONF / f"{name}.yaml") for name in ("ablation", "ablation_tiny")}


@BOTH
def test_every_published_row_that_can_be_rebuilt_is_a_cell(name: str, plans: dict[str, Plan]) -> None:
    assert set(plans[name].tables) == set(TABLES)
    for table, published in TABLES.items():
        assert set(plans[name].tables[table].cells) == {key for key, entry in published.entries.items() if entry.rebuilt}


@BOTH
def test_receptive_fields_are_those_of_table_4(name: str, plans: dict[str, Plan]) -> None:
    """Tacotron 2, table 4: layers / cycles 30/3, 24/4, 12/2 and 30/30 see 6139, 505, 253 and 61 samples."""
    found = []
    for cell in plans[name].tables["depth"].cells.values():
        with torch.device("meta"):
            vocoder = Mel2Wav(read(System, plans[name].configuration(cell.experiment))).vocoder
        assert isinstance(vocoder, WaveNet)
        found.append(vocoder.receptive_field)
    assert found == [6139, 505, 253, 61]


@BOTH
def test_predictors_come_before_what_uses_them(name: str, plans: dict[str, Plan]) -> None:
    plan = plans[name]
    order = steps(plan)
    own = [step.experiment for step in order if step.phase == "predictor"]
    systems = {name: read(System, plan.configuration(name)) for name in plan.experiments}
    assert len(own) == 6 and sum(system.vocoder.name == "wavenet" for system in systems.values()) == 9
    assert all(step.predictor in ("", *own) for step in order)
    assert [step.phase for step in order] == ["data"] * 6 + ["predictor"] * 6 + ["vocoder"] * 10
    for experiment, variant in plan.experiments.items():
        if variant.predictor:
            assert Path(plan.folder(Path(), variant.predictor)).name in order_of(order, plan)
            assert changed(systems[variant.predictor], systems[experiment]) <= {"vocoder", "crops", "mel2wav", "synthesis"}


def order_of(order: list[Step], plan: Plan) -> list[str]:
    return [plan.folder(Path(), step.experiment).name for step in order if step.phase == "predictor"]


def changed(first: System, second: System) -> set[str]:
    return {name for name in vars(first) if getattr(first, name) != getattr(second, name)}


def test_the_tiny_plan_has_a_budget_for_each_training_that_fits(plans: dict[str, Plan]) -> None:
    plan = plans["ablation_tiny"]
    systems = {name: read(System, plan.configuration(name)) for name in plan.experiments}
    own = [systems[step.experiment] for step in steps(plan) if step.phase == "predictor"]
    trained = [s.text2mel.max_minutes for s in own] + [s.mel2wav.max_minutes for s in systems.values() if s.vocoder.name == "wavenet"]
    assert all(minutes is not None for minutes in trained)
    assert sum(filter(None, trained)) / 2 < 70, "two at a time, with time left for everything else"
    assert all(system.synthesis.max_seconds == 3.0 and system.synthesis.utterances == 15 for system in systems.values())


def test_settings_of_the_command_line_reach_every_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, out = str(CONF / "ablation_tiny.yaml"), tmp_path / "conf"
    assert main(["ablation", "plan", plan, "--set", "text2mel.max_minutes=0.5", "--out", str(out)]) == 0
    assert "vocoder truth mel\n" in capsys.readouterr().out
    written = {path.stem: yaml.safe_load(path.read_text()) for path in out.glob("*.yaml")}
    assert len(written) == 10 and {data["text2mel"]["max_minutes"] for data in written.values()} == {0.5}
    assert written["no_postnet"]["postnet"] == "none" and "postnet_conf" not in written["no_postnet"]


SMALL = {
    "experiments": {"a": {"extends": "small.yaml"}, "b": {"predictor": "a"}},
    "tables": {"postnet": {"reference": "with", "cells": {"with": {"experiment": "a"}}}},
}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experiments.c", {}, "experiments.c.extends: missing"),
        ("experiments.c", {"extends": "d"}, "experiments.c.extends: no such experiment, got 'd'; known: a, b"),
        ("experiments.a", {"extends": "a"}, "experiments.a.extends: goes in a circle, got a -> a"),
        ("experiments.c", {"predictor": "b"}, "experiments.c.predictor: an experiment that trains one, got 'b'"),
        ("experiments.c", {"extend": "a"}, "experiments.c.extend: no such key"),
        ("experiments.c/d", {"extends": "a"}, "experiments.c/d: names a folder"),
        ("tables.postnets", {"reference": "with", "cells": {}}, "tables.postnets: no such published table, got 'postnets'; did you mean"),
        ("tables.postnet.reference", "without", "tables.postnet.reference: no such cell, got 'without'"),
        ("tables.postnet.cells.both", {"experiment": "a"}, "tables.postnet.cells.both: no such row to fill"),
        ("tables.postnet.cells.without", {"experiment": "c"}, "tables.postnet.cells.without.experiment: no such experiment, got 'c'"),
        (
            "tables.postnet.cells.without",
            {"experiment": "a", "speech": "fre"},
            "cells.without.speech: no such kind, got 'fre'",
        ),
        ("tables.systems", {"reference": "parametric", "cells": {"parametric": {"experiment": "a"}}}, "no such row to fill"),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line(path: str, value: object, message: str, tmp_path: Path) -> None:
    data = json.loads(json.dumps(SMALL))
    *above, last = path.split(".")
    place = data
    for key in above:
        place = place[key]
    place[last] = value
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as caught:
        load_plan(tmp_path / "plan.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_order_is_claimed_only_where_the_interval_excludes_zero() -> None:
    distortion, ratio = measures()["mel_cepstral_distortion"], measures()["duration_ratio"]
    assert verdict(distortion, Interval(0.4, -0.1, 0.9)) == NO_DIFFERENCE
    assert verdict(distortion, Interval(0.4, 0.1, 0.9)).startswith("worse, +0.40")
    assert verdict(distortion, Interval(-0.4, -0.9, -0.1)).startswith("better, -0.40")
    assert verdict(ratio, Interval(0.4, 0.1, 0.9)).startswith("differs")


def test_only_sentences_of_both_are_compared_and_enough_of_them() -> None:
    first = {"m": {name: 1.0 for name in "abcdefx"}}
    second = {"m": {name: 0.5 for name in "abcdefy"}}
    assert compared(first, second)["m"] == pytest.approx((0.5, 0.5, 0.5))
    del second["m"]["a"]
    assert compared(first, second) == {} == compared(first, {}), "five pairs are no evidence, whatever they say"


def dev(*losses: float) -> list[dict[str, object]]:
    return [{"step": 10 * (k + 1), "split": "dev", "loss": loss} for k, loss in enumerate(losses)]


def test_a_loss_that_still_falls_is_not_converged() -> None:
    flat = dev(*[5.0, 4.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.99])
    assert still_falling(flat) == ""
    assert still_falling(dev(*np.linspace(5, 1, 10))) == "dev loss still fell by 30.8 % over the last tenth"
    assert still_falling(dev(2.0)) == "validated too rarely to tell" == still_falling([])
    worse = dev(*[5.0, 4.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.5])
    assert still_falling(worse) == ""


def test_a_training_that_its_budget_ended_is_not_converged(tmp_path: Path) -> None:
    folder = tmp_path / "text2mel"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in dev(*[1.0] * 10)))
    (folder / "clock.json").write_text('{"step": 100, "seconds": 61.5}')
    experiment = Experiment(tmp_path, {"text2mel": {"max_steps": 100, "max_minutes": None}}, ())
    module = torch.nn.Linear(2, 3)
    assert training_facts(experiment, "text2mel", module) == TrainingFacts(100, 100, 61.5, 9, "")
    cut = replace(experiment, config={"text2mel": {"max_steps": 500, "max_minutes": 1}})
    facts = training_facts(cut, "text2mel", module)
    assert facts and facts.unfinished == "ended at step 100 of 500, its budget of 1 minutes was over"
    assert training_facts(experiment, "mel2wav", module) is None


@pytest.fixture
def found(tmp_path: Path, plans: dict[str, Plan]) -> Ablation:
    """Made-up scores of two experiments: one is half a decibel worse in each sentence."""
    plan, names = plans["ablation_tiny"], [f"s{k}" for k in range(6)]
    draws = np.random.default_rng(1)
    base = dict(zip(names, 5 + draws.random(6), strict=True))
    facts = TrainingFacts(100, 1000, 60.0, 1_000_000, "ended at step 100 of 1000")

    def made(experiment: str, more: float) -> Scored:
        utterances = []
        for name in names:
            path = tmp_path / experiment / f"{name}.wav"
            path.parent.mkdir(exist_ok=True)
            with open(path, "wb") as file:
                wave_files.write(file, draws.random(400).astype(np.float32) - 0.5, 16000)
            utterances.append(Utterance(name, f"{name} <b>|", {"max_seconds": 0.02}, path, {"free": path, "copy": path}))
        values = {kind: {} for kind in ("copy", "recording", "free_griffin_lim")}
        values["free"] = {"mel_cepstral_distortion": {key: value + more for key, value in base.items()}}
        speed = {"free": VocoderFacts(1.5, 253, 11.5), "copy": VocoderFacts(1.5, 253, 11.5)}
        return Scored(Experiment(tmp_path / experiment, {}, tuple(utterances)), values, facts, facts._replace(unfinished=""), speed, "none")

    scored: dict[str, Scored | str] = {name: "not there" for name in plan.experiments}
    scored |= {"mel": made("mel", 0.0), "wavenet_12_2": made("wavenet_12_2", 0.5)}
    tables = {name: results(plan, name, scored) for name in plan.tables}
    return Ablation(plan, tmp_path, tables, scored, {}, "toolkit ablation tables")


def test_cells_say_what_may_be_said(found: Ablation) -> None:
    depth = found.tables["depth"]
    assert list(depth) == ["30_3", "24_4", "12_2", "30_30"]
    assert depth["30_3"].differences == {} and depth["24_4"].missing == "not there"
    difference = depth["12_2"].differences["mel_cepstral_distortion"]
    assert difference.mean == pytest.approx(0.5) and verdict(measures()["mel_cepstral_distortion"], difference).startswith("worse")
    assert depth["12_2"].unfinished == ["predictor ended at step 100 of 1000"]
    training = found.tables["vocoder_training"]
    assert training["predicted_truth"].predictor is None, "the recording's frames need no predictor"
    systems = found.tables["systems"]
    assert systems["parametric"].cell is None and systems["ground_truth"].vocoder is None
    assert ablation_tables.state(systems["parametric"]) == "not rebuilt"


def test_tables_page_and_sounds_are_written(found: Ablation, tmp_path: Path) -> None:
    out = tmp_path / "out"
    count = write(found, out)
    text = (out / "ablation.md").read_text(encoding="utf-8")
    for part in ("4.526 ± 0.066", "not rebuilt", "253 samples, 11.5 ms", "1.00 M parameters, 100 steps, 60 s", "not converged: predictor"):
        assert part in text
    assert "24 layers, 4 cycles" in text and "not made: not there" in text and "4.547 ± 0.056" in text
    page = (out / "ablation.html").read_text(encoding="utf-8")
    assert page.count("<audio") >= 3 and "s0 &lt;b&gt;|" in page and "<b>|" not in page
    data = json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    row = data["tables"]["depth"]["rows"]["12_2"]
    assert row["differences"]["mel_cepstral_distortion"]["verdict"].startswith("worse") and row["published"]["mean"] == 4.481
    rows = list(csv.DictReader((out / "listening/manifest.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == count == len({row["file"] for row in rows}) == len(list((out / "listening").glob("*.wav")))
    assert {row["system"] for row in rows} == {"recording", "mel/free", "mel/copy", "wavenet_12_2/free", "wavenet_12_2/copy"}
    assert not any(word in row["file"] for row in rows for word in ("mel", "free", row["sentence"]))
    assert wave_files.probe(out / "listening" / rows[0]["file"]).samples == 320, "cut off as the speech is"


def test_a_missing_experiment_leaves_its_cells_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["ablation", "tables", str(CONF / "ablation.yaml"), "--work", str(tmp_path), "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert said.count("not filled: ") == 20 and "the recipe has not run for this experiment" in said
    assert "4.526 ± 0.066" in (out / "ablation.md").read_text(encoding="utf-8")


def test_published_figures_are_those_of_the_paper() -> None:
    """Tacotron 2, tables 1, 3 and 4 and section 3.3.3: Tacotron 2 itself is one system with one score in all of them."""
    rows = [("vocoder_training", "predicted_predicted"), ("features", "mel_wavenet"), ("postnet", "with"), ("depth", "30_3")]
    assert {str(TABLES[table].entries[key].opinion) for table, key in rows} == {"4.526 ± 0.066"}
    quoted = {key: str(entry.opinion) for key, entry in TABLES["systems"].entries.items() if not entry.rebuilt}
    assert quoted == {"parametric": "3.492 ± 0.096", "concatenative": "4.166 ± 0.091"}
