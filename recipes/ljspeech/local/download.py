#!/usr/bin/env python3
"""Fetch LJSpeech-1.1 into a folder: download with resume, or --archive FILE; checksum; safe unpacking.

Exit 2 and the address, size and place where the archive may be put by hand if there is no network.
"""

from __future__ import annotations

import argparse
import errno
import http.client
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

from toolkit.data.writing import sha256
from toolkit.errors import DataError, ToolkitError

URL = "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"
SIZE = 2_748_572_632
SHA256 = "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5"  # as torchaudio and others publish it
NAME = "LJSpeech-1.1"
MEMBER = re.compile(rf"{NAME}/(README|metadata\.csv|wavs/[A-Za-z0-9_-]+\.wav)")
MAX_MEMBER, MAX_MEMBERS = 16_000_000, 20_000  # bytes; the longest recording has 0.5 MB, and there are 13,100
UNPACKED = 3_900_000_000  # bytes
TIMEOUT = 30  # seconds without a byte


class OfflineError(ToolkitError):
    """The archive could not be fetched."""

    exit_code = 2


def download(url: str, target: Path, size: int, digest: str) -> Path:
    """Fetch ``url`` to ``target``; what an earlier attempt left in ``target.part`` is kept and continued."""
    part = target.with_name(target.name + ".part")
    try:
        if not part.exists() or part.stat().st_size < size:
            _continue(url, part, size)
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise DataError(f"{part}: cannot be written: {error}; make room or give another folder") from error
        raise OfflineError(
            f"{url}: cannot be fetched: {getattr(error, 'reason', error)}; fetch it by hand ({size / 1e9:.1f} GB, sha256 {digest}),"
            f" put it at {target} and run the same command again, or give --archive FILE"
        ) from error
    if part.stat().st_size < size:
        raise OfflineError(f"{url}: broke off after {part.stat().st_size} of {size} bytes; run the same command again, it continues there")
    if sha256(part) != digest:
        part.unlink()
        raise DataError(f"{part}: wrong checksum, so it was removed; expected sha256 {digest}; run the same command again")
    part.replace(target)
    return target


def _continue(url: str, part: Path, size: int) -> None:
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        resumed = start > 0 and answer.status == 206
        with open(part, "ab" if resumed else "wb") as file:
            done = start if resumed else 0
            while done < size and (chunk := answer.read(1 << 20)):
                file.write(chunk)
                if done // 100_000_000 != (done + len(chunk)) // 100_000_000:
                    print(f"{part.name}: {(done + len(chunk)) / 1e6:.0f} of {size / 1e6:.0f} MB", flush=True)
                done += len(chunk)


def unpack(archive: Path, out: Path) -> Path:
    """Unpack into a temporary folder, then rename. Nothing but the regular files that LJSpeech has is written."""
    for leftover in out.glob(f".{NAME}.*.tmp"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{NAME}.", suffix=".tmp", dir=out))
    try:
        with tarfile.open(archive, "r|bz2") as tar:
            for count, member in enumerate(tar, start=1):
                if count > MAX_MEMBERS:
                    raise DataError(f"{archive}: more than {MAX_MEMBERS} members; this is not {NAME}")
                _unpack_member(tar, member, folder, archive)
        if not (folder / NAME / "metadata.csv").is_file():
            raise DataError(f"{archive}: holds no {NAME}/metadata.csv; this is not {NAME}")
        (folder / NAME).replace(out / NAME)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive}: damaged archive: {error}") from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked into {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return out / NAME


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: Path) -> None:
    if member.isdir():
        return
    if not member.isreg() or not MEMBER.fullmatch(member.name) or not 0 <= member.size <= MAX_MEMBER:
        raise DataError(f"{archive}: member that {NAME} does not have, got {member.name[:80]!r} of {member.size} bytes; nothing was kept")
    target, source = folder / member.name, tar.extractfile(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is None or target.exists():
        raise DataError(f"{archive}: member {member.name!r} stands twice or cannot be read; nothing was kept")
    with source, open(target, "xb") as file:
        shutil.copyfileobj(source, file)


def fetch(out: Path, archive: Path | None) -> Path:
    """The folder ``out/LJSpeech-1.1``, made if it is not there."""
    if (out / NAME).is_dir():
        return out / NAME
    out.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(out).free, UNPACKED + (0 if archive else SIZE)
    if free < needed:
        raise DataError(f"{out}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; make room or give another folder")
    placed = out / f"{NAME}.tar.bz2"
    if archive is None and not placed.exists():
        download(URL, placed, SIZE, SHA256)
    else:
        source = archive or placed
        if not source.is_file():
            raise DataError(f"{source}: no such archive")
        if (found := sha256(source)) != SHA256:
            raise DataError(f"{source}: wrong checksum, got sha256 {found}; expected {SHA256} ({SIZE} bytes)")
    return unpack(archive or placed, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets LJSpeech-1.1/")
    parser.add_argument("--archive", type=Path, help=f"an {NAME}.tar.bz2 that is already on this machine")
    args = parser.parse_args()
    try:
        print(fetch(args.out, args.archive))
    except ToolkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
