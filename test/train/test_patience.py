"""A training ends when validations stop to improve, and resuming does not change where."""

import math

import pytest

from toolkit.errors import ConfigError
from toolkit.train.patience import Patience
from toolkit.train.settings import Training


def falling_until(trainer, step):
    """Validation losses that are lowest at a step, whatever is trained."""
    trainer.validate = lambda now: abs(now - step) + 1.0
    return trainer


def test_it_counts_validations_since_the_lowest():
    patience = Patience(2)
    seen = []
    for loss in (3.0, None, 2.0, 2.0, 1.5, math.nan, 1.5):
        patience.note(loss)
        seen.append((patience.since, patience.over))
    assert seen == [(0, False), (0, False), (0, False), (1, False), (0, False), (1, False), (2, True)]


def test_a_training_ends_and_stays_ended(tiny, tmp_path):
    first = falling_until(tiny.trainer(tmp_path, patience=2, validate_every=1, save_every=3), 4)
    first.run()
    assert first.done == 6
    assert "finished at step 6, 2 validations without a lower loss than 1" in (tmp_path / "train.log").read_text()
    again = falling_until(tiny.trainer(tmp_path, patience=2, validate_every=1, save_every=3), 4)
    again.run()
    assert again.done == 6 and again.outcome()["steps"].startswith("6 of 10")


def test_resuming_goes_on_counting(tiny, tmp_path):
    falling_until(tiny.trainer(tmp_path, patience=3, validate_every=1, max_steps=6, save_every=6), 4).run()  # two since the lowest
    more = falling_until(tiny.trainer(tmp_path, patience=3, validate_every=1, max_steps=10, save_every=6), 4)
    more.run()
    assert more.done == 7


def test_more_patience_goes_on(tiny, tmp_path):
    said = {"identity": {"tiny": {"patience": 1}}, "patience": 1}
    falling_until(tiny.trainer(tmp_path, validate_every=1, **said), 4).run()
    said = {"identity": {"tiny": {"patience": 9}}, "patience": 9}
    more = falling_until(tiny.trainer(tmp_path, validate_every=1, **said), 4)
    more.run()
    assert more.done == 10


def test_patience_needs_something_to_count(tiny, tmp_path):
    with pytest.raises(ConfigError, match="patience: needs a dev set to validate on, got 2; null for never"):
        tiny.trainer(tmp_path, patience=2, dev=tiny.Data(0))
    with pytest.raises(ConfigError, match="patience: validations without a lower loss, must be at least 1, got 0"):
        Training(patience=0)
