"""The atomic writer: whatever fails, and wherever, the old file stays and nothing half-written is left."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.data import writing
from toolkit.data.writing import WriteError, atomic, remove_leftovers, sha256, write_json, write_text
from toolkit.errors import ConfigError, DataError

POINTS = ("file.write", "file.fsync", "file.rename")


@pytest.fixture(autouse=True)
def fresh_counts(monkeypatch):
    monkeypatch.setattr(writing, "_hits", type(writing._hits)())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_and_json_are_written_as_utf8(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "é\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"\xc3\xa9\r\n"
    write_json(tmp_path / "a.json", {"b": "é", "a": [1]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"b": "é", "a": [1]}
    assert list(json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))) == ["b", "a"]
    assert names(tmp_path) == ["a.json", "new"]


def test_nothing_is_there_before_the_end(tmp_path):
    with atomic(tmp_path / "a") as file:
        file.write(b"new")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EIO", "EROFS"])
def test_a_fault_keeps_the_old_file(tmp_path, monkeypatch, point, code):
    path = tmp_path / "a"
    write_text(path, "old")
    monkeypatch.setenv("TOOLKIT_FAIL", f"{point}:1:{code}")
    with pytest.raises(WriteError) as caught:
        write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["a"]
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    full = code in ("ENOSPC", "EDQUOT")
    assert ("disk full" in message and "MB free" in message) if full else os.strerror(getattr(errno, code)) in message
    write_text(path, "new")  # the point is passed for the second time
    assert path.read_text() == "new"


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_keeps_the_old_file_and_leftovers_can_be_removed(tmp_path, point):
    path = tmp_path / "a"
    write_text(path, "old")
    code = "import sys; from toolkit.data.writing import write_text; write_text(sys.argv[1], 'new')"
    environment = {**os.environ, "TOOLKIT_FAIL": f"{point}:1:KILL", "PYTHONPATH": str(Path(writing.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, timeout=60)
    assert done.returncode == -9
    assert path.read_text() == "old" and len(names(tmp_path)) == 2
    remove_leftovers(path)
    assert names(tmp_path) == ["a"]


def test_leftovers_of_other_files_stay(tmp_path):
    for name in (".a.x.tmp", ".b.x.tmp", "a", "c.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "a")
    assert names(tmp_path) == [".b.x.tmp", "a", "c.tmp"]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a", "c.tmp"]


def test_the_nth_time_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("TOOLKIT_FAIL", "data.fsync:2:EIO")
    write_text(tmp_path / "a", "x", point="data")
    write_text(tmp_path / "b", "x", point="other")
    with pytest.raises(WriteError):
        write_text(tmp_path / "c", "x", point="data")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("spec", ["file.write", "file.write:x:EIO", "file.write:1:ENOTHING", "a:1:EIO:b"])
def test_a_wrong_failpoint_is_refused(tmp_path, monkeypatch, spec):
    monkeypatch.setenv("TOOLKIT_FAIL", spec)
    with pytest.raises(ConfigError, match="POINT:N:ERRNO"):
        write_text(tmp_path / "a", "x")
    assert names(tmp_path) == []


def test_a_library_that_hides_the_full_disk_is_seen_through(tmp_path):
    with pytest.raises(WriteError, match="disk full"), atomic(tmp_path / "a"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904 - as torch.save does
    assert names(tmp_path) == []


def test_errors_that_are_not_about_this_file_pass_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), atomic(tmp_path / "a"):
        open(tmp_path / "other")
    with pytest.raises(DataError, match="bad line"), atomic(tmp_path / "a"):
        try:
            open(tmp_path / "other")
        except OSError as error:
            raise DataError("bad line") from error
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "a"):
        raise KeyboardInterrupt from OSError(errno.EIO, "x")
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(WriteError, match=r"a/b: cannot be written: .*"):
        write_text(tmp_path / "a" / "b", "x")


def test_long_names_fit(tmp_path):
    path = tmp_path / ("é" * 120)
    write_text(path, "x")
    assert path.read_text() == "x"


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
