"""Fetching LJSpeech: resume, checksum, safe unpacking and the answer without a network. Nothing is downloaded here."""

import errno
import hashlib
import importlib.util
import io
import tarfile
import urllib.error
from pathlib import Path

import pytest

from toolkit.errors import DataError

SCRIPT = Path(__file__).resolve().parents[2] / "recipes/ljspeech/local/download.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("ljspeech_download", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive(members, start=b"", compress="bz2"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compress}") as tar:
        for name, content, *kind in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if kind:
                info.type, info.linkname = kind[0], "/etc/passwd"
                info.size = 0
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


GOOD = [("LJSpeech-1.1/README", b"r"), ("LJSpeech-1.1/metadata.csv", b"a|b\n"), ("LJSpeech-1.1/wavs/a.wav", b"w" * 3000)]


@pytest.fixture
def server(script, monkeypatch):
    """A stand-in for the network: ``served`` is the file, ``cut`` the bytes after which a connection breaks off."""

    class Answer(io.BytesIO):
        status = 200

    class Server:
        served, cut, ranges, error = archive(GOOD), None, True, None
        seen = []

        def open(self, request, timeout):
            if self.error:
                raise self.error
            start = int(request.get_header("Range", "bytes=0-")[6:-1])
            self.seen.append(start)
            start = start if self.ranges else 0
            answer = Answer(self.served[start : None if self.cut is None else start + self.cut])
            answer.status = 206 if start else 200
            return answer

    it = Server()
    it.seen = []
    monkeypatch.setattr(script.urllib.request, "urlopen", it.open)
    monkeypatch.setattr(script, "SIZE", len(it.served))
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(it.served).hexdigest())
    monkeypatch.setattr(script, "UNPACKED", 10_000)
    return it


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["download.py", *map(str, arguments)])
    return script.main()


def test_download_and_unpack_once(script, server, tmp_path, monkeypatch, capsys):
    assert run(script, monkeypatch, "--out", tmp_path) == 0
    root = tmp_path / "LJSpeech-1.1"
    assert capsys.readouterr().out == f"{root}\n"
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) == ["README", "metadata.csv", "wavs/a.wav"]
    assert run(script, monkeypatch, "--out", tmp_path) == 0
    assert server.seen == [0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_continued(script, server, tmp_path, ranges):
    server.cut, server.ranges = 100, ranges
    with pytest.raises(script.OfflineError, match="broke off after 100 of .* it continues there"):
        script.fetch(tmp_path, None)
    server.cut = None
    (tmp_path / ".LJSpeech-1.1.killed.tmp/LJSpeech-1.1").mkdir(parents=True)
    assert (script.fetch(tmp_path, None) / "metadata.csv").is_file()
    assert server.seen == [0, 100]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["LJSpeech-1.1", "LJSpeech-1.1.tar.bz2"]


def test_without_a_network_the_way_is_shown(script, server, tmp_path, monkeypatch, capsys):
    server.error = urllib.error.URLError("Name or service not known")
    assert run(script, monkeypatch, "--out", tmp_path) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: https://data.keithito.com/") and message.count("\n") == 1
    for part in ("Name or service not known", "GB", script.SHA256, str(tmp_path / "LJSpeech-1.1.tar.bz2"), "--archive FILE"):
        assert part in message
    (tmp_path / "LJSpeech-1.1.tar.bz2").write_bytes(server.served)  # put there by hand
    assert run(script, monkeypatch, "--out", tmp_path) == 0


def test_a_full_disk_is_no_network_error(script, server, tmp_path):
    server.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DataError, match="cannot be written"):
        script.fetch(tmp_path, None)


def test_too_little_room_is_said_before_the_download(script, server, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "UNPACKED", 10**18)
    with pytest.raises(DataError, match="GB are needed"):
        script.fetch(tmp_path, None)
    assert server.seen == []


def test_a_wrong_checksum_is_refused(script, server, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "SHA256", "0" * 64)
    with pytest.raises(DataError, match="wrong checksum, so it was removed"):
        script.fetch(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "own.tar.bz2").write_bytes(server.served)
    with pytest.raises(DataError, match="wrong checksum, got sha256"):
        script.fetch(tmp_path, tmp_path / "own.tar.bz2")
    assert (tmp_path / "own.tar.bz2").exists()
    with pytest.raises(DataError, match="no such archive"):
        script.fetch(tmp_path, tmp_path / "none.tar.bz2")


@pytest.mark.parametrize(
    "bad",
    [
        ("LJSpeech-1.1/../../up", b"x"),
        ("/tmp/absolute", b"x"),
        ("LJSpeech-1.1/wavs/a.sh", b"x"),
        ("LJSpeech-1.1/wavs/sub/a.wav", b"x"),
        ("LJSpeech-1.1/wavs/link.wav", b"", tarfile.SYMTYPE),
        ("LJSpeech-1.1/wavs/hard.wav", b"", tarfile.LNKTYPE),
        ("LJSpeech-1.1/wavs/device.wav", b"", tarfile.CHRTYPE),
        ("LJSpeech-1.1/wavs/pipe.wav", b"", tarfile.FIFOTYPE),
        ("LJSpeech-1.1/wavs/a.wav", b"again"),
    ],
)
def test_a_hostile_archive_leaves_nothing(script, tmp_path, bad):
    (tmp_path / "x.tar.bz2").write_bytes(archive([*GOOD, bad]))
    with pytest.raises(DataError, match="nothing was kept"):
        script.unpack(tmp_path / "x.tar.bz2", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar.bz2"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(GOOD)[:-200], "damaged archive"),
        (b"no archive", "damaged archive"),
        (archive(GOOD[:1]), "holds no LJSpeech-1.1/metadata.csv"),
        (archive([*GOOD, ("LJSpeech-1.1/wavs/b.wav", bytes(17_000_000))]), "17000000 bytes"),
    ],
)
def test_a_damaged_archive_leaves_nothing(script, tmp_path, data, reason):
    (tmp_path / "x.tar.bz2").write_bytes(data)
    with pytest.raises(DataError, match=reason):
        script.unpack(tmp_path / "x.tar.bz2", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar.bz2"]


def test_too_many_members_are_refused(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "MAX_MEMBERS", 2)
    (tmp_path / "x.tar.bz2").write_bytes(archive(GOOD))
    with pytest.raises(DataError, match="more than 2 members"):
        script.unpack(tmp_path / "x.tar.bz2", tmp_path)
