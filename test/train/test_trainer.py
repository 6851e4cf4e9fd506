"""Updates: accumulation, turns, values that are not finite, signals, ownership of the folder."""

import os
import signal

import pytest
import torch
from torch import nn

from toolkit.errors import ConfigError, TrainingError
from toolkit.train.checkpoint import Checkpoints
from toolkit.train.ownership import alone_in
from toolkit.train.protocol import Observation
from toolkit.train.settings import Batch
from toolkit.train.signals import Stopped


def trained(tiny, folder, **changes):
    task = tiny.Task(batch_norm=False, dropout=0.0).double()
    tiny.trainer(folder, task, **{**tiny.in_float64(), "max_steps": 4, **changes}).run()
    return task.state_dict(), [row["loss"] for row in tiny.metrics(folder)]


def test_micro_batches_add_up_to_the_global_batch(tiny, tmp_path):
    weights, losses = trained(tiny, tmp_path / "whole", batch=Batch(6, 6))
    for micro in (1, 3):
        others, other_losses = trained(tiny, tmp_path / str(micro), batch=Batch(6, micro))
        assert losses == pytest.approx(other_losses, rel=1e-10)
        for name, value in weights.items():
            torch.testing.assert_close(value, others[name], rtol=1e-9, atol=1e-12)


def test_the_loss_falls(tiny, tmp_path):
    tiny.trainer(tmp_path, max_steps=40, save_every=40).run()
    losses = [row["loss"] for row in tiny.metrics(tmp_path) if row["split"] == "train"]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_clipping_bounds_what_the_optimiser_sees(tiny, tmp_path):
    trainer = tiny.trainer(tmp_path, clip=1e-3, max_steps=1)
    seen = []
    step = trainer.turn("main").optimiser.step
    trainer.turn("main").optimiser.step = lambda: (seen.extend(p.grad for p in trainer.module.parameters()), step())
    trainer.run()
    assert torch.stack([g.norm() for g in seen]).norm() <= 1e-3 * 1.001
    assert tiny.metrics(tmp_path)[0]["gradient_norm"] > 1.0


class Poisoned:
    """Data of which one utterance is not finite."""

    def __init__(self, data, members):
        for member in members:
            data.frames[member][0, 0] = float("nan")
        self.__dict__.update(data.__dict__)
        self.counts, self.load, self.size = data.counts, data.load, len(data)

    def __len__(self):
        return self.size


def test_an_update_that_is_not_finite_is_not_applied_and_its_utterances_are_named(tiny, tmp_path):
    trainer = tiny.trainer(tmp_path, train=Poisoned(tiny.Data(10), [3]), max_steps=5, save_every=1)
    refused = [step for step in range(1, 6) if 3 in trainer.order.members(step)]
    trainer.run()
    log = (tmp_path / "train.log").read_text()
    for step in refused:
        [line] = [line for line in log.splitlines() if f"step {step}: loss is not finite" in line]
        assert "utt03" in line
    assert 1 <= len(refused) < 5
    applied = [row["step"] for row in tiny.metrics(tmp_path) if row["split"] == "train"]
    assert applied == [step for step in range(1, 6) if step not in refused]
    state = trainer.module.state_dict() | trainer.average.weights
    assert all(torch.isfinite(value).all() for value in state.values())
    assert trainer.module.norm.pending == []


def test_a_gradient_that_is_not_finite_is_not_applied(tiny, tmp_path):
    task = tiny.Task()
    task.out.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: value.clone() for name, value in task.state_dict().items()}
    tiny.trainer(tmp_path, task, max_steps=2).run()
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert "gradient is not finite" in (tmp_path / "train.log").read_text()


def test_twenty_in_a_row_end_the_training(tiny, tmp_path):
    task = tiny.Task()
    with pytest.raises(TrainingError, match=r"step 20: loss is not finite for 20 updates in a row; utterances utt"):
        tiny.trainer(tmp_path, task, train=Poisoned(tiny.Data(10), range(10)), max_steps=100).run()


class Turns(nn.Module):
    """Two players with a weight each; each turn's loss reaches both."""

    name = "turns"

    def __init__(self):
        super().__init__()
        self.discriminator, self.generator = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(3.0))
        self.seen = []

    def begin(self, step):
        return {}

    def turns(self, step):
        return ("generator",) if step == 1 else ("discriminator", "generator")

    def parameters_of(self, turn):
        return [(turn, getattr(self, turn))]

    def forward(self, batch, turn):
        if self.training:
            self.seen.append((turn, self.discriminator.item(), self.generator.item()))
        return {turn: self.discriminator * self.generator * len(batch.ids) / batch.counts.utterances}

    def observe(self, batch):
        raise AssertionError("there is no dev set")


def test_turns_move_their_own_weights_in_order(tiny, tmp_path):
    task = Turns()
    tiny.trainer(tmp_path, task, dev=tiny.Data(0), max_steps=2, batch=Batch(2, 2), average=None).run()
    first, discriminator, generator = task.seen
    assert first == ("generator", 2.0, 3.0)
    assert discriminator[0] == "discriminator"
    assert (discriminator[1], generator[1] < 2.0) == (2.0, True)
    assert discriminator[2] == generator[2] < 3.0
    assert set(Turns.turns(task, 2)) == set(
        torch.load(tmp_path / "checkpoints" / "step-00000002" / "training.pt", weights_only=True)["turns"]
    )
    assert "generator.learning_rate" in tiny.metrics(tmp_path)[0]
    assert "discriminator.learning_rate" in tiny.metrics(tmp_path)[1]


def test_the_loss_is_that_of_the_last_turn(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Turns, "observe", lambda self, batch: Observation({}, {}, {}))
    tiny.trainer(tmp_path, Turns(), max_steps=2, batch=Batch(2, 2), average=None, validate_every=2).run()
    *_, train, dev = tiny.metrics(tmp_path)
    assert train["loss"] == train["generator.generator"] != train["discriminator.discriminator"]
    assert dev["split"] == "dev" and dev["loss"] == dev["generator"] and "discriminator" not in dev


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_leaves_a_checkpoint_at_the_step(tiny, tmp_path, number):
    trainer = tiny.trainer(tmp_path, save_every=100)
    update, before = trainer.update, signal.getsignal(number)

    def struck(step, batches):
        if step == 3:
            os.kill(os.getpid(), number)
        return update(step, batches)

    trainer.update = struck
    with pytest.raises(Stopped, match=f"stopped by {number.name} after step 3") as caught:
        trainer.run()
    assert caught.value.exit_code == 128 + number
    assert Checkpoints(tmp_path).newest().name == "step-00000003"
    assert signal.getsignal(number) == before


def test_a_second_signal_ends_the_process_at_once(tiny, tmp_path):
    code = """
import signal
made = trainer(folder)
def struck(step, batches):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
made.update = struck
made.run()
"""
    [(exit_code, _)] = tiny.processes(tmp_path, code)
    assert exit_code == -signal.SIGTERM
    assert Checkpoints(tmp_path).all() == []


def test_two_trainings_in_one_folder_are_refused(tiny, tmp_path):
    with alone_in(tmp_path), pytest.raises(TrainingError, match=f"another training writes here, got process {os.getpid()} on"):
        tiny.trainer(tmp_path, max_steps=1).run()
    tiny.trainer(tmp_path, max_steps=1).run()


def test_the_lock_of_a_dead_process_is_taken_over(tiny, tmp_path):
    [(exit_code, _)] = tiny.processes(tmp_path, "trainer(folder).run()", {"TOOLKIT_FAIL": "checkpoint.fsync:1:KILL"})
    assert exit_code == -9
    assert (tmp_path / ".lock").read_text().startswith("process ")
    tiny.trainer(tmp_path, max_steps=1).run()


def test_half_precision_needs_a_gpu(tiny, tmp_path):
    for precision in ("fp16", "tf32"):
        with pytest.raises(ConfigError, match=f"needs a GPU, got '{precision}'"):
            tiny.trainer(tmp_path, precision=precision)


def test_bf16_trains(tiny, tmp_path):
    tiny.trainer(tmp_path, precision="bf16", max_steps=3).run()
    low = [row["loss"] for row in tiny.metrics(tmp_path)]
    tiny.trainer(tmp_path / "full", max_steps=3).run()
    full = [row["loss"] for row in tiny.metrics(tmp_path / "full")]
    assert low != full
    assert low == pytest.approx(full, rel=0.05)


def test_validation_does_not_depend_on_micro_batches(tiny, tmp_path):
    losses = []
    for micro in (1, 2, 6):
        changes = {**tiny.in_float64(), "batch": Batch(6, micro)}
        trainer = tiny.trainer(tmp_path, tiny.Task().double().eval(), **changes)
        losses.append(trainer.validation.losses(1)["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert losses[0] == pytest.approx(losses[2], rel=1e-12)
