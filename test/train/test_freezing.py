"""Frozen parts: no weight, average or statistic of theirs moves, and a wrong word is refused."""

import pytest
import torch
from torch import nn

from toolkit.errors import ConfigError
from toolkit.train.freezing import freeze, stands_in
from toolkit.train.optimisers import OPTIMISERS


@pytest.mark.parametrize(
    ("word", "name", "expected"),
    [
        ("encoder", "model.encoder.lstm.bias", True), ("model.encoder", "model.encoder.lstm.bias", True), ("bias", "out.bias", True),
        ("encoder.lstm", "model.encoder.lstm.bias", True), ("code", "model.encoder.lstm.bias", False),
        ("encoder.bias", "model.encoder.lstm.bias", False), ("lstm.b", "model.encoder.lstm.bias", False),
    ],
)  # fmt: skip
def test_words_are_whole_parts_of_names(word, name, expected):
    assert stands_in(word, name) is expected


def test_what_is_frozen_stays_and_the_rest_learns(tiny, tmp_path):
    task = tiny.Task()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    penalised = OPTIMISERS.part("adam", learning_rate=1e-2, l2=0.1, l2_excludes=())
    trainer = tiny.trainer(tmp_path, task, freeze=("conv", "norm"), max_steps=4, optimiser=penalised)
    trainer.run()
    after = task.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"out.weight", "out.bias"}
    assert set(trainer.turn("main").named) == {"out.weight", "out.bias"}
    assert torch.equal(trainer.average.weights["conv.weight"], before["conv.weight"])


def test_frozen_batch_normalisation_uses_its_running_statistics(tiny):
    task = tiny.Task()
    freeze(task, ["norm.bias"])
    assert not task.norm.frozen
    freeze(task, ["norm"])
    x = torch.randn(2, 6, 5) * 3 + 1
    task.norm.running_mean.fill_(0.5)
    trained = task.norm.train()(x)
    assert not task.norm.pending and torch.equal(trained, task.norm.eval()(x))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["conf"], "freeze: in the name of no weight, got 'conf'; did you mean 'conv'?"),
        (["conv", "norm", "out"], "freeze: nothing is left to train, got conv, norm, out; leave one out"),
    ],
)
def test_wrong_words_are_refused(tiny, words, message):
    with pytest.raises(ConfigError) as caught:
        freeze(tiny.Task(), words)
    assert message in str(caught.value)


def test_a_training_may_go_on_with_more_frozen(tiny, tmp_path):
    tiny.trainer(tmp_path, max_steps=2).run()
    trainer = tiny.trainer(tmp_path, max_steps=4, freeze=("conv",))
    trainer.run()
    assert trainer.done == 4 and not any(name.startswith("conv") for name in trainer.turn("main").state()["moments"])


def test_nothing_is_frozen_by_none():
    module = nn.Linear(2, 2)
    freeze(module, None)
    assert all(parameter.requires_grad for parameter in module.parameters())
