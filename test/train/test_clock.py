"""A time budget ends a training as its last step does, and counts over resumptions."""

import json

import pytest

from toolkit.errors import ConfigError
from toolkit.train import clock
from toolkit.train.checkpoint import Checkpoints
from toolkit.train.settings import Training


def test_a_training_ends_when_its_time_is_up_and_does_not_go_on_later(tiny, tmp_path):
    first = tiny.trainer(tmp_path, max_minutes=1e-9, max_steps=10)
    first.run()
    assert first.outcome()["steps"].startswith("1 of 10 in")
    meta = json.loads((Checkpoints(tmp_path).newest() / "meta.json").read_text())
    assert meta["step"] == 1 and meta["dev_loss"] is not None
    assert "minutes are over" in (tmp_path / "train.log").read_text()
    again = tiny.trainer(tmp_path, max_minutes=1e-9, max_steps=10)
    again.run()
    assert again.done == 1 and [row["step"] for row in tiny.metrics(tmp_path) if row["split"] == "train"] == [1]


def test_time_counts_over_resumptions(tiny, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: now[0])
    one = clock.Clock(tmp_path, 1.0)
    now[0] += 50
    one.save(7)
    assert clock.read(tmp_path / clock.FILE) == 50.0 and not one.over
    two = clock.Clock(tmp_path, 1.0)
    two.start(7)
    now[0] += 11
    assert two.over and two.seconds == pytest.approx(61)
    two.start(0)
    assert not two.over and two.seconds == 0


def test_more_time_goes_on(tiny, tmp_path):
    tiny.trainer(tmp_path, max_minutes=1e-9, max_steps=4, identity={"tiny": {"max_minutes": 1e-9}}).run()
    more = tiny.trainer(tmp_path, max_minutes=10.0, max_steps=4, identity={"tiny": {"max_minutes": 10.0}})
    more.run()
    assert more.done == 4


def test_a_budget_is_positive():
    with pytest.raises(ConfigError, match="max_minutes: must be above 0, got 0"):
        Training(max_minutes=0.0)
