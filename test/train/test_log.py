"""What a run leaves to read, to look at and to listen to."""

import json
import sys

import numpy as np
import pytest
import soundfile

from toolkit.train.clock import Clock
from toolkit.train.log import Log


def test_a_run_leaves_its_folder(tiny, tmp_path, monkeypatch):
    tiny.trainer(tmp_path).run()
    assert (tmp_path / "images" / "square-00000010.png").read_bytes()[1:4] == b"PNG"
    assert (tmp_path / "images" / "loss.png").exists()
    assert soundfile.info(tmp_path / "samples" / "tone-00000010.wav").frames == 80
    assert list((tmp_path / "tensorboard").glob("events.out.*"))
    assert json.loads((tmp_path / "identity.json").read_text()) == {"tiny": {"width": 4}}
    log = (tmp_path / "train.log").read_text()
    assert "training tiny from the start" in log
    assert "step 10/10 dev loss" in log
    assert "training finished at step 10" in log


def test_lines_of_metrics(tiny, tmp_path):
    tiny.trainer(tmp_path, max_steps=4, log_every=2, validate_every=4).run()
    rows = tiny.metrics(tmp_path)
    assert [(row["step"], row["split"]) for row in rows] == [(2, "train"), (4, "train"), (4, "dev")]
    assert set(rows[0]) == {"step", "split", "square", "absolute", "loss", "gradient_norm", "learning_rate"}
    assert set(rows[2]) == {"step", "split", "loss", "square", "absolute", "width"}
    assert rows[0]["loss"] == pytest.approx(rows[0]["square"] + rows[0]["absolute"])


def test_numbers_are_means_over_the_updates_since_the_last_line(tiny, tmp_path):
    with Log(tmp_path, 4, 2) as log:
        log.begin(0)
        for step, loss in enumerate([1.0, 3.0, 5.0], 1):
            log.update(step, {"loss": loss})
        log.update(4, {})  # not applied
    assert [row["loss"] for row in tiny.metrics(tmp_path)] == [2.0, 5.0]


def test_slow_updates_give_a_sign_of_life(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("toolkit.train.log.QUIET_SECONDS", 0.0)
    with Log(tmp_path, 100, 50) as log:
        log.begin(0)
        log.update(1, {"loss": 1.5})
    assert "step 1/100 loss 1.5" in caplog.text
    assert tiny.metrics(tmp_path) == []


def test_going_on_forgets_later_lines_and_one_that_was_cut_off(tiny, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "split": "train"}\n{"step": 2, "split": "train"}\n{"step": 3, "spl')
    with Log(tmp_path, 4, 1) as log:
        log.begin(1)
    assert [row["step"] for row in tiny.metrics(tmp_path)] == [1]


def test_other_processes_write_nothing(tmp_path):
    with Log(tmp_path / "run", 4, 1, writes=False) as log:
        log.begin(0)
        log.say("nothing")
        log.update(1, {"loss": 1.0})
    assert not (tmp_path / "run").exists()


def test_without_optional_packages_a_line_says_what_is_missing(tiny, tmp_path, monkeypatch):
    for name in ("tensorboard", "torch.utils.tensorboard", "PIL"):
        monkeypatch.setitem(sys.modules, name, None)
    tiny.trainer(tmp_path, max_steps=2).run()
    log = (tmp_path / "train.log").read_text()
    assert log.count("no TensorBoard files") == 1
    assert log.count("no pictures") == 1
    assert not (tmp_path / "images").exists()


def test_on_a_terminal_a_bar_takes_the_place_of_interval_lines(tiny, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Log(tmp_path, 4, 1) as log:
        log.begin(0)
        log.update(1, {"loss": 0.5})
        log.say("a message")
    assert "step 1/4 loss 0.5" in (tmp_path / "train.log").read_text()
    assert "step 1/4" not in caplog.text
    assert "a message" in caplog.text
    assert "1/4" in capfd.readouterr().err


def test_the_console_gets_a_line_for_each_interval_elsewhere(tmp_path, caplog):
    with Log(tmp_path, 100, 10) as log:
        log.begin(0)
        log.update(10, {"loss": np.float64(0.25)})
    assert "step 10/100 loss 0.25" in caplog.text
    assert "left" in caplog.text


@pytest.mark.parametrize(("minutes", "shown"), [(2.0, "0:02:00 left"), (0.0, "0:00:00 left"), (None, "1:30:00 left")])
def test_what_is_left_ends_with_the_clock(minutes, shown, tmp_path, caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Log(tmp_path, 100, 10, clock=Clock(tmp_path, minutes)) as log:
        log.begin(0)
        now[0] = 600.0
        log.clock.start(0)
        log.update(10, {"loss": 0.25})
    assert shown in caplog.text
