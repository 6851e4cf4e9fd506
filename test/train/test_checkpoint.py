"""Checkpoints are there whole or not at all, damage is found, and the right ones are kept."""

import errno
import json
import random
import shutil

import pytest
import torch

from toolkit.data.writing import WriteError
from toolkit.errors import CheckpointError
from toolkit.train import checkpoint
from toolkit.train.checkpoint import Checkpoints, Saved
from toolkit.train.sealing import verify

FILES = ["MANIFEST.json", "average.safetensors", "meta.json", "model.safetensors", "training.pt"]


def saved(step, loss=None, average=True):
    weights = {"weight": torch.full((3,), float(step)), "count": torch.tensor(step)}
    moving = {"weight": weights["weight"] + 0.5, "count": weights["count"]} if average else None
    return Saved(weights, moving, {"turns": {"main": {"moments": torch.zeros(4)}}}, {"step": step, "dev_loss": loss})


def steps(checkpoints):
    return [int(path.name[5:]) for path in checkpoints.all()]


def test_what_was_saved_is_loaded(tmp_path):
    path = Checkpoints(tmp_path).save(saved(3, 0.5))
    loaded = checkpoint.load(path)
    assert torch.equal(loaded.model["weight"], torch.full((3,), 3.0))
    assert torch.equal(loaded.average["weight"], torch.full((3,), 3.5))
    assert loaded.meta == {"step": 3, "dev_loss": 0.5}
    assert loaded.training["turns"]["main"]["moments"].shape == (4,)
    assert sorted(p.name for p in path.iterdir()) == [
        "MANIFEST.json",
        "average.safetensors",
        "meta.json",
        "model.safetensors",
        "training.pt",
    ]


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_is_loaded(tmp_path, name):
    path = Checkpoints(tmp_path).save(saved(3)) / name
    whole = path.read_bytes()
    places = random.Random(name)
    for _ in range(20):
        flipped = bytearray(whole)
        flipped[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="step-00000003" if name == "MANIFEST.json" else name) as caught:
            checkpoint.load(path.parent)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    checkpoint.load(path.parent)


@pytest.mark.parametrize("damage", ["truncate", "empty", "delete", "stranger"])
def test_other_damage_is_found(tmp_path, damage):
    path = Checkpoints(tmp_path).save(saved(3))
    file = path / "model.safetensors"
    if damage == "stranger":
        (path / "average2.safetensors").write_bytes(b"")
    elif damage == "delete":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 10 if damage == "truncate" else 0])
    with pytest.raises(CheckpointError):
        verify(path)


def test_files_of_two_checkpoints_do_not_mix(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    first, second = checkpoints.save(saved(1)), checkpoints.save(saved(2))
    shutil.copy(first / "model.safetensors", second / "model.safetensors")
    assert checkpoints.newest() == first


def test_two_newest_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_best=2)
    for step, loss in [(1, 0.9), (2, 0.1), (3, 0.5), (4, 0.2), (5, 0.8), (6, None), (7, float("nan"))]:
        checkpoints.save(saved(step, loss))
    assert steps(checkpoints) == [2, 4, 6, 7]
    assert [path.name for path in checkpoints.best(5)] == ["step-00000002", "step-00000004"]


def test_a_damaged_one_is_not_counted_among_the_two_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_best=0)
    for step in (1, 2):
        path = checkpoints.save(saved(step))
    (path / "meta.json").write_text("{}")
    checkpoints.save(saved(3))
    assert steps(checkpoints) == [1, 3]


@pytest.mark.parametrize("point", ["write", "fsync", "rename", "seal"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_each_failing_call_leaves_the_checkpoint_before(tmp_path, monkeypatch, point, number):
    from toolkit.data import writing

    checkpoints = Checkpoints(tmp_path)
    before = checkpoints.save(saved(1))
    for nth in range(1, 2 if point == "seal" else 6):  # four files and the manifest
        writing._hits.clear()
        monkeypatch.setenv("TOOLKIT_FAIL", f"checkpoint.{point}:{nth}:{errno.errorcode[number]}")
        with pytest.raises(WriteError, match=str(tmp_path)) as caught:
            checkpoints.save(saved(2))
        assert number != errno.ENOSPC or "MB free" in str(caught.value)
        assert [p.name for p in checkpoints.root.iterdir()] == [before.name]
        assert checkpoints.newest() == before
    writing._hits.clear()
    monkeypatch.setenv("TOOLKIT_FAIL", f"checkpoint.{point}:9:EIO")
    assert checkpoints.save(saved(2)) == checkpoints.newest()


@pytest.mark.parametrize("point", ["rename:1", "seal:1"])
def test_a_kill_within_saving_leaves_the_checkpoint_before(tiny, tmp_path, point):
    tiny.trainer(tmp_path, max_steps=2).run()
    code = "trainer(folder, max_steps=4, log_every=9).run()"
    [(exit_code, _)] = tiny.processes(tmp_path, code, {"TOOLKIT_FAIL": f"checkpoint.{point}:KILL"})
    assert exit_code == -9
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest().name == "step-00000002"
    assert list(checkpoints.root.glob(".*.tmp"))
    tiny.trainer(tmp_path, max_steps=4).run()
    assert steps(checkpoints) == [2, 4]
    assert not list(checkpoints.root.glob(".*.tmp"))


def test_weights_for_inference(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_best=2)
    for step, loss in [(1, 0.2), (2, 0.1), (3, 0.9)]:
        checkpoints.save(saved(step, loss))

    def weight(prefer):
        return float(checkpoint.best_weights(tmp_path, prefer)[0]["weight"][0])

    assert (weight("best"), weight("ema"), weight("newest")) == (2.5, 3.5, 3.0)
    assert weight("average") == 2.5  # no mean yet: the best
    mean = checkpoint.average(checkpoints.best(2))
    checkpoints.save_average(mean, {"steps": [1, 2], "step": 2, "dev_loss": 0.15})
    assert (weight("average"), weight("best")) == (2.0, 2.5)
    checkpoints.save_average(mean, {"steps": [1, 2], "step": 2, "dev_loss": 0.05})
    state, meta = checkpoint.best_weights(tmp_path)
    assert float(state["weight"][0]) == 2.0
    assert meta["steps"] == [1, 2]
    assert meta["path"].endswith("checkpoints/average")


def test_without_a_checkpoint_there_are_no_weights(tmp_path):
    with pytest.raises(CheckpointError, match="no valid checkpoint"):
        checkpoint.best_weights(tmp_path)
    with pytest.raises(CheckpointError, match="did you mean 'newest'"):
        checkpoint.best_weights(tmp_path, "newst")


def test_training_ends_with_the_mean_of_the_best_and_its_loss(tiny, tmp_path):
    trainer = tiny.trainer(tmp_path, validate_every=2)
    trainer.run()
    best = Checkpoints(tmp_path).best(2)
    state, meta = checkpoint.best_weights(tmp_path, "average")
    assert all(torch.equal(state[name], value) for name, value in checkpoint.average(best).items())
    assert meta["steps"] == sorted(int(path.name[5:]) for path in best)
    trainer.module.load_state_dict(state)
    trainer.module.eval()
    with torch.no_grad():
        assert meta["dev_loss"] == pytest.approx(trainer.validation.losses(1)["loss"], rel=1e-6)


def test_meta_is_plain_json(tmp_path):
    path = Checkpoints(tmp_path).save(saved(1, 0.25))
    assert json.loads((path / "meta.json").read_text()) == {"step": 1, "dev_loss": 0.25}
