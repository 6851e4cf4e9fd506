"""Stamps: a stage is skipped only while what it read and wrote is unchanged, and the change is named."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.bin import stamp as verb
from toolkit.data import stamps
from toolkit.data.stamps import fingerprints, stamp_valid, tree_hash, write_stamp
from toolkit.errors import DataError


@pytest.fixture
def stage(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/a").write_text("a")
    (tmp_path / "in/sub/b").write_text("b")
    (tmp_path / "out").write_text("result")
    return tmp_path


def inputs(folder, **values):
    return fingerprints([folder / "in"], values)


def test_a_valid_stamp_gives_no_reason(stage):
    assert stamp_valid(stage / ".done", inputs(stage, limits="1")) == ["not finished before"]
    write_stamp(stage / ".done", inputs(stage, limits="1"), [stage / "out"])
    assert stamp_valid(stage / ".done", inputs(stage, limits="1")) == []


@pytest.mark.parametrize("change", ["content", "name", "new file", "removed"])
def test_a_changed_input_is_named(stage, change):
    write_stamp(stage / ".done", inputs(stage), [stage / "out"])
    if change == "content":
        (stage / "in/sub/b").write_text("B")
    elif change == "name":
        (stage / "in/sub/b").rename(stage / "in/sub/c")
    elif change == "new file":
        (stage / "in/sub/c").write_text("")
    else:
        (stage / "in/sub/b").unlink()
    assert stamp_valid(stage / ".done", inputs(stage)) == [f"input {stage / 'in'} changed"]


def test_missing_inputs_and_other_values_are_named(stage):
    write_stamp(stage / ".done", inputs(stage, old="1", limits="1"), [stage / "out"])
    shutil.rmtree(stage / "in")
    assert stamp_valid(stage / ".done", inputs(stage, limits="2", new="3")) == [
        f"input {stage / 'in'} is missing",
        "value limits changed",
        "value new is new",
        "value old is no longer used",
    ]


def test_outputs_are_looked_at(stage):
    write_stamp(stage / ".done", inputs(stage), [stage / "out"])
    (stage / "out").write_text("damaged")
    assert stamp_valid(stage / ".done", inputs(stage)) == [f"output {stage / 'out'} is missing or changed"]
    (stage / "out").unlink()
    assert stamp_valid(stage / ".done", inputs(stage)) == [f"output {stage / 'out'} is missing or changed"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"inputs": 3, "outputs": {}}', "\x00"])
def test_a_damaged_stamp_is_not_valid(stage, text):
    (stage / ".done").write_text(text)
    assert stamp_valid(stage / ".done", inputs(stage)) == [f"{stage / '.done'}: the stamp cannot be read"]


def test_a_stage_without_its_output_is_not_finished(stage):
    with pytest.raises(DataError, match="missing: .*nothing"):
        write_stamp(stage / ".done", inputs(stage), [stage / "nothing"])
    assert not (stage / ".done").exists()


def test_times_hidden_files_and_links_do_not_matter(stage):
    before = tree_hash(stage / "in")
    os.utime(stage / "in/a", (1, 1))
    (stage / "in/.b.x.tmp").write_text("half")
    shutil.copytree(stage / "in", stage / "copy")
    (stage / "link").symlink_to(stage / "copy")
    assert tree_hash(stage / "in") == tree_hash(stage / "copy") == tree_hash(stage / "link") == before


def test_folders_are_told_apart(stage):
    hashes = {tree_hash(stage / "in"), tree_hash(stage / "in/sub"), tree_hash(stage / "in/a"), tree_hash(stage / "gone")}
    (stage / "empty").mkdir()
    assert len(hashes | {tree_hash(stage / "empty")}) == 5


def test_circles_end_and_pipes_are_refused(stage):
    (stage / "in/sub/up").symlink_to(stage / "in")
    assert len(tree_hash(stage / "in")) == 64
    os.mkfifo(stage / "in/pipe")
    with pytest.raises(DataError, match="pipe: neither a file nor a folder"):
        tree_hash(stage / "in")


def test_the_verb_checks_and_writes(stage, capsys):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    rest = [str(stage / "done"), "--input", str(stage / "in"), "--value", "a=b=c", "--output", str(stage / "out")]
    (stage / ".out.x.tmp").touch()
    assert verb.run(parser.parse_args(["check", *rest])) == 3
    assert capsys.readouterr().out == "not finished before\n"
    assert not (stage / ".out.x.tmp").exists()
    assert verb.run(parser.parse_args(["write", *rest])) == 0
    assert verb.run(parser.parse_args(["check", *rest])) == 0
    rest[4] = "a=b"
    assert verb.run(parser.parse_args(["check", *rest])) == 3
    assert "value a changed" in capsys.readouterr().out


def test_stamps_start_without_heavy_imports():
    code = "import sys, toolkit.bin.stamp, toolkit.data.stamps; print(sorted({'torch', 'soundfile', 'scipy'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(stamps.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
