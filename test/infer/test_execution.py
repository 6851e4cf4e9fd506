"""How synthesis runs: settings reach the parts, mistakes are named, and neither threads nor options go anywhere else."""

import argparse
from pathlib import Path

import pytest
import torch

from toolkit.decoders import DECODERS
from toolkit.errors import ConfigError
from toolkit.infer import speak
from toolkit.infer.load import load_config
from toolkit.infer.options import add_settings
from toolkit.nn import execution
from toolkit.nn.attention_window import Window
from toolkit.nn.execution import Execution
from toolkit.tasks.schema import load_system

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"


def test_the_default_changes_nothing() -> None:
    assert load_system(MINI).synthesis.execution == Execution() == Execution("fp32", 2, 1, True)
    assert all(DECODERS.resolve(name).execution == Execution() for name in DECODERS.names())


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("precision=int4", r"^synthesis.precision: unknown, got 'int4'; did you mean 'int8'\? known: bf16, fp32, int8$"),
        ("threads=0", "^synthesis.threads: must be from 1 to 1024, got 0$"),
        ("folds=1000", "^synthesis.folds: must be from 1 to 256, got 1000$"),
        ("folds=many", "^synthesis.folds: .*got 'many'"),
        ("window={forward: 0}", "^synthesis.window.forward: symbols, must be at least 1 .*got 0; null for all$"),
        ("window={backwards: 2}", "^synthesis.window.backwards: .*did you mean 'backward'"),
    ],
)
def test_a_wrong_setting_is_one_line(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_system(MINI, [f"synthesis.{assignment}"])


def test_short_options_are_settings_and_the_last_word_counts() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    words = ["--set", "synthesis.threads=4", "--precision", "int8", "--folds=8", "--threads", "1"]
    settings = parser.parse_args(words).set
    assert load_system(MINI, settings).synthesis.execution == Execution("int8", 1, 8)
    assert parser.parse_args([]).set == []


def test_old_experiments_without_these_settings_load(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(MINI.read_text(encoding="utf-8"))
    assert load_config(tmp_path).synthesis.precision == "fp32"


def test_a_window_needs_a_decoder_that_attends_step_by_step() -> None:
    assert load_system(MINI, ["synthesis.window={backward: 0, forward: null}"]).synthesis.window == Window(0, None)
    with pytest.raises(ConfigError, match="^.*synthesis.window: decoder 'linguistic' does not attend step by step; set it to null$"):
        load_system(MINI.parent / "paper_wavenet_linguistic.yaml", ["synthesis.window={}"])


def test_never_more_workers_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "cores", lambda: 3)
    assert [Execution(threads=count).workers for count in (1, 2, 64)] == [1, 2, 3]


def test_threads_of_torch_follow_the_size_of_a_step_and_are_given_back() -> None:
    before = torch.get_num_threads()
    with execution.torch_threads(2):
        assert torch.get_num_threads() == 2
        assert speak.threads_for(torch.nn.Linear(8, 8), Execution(threads=2)) == 1
        big = torch.nn.Linear(8, speak.LARGE // 8, device="meta")
        assert speak.threads_for(big, Execution(threads=2)) == min(2, execution.cores())
        assert speak.threads_for(big, Execution(threads=1)) == 1
    assert torch.get_num_threads() == before
