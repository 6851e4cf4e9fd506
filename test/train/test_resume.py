"""A resumed training equals an undisturbed one, bit by bit, and every part of the state is needed for that."""

import pytest
import torch

from toolkit.errors import CheckpointError, ConfigError
from toolkit.train import checkpoint
from toolkit.train.checkpoint import Checkpoints


class InterruptionError(Exception):
    pass


def interrupted(tiny, folder, at, **changes):
    """Train until the update after step ``at`` begins, as if the process died there."""
    trainer = tiny.trainer(folder, **changes)
    update = trainer.update

    def dying(step, batches):
        if step > at:
            raise InterruptionError
        return update(step, batches)

    trainer.update = dying
    with pytest.raises(InterruptionError):
        trainer.run()
    return trainer


def state_of(folder):
    saved = checkpoint.load(Checkpoints(folder).newest())
    return saved.model, saved.average


def assert_same(one, other):
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_interrupted_three_times_in_an_epoch_equals_undisturbed(tiny, tmp_path):
    size = {"train": tiny.Data(30), "max_steps": 8, "save_every": 1}  # an epoch has 7.5 updates
    tiny.trainer(tmp_path / "whole", **size).run()
    for at in (2, 3, 5):
        interrupted(tiny, tmp_path / "parts", at, **size)
    tiny.trainer(tmp_path / "parts", **size).run()
    assert tiny.metrics(tmp_path / "parts") == tiny.metrics(tmp_path / "whole")
    for one, other in zip(state_of(tmp_path / "parts"), state_of(tmp_path / "whole"), strict=True):
        assert_same(one, other)


def test_updates_after_the_last_checkpoint_are_done_again(tiny, tmp_path):
    tiny.trainer(tmp_path / "whole", log_every=3).run()
    interrupted(tiny, tmp_path / "parts", 7, log_every=3)
    tiny.trainer(tmp_path / "parts", log_every=3).run()
    assert tiny.metrics(tmp_path / "parts") == tiny.metrics(tmp_path / "whole")


def lose_optimiser(trainer, patch):
    patch.setattr("toolkit.train.turn.Turn.load", lambda self, state: None)


def lose_average(trainer, patch):
    patch.setattr("toolkit.train.averaging.MovingAverage.load", lambda self, state: None)


def lose_batch_norm(trainer, patch):
    fill = checkpoint.fill

    def without_buffers(module, state, path):
        fill(module, {**state, **{name: value for name, value in module.state_dict().items() if "running" in name}}, path)

    patch.setattr("toolkit.train.checkpoint.fill", without_buffers)


def lose_order(trainer, patch):
    members = trainer.order.members
    patch.setattr(trainer.order, "members", lambda step: members(step - 4))


def lose_noise(trainer, patch):
    load = trainer.train.load
    patch.setattr(trainer.train, "load", lambda members, counts, key: load(members, counts, (key[0], key[1] - 4, key[2])))


def lose_generator(trainer, patch):
    patch.setattr("torch.manual_seed", lambda seed: None)


def lose_step(trainer, patch):
    rate = trainer.turn("main").schedule.__class__
    patch.setattr(rate, "factor", lambda self, step, max_steps: max(0, step - 4) / max_steps)


LOSSES = [lose_optimiser, lose_average, lose_batch_norm, lose_order, lose_noise, lose_generator, lose_step]


@pytest.mark.parametrize("lose", LOSSES)
def test_each_part_of_the_state_matters(tiny, tmp_path, monkeypatch, lose):
    tiny.trainer(tmp_path / "whole").run()
    interrupted(tiny, tmp_path / "parts", 4)
    trainer = tiny.trainer(tmp_path / "parts")
    lose(trainer, monkeypatch)
    trainer.run()
    assert tiny.metrics(tmp_path / "parts") != tiny.metrics(tmp_path / "whole")


def test_a_finished_run_does_nothing_more(tiny, tmp_path):
    tiny.trainer(tmp_path, validate_every=5, save_every=5).run()
    assert (tmp_path / "checkpoints" / "average").is_dir()
    task = tiny.Task()
    before = sorted(p.stat().st_mtime_ns for p in (tmp_path / "checkpoints").rglob("*"))
    tiny.trainer(tmp_path, task, validate_every=5, save_every=5).run()
    assert task.updates == []
    assert sorted(p.stat().st_mtime_ns for p in (tmp_path / "checkpoints").rglob("*")) == before


def test_a_longer_run_goes_on(tiny, tmp_path):
    tiny.trainer(tmp_path, identity={"tiny": {"max_steps": 10}}).run()
    task = tiny.Task()
    tiny.trainer(tmp_path, task, max_steps=12, identity={"tiny": {"max_steps": 12}}).run()
    assert sorted({key[1] for key, _, _ in task.updates}) == [11, 12]


def test_never_starts_over_and_keeps_what_was_there(tiny, tmp_path):
    tiny.trainer(tmp_path).run()
    tiny.trainer(tmp_path, identity={"tiny": {"width": 5}}, max_steps=4).run(resume="never")
    assert [p.name for p in Checkpoints(tmp_path).all()] == ["step-00000002", "step-00000004"]
    assert (tmp_path / "checkpoints.before-1" / "step-00000010" / "MANIFEST.json").exists()
    assert [row["step"] for row in tiny.metrics(tmp_path) if row["split"] == "train"] == [1, 2, 3, 4]


def test_from_a_path_another_run_is_continued_here(tiny, tmp_path):
    tiny.trainer(tmp_path / "first", max_steps=4).run()
    task = tiny.Task()
    tiny.trainer(tmp_path / "fork", task, max_steps=6).run(resume=str(tmp_path / "first"))
    assert sorted({key[1] for key, _, _ in task.updates}) == [5, 6]


def test_a_path_without_a_checkpoint_is_refused(tiny, tmp_path):
    with pytest.raises(CheckpointError, match=r"--resume: neither a checkpoint nor a run"):
        tiny.trainer(tmp_path / "run").run(resume=str(tmp_path / "nothing"))


def test_another_configuration_is_shown_and_refused(tiny, tmp_path):
    tiny.trainer(tmp_path, max_steps=2).run()
    with pytest.raises(ConfigError) as caught:
        tiny.trainer(tmp_path, identity={"tiny": {"width": 5, "max_steps": 3}}).run()
    assert "--fork" in str(caught.value)
    assert "tiny.width: 4 -> 5" in str(caught.value)
    assert "max_steps" not in str(caught.value)


def test_before_the_first_checkpoint_the_configuration_may_change(tiny, tmp_path):
    interrupted(tiny, tmp_path, 1)
    tiny.trainer(tmp_path, identity={"tiny": {"width": 5}}, max_steps=2).run()


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_taken(tiny, tmp_path, caplog):
    tiny.trainer(tmp_path / "whole").run()
    interrupted(tiny, tmp_path / "parts", 8)
    path = tmp_path / "parts" / "checkpoints" / "step-00000008" / "training.pt"
    path.write_bytes(path.read_bytes()[:-1])
    tiny.trainer(tmp_path / "parts").run()
    assert str(path) in caplog.text
    assert tiny.metrics(tmp_path / "parts") == tiny.metrics(tmp_path / "whole")


def test_weights_of_another_model_are_refused_in_one_line(tiny, tmp_path):
    tiny.trainer(tmp_path, max_steps=2).run()
    with pytest.raises(CheckpointError, match="does not fit this configuration") as caught:
        tiny.trainer(tmp_path, tiny.Task(batch_norm=False), max_steps=4).run()
    assert "\n" not in str(caught.value)
