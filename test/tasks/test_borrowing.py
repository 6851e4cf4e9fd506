"""An experiment on the predictor of another one: links, and refusals where the two do not fit."""

import json
from pathlib import Path

import pytest

from toolkit.errors import CheckpointError, ConfigError, DataError
from toolkit.tasks.borrowing import borrow_predictor
from toolkit.tasks.schema import System, load_system
from toolkit.tasks.text2mel import Text2Mel

MINI = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/mini.yaml"
FILES = ("tokens.txt", "features.json", "stats.npz")


def system(*changes: str) -> System:
    return load_system(MINI, changes)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Data, an experiment that has finished its gta stage on them, and a place for another one."""
    data, source = tmp_path / "dump", tmp_path / "exp/a b'c"
    for folder in (data, source):
        folder.mkdir(parents=True)
        for name in FILES:
            (folder / name).write_text(name)
    (source / "text2mel/checkpoints").mkdir(parents=True)
    (source / "text2mel/identity.json").write_text(json.dumps(Text2Mel.identity(system())))
    (source / "gta").mkdir()
    (source / "gta/index.json").write_text("{}")
    return data, source, tmp_path / "exp/new"


def test_another_vocoder_and_seed_use_the_predictor_through_links_that_move_along(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, source, new = folders
    for _ in range(2):  # again is the same
        borrow_predictor(system("seed=2", "vocoder_conf.residual=32", "crops.input=natural", "text2mel.max_steps=5"), data, source, new)
    assert (new / "gta/index.json").is_file() and (new / "text2mel").is_symlink()
    (tmp_path / "exp").rename(tmp_path / "moved")
    assert (tmp_path / "moved/new/text2mel/identity.json").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("reduction=2", "has another predictor than this configuration, reduction: 4 -> 2; train one of its own"),
        ("decoder_conf.lstm=8", "decoder_conf.lstm: 256 -> 8"),
        ("features.hop=100", "features.hop: 200 -> 100"),
        ("tokenizer=phone", "tokenizer: 'char' -> 'phone' and 1 more"),
    ],
)
def test_another_predictor_is_refused_in_one_line(change: str, message: str, folders: tuple[Path, Path, Path]) -> None:
    data, source, new = folders
    with pytest.raises(ConfigError, match="--predictor: ") as caught:
        borrow_predictor(system(change), data, source, new)
    assert message.split(" and ")[0] in str(caught.value) and "\n" not in str(caught.value)
    assert not new.exists()


@pytest.mark.parametrize("name", FILES)
def test_other_data_are_refused(name: str, folders: tuple[Path, Path, Path]) -> None:
    data, source, new = folders
    (data / name).write_text("other")
    with pytest.raises(DataError, match=f"was trained on other data, {name} is not that of"):
        borrow_predictor(system(), data, source, new)


def test_a_predictor_that_is_not_there_or_stands_in_the_way(folders: tuple[Path, Path, Path]) -> None:
    data, source, new = folders
    (new / "text2mel").mkdir(parents=True)
    with pytest.raises(ConfigError, match="has its own text2mel"):
        borrow_predictor(system(), data, source, new)
    (source / "gta/index.json").unlink()
    with pytest.raises(CheckpointError, match="run its stages up to gta first"):
        borrow_predictor(system(), data, source, new)
