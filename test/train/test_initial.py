"""First weights from elsewhere: what is chosen, where it goes, and that a mistake loads nothing."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from toolkit.errors import CheckpointError, ConfigError
from toolkit.train.checkpoint import best_weights
from toolkit.train.initial import NOTE, Source, first_weights, initialise


def net(width: int = 3) -> nn.Module:
    return nn.ModuleDict({"encoder": nn.ModuleDict({"lstm": nn.Linear(2, 2), "norm": nn.Linear(2, 2)}), "out": nn.Linear(2, width)})


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.fixture
def file(tmp_path):
    """Weights of another net, all 7."""
    save_file({name: torch.full_like(value, 7.0) for name, value in net().state_dict().items()}, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def sevens(module: nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if bool((value == 7).all())}


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", {"encoder.lstm.weight", "encoder.lstm.bias", "encoder.norm.weight", "encoder.norm.bias", "out.weight", "out.bias"}),
        (":encoder:encoder", {"encoder.lstm.weight", "encoder.lstm.bias", "encoder.norm.weight", "encoder.norm.bias"}),
        (":encoder:encoder:norm", {"encoder.lstm.weight", "encoder.lstm.bias"}),
        (":::encoder,bias", {"out.weight"}),
        (":encoder.lstm:encoder.norm", {"encoder.norm.weight", "encoder.norm.bias"}),
    ],
)
def test_what_is_taken_and_where_it_goes(file, rest, expected):
    module = net()
    said = initialise(module, [Source.parse(f"{file}{rest}")], "tiny")
    assert sevens(module) == expected and said.startswith(f"{len(expected)} of 6 tensors from {file}")


def test_a_prefix_that_is_left_out_of_the_target_is_taken_off(file):
    linear = nn.Linear(2, 3)
    initialise(linear, [Source.parse(f"{file}:out")], "tiny")
    assert sevens(linear) == {"weight", "bias"}


@pytest.mark.parametrize(
    ("rest", "width", "error", "message"),
    [
        ("", 5, CheckpointError, "out.weight: shape 3x2 there, 5x2 here; exclude it with a word of its name"),
        (":encodr", 3, ConfigError, "no weight begins with 'encodr'; did you mean 'encoder'?"),
        (":encoder:encoder:lstm,norm", 3, ConfigError, "no weight begins with 'encoder' without lstm, norm"),
        (":encoder:decoder", 3, CheckpointError, "no weight 'decoder.lstm.weight' here; "),
        (":a:b:c:d", 3, ConfigError, "--init-param: expected PATH:SOURCE:TARGET:EXCLUDES, got "),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_loaded(file, rest, width, error, message):
    module = net(width)
    before = copy_of(module)
    with pytest.raises(error) as caught:
        initialise(module, [Source.parse(f"{file}:encoder:encoder"), Source.parse(f"{file}{rest}")], "tiny")
    assert message in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_path_that_holds_no_weights_is_named(tmp_path):
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        initialise(net(), [Source(tmp_path / "text")], "tiny")
    with pytest.raises(CheckpointError, match="neither a checkpoint, a run, an experiment nor a safetensors file"):
        initialise(net(), [Source(tmp_path / "nowhere")], "tiny")


def test_a_run_begins_from_another_and_a_resumed_one_does_not(tiny, tmp_path, caplog):
    tiny.trainer(tmp_path / "exp" / "tiny", max_steps=2).run()
    trained = best_weights(tmp_path / "exp" / "tiny")[0]
    wanted, folder, task = [f"{tmp_path / 'exp'}:conv:conv"], tmp_path / "new", tiny.Task()
    said = first_weights(task, "tiny", folder, wanted, "auto", write=True)
    assert said == f"2 of 8 tensors from {tmp_path / 'exp'} conv" and (folder / NOTE).read_text() == said + "\n"
    assert torch.equal(task.conv.weight, trained["conv.weight"]) and not torch.equal(task.out.weight, trained["out.weight"])
    trainer = tiny.trainer(folder, task, max_steps=2)
    assert torch.equal(trainer.average.weights["conv.weight"], task.conv.weight)
    trainer.run()
    assert "training tiny from the start" in (folder / "train.log").read_text()
    resumed = tiny.Task()
    before = copy_of(resumed)
    assert first_weights(resumed, "tiny", folder, wanted, "auto", write=True) == said
    assert all(torch.equal(value, before[name]) for name, value in resumed.state_dict().items())
    assert "--init-param: ignored" in caplog.text
    assert first_weights(resumed, "tiny", folder, [], "never", write=True) == "" and (folder / NOTE).read_text() == "\n"
