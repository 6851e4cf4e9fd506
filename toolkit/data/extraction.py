"""Recordings -> a data directory with features: in parallel, restartable, and the same bytes for any number of processes.

Work is cut into shards of a fixed size. A shard whose stamp is valid is not made again. Features are computed from the 16-bit
wave that is written, so anyone can compute them again.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from toolkit.audio.mel import MelSettings, fingerprint, mismatch
from toolkit.data import corpus, kaldi
from toolkit.data.names import MAPS
from toolkit.data.problems import raise_all
from toolkit.data.shards import Extraction, Row, Shard, extract_shard
from toolkit.data.voices import VECTORS
from toolkit.data.writing import write_json, write_text
from toolkit.errors import ConfigError, DataError, ToolkitError

SHARD = 50  # utterances
CARRIED = (*corpus.LISTS, MAPS["language"], VECTORS)  # what is given with recordings and stays as it is
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def extract(data: Path, out: Path, extraction: Extraction, jobs: int, report: Callable[[str], None]) -> int:
    """Make a data directory with features of another one; returns the number of frames.

    Writes ``wav/<id>.wav``, ``arks/``, the maps of a Kaldi directory, ``feats.scp`` (and ``f0.scp``, ``energy.scp``),
    ``utt2num_frames``, ``features.json`` and ``trimmed.tsv``.

    Raises:
        DataError: every recording that cannot be used, one line each.
    """
    data, out = data.absolute(), out.absolute()
    if jobs < 1:
        raise ConfigError(f"--nj: must be at least 1, got {jobs}")
    if out.resolve() == data.resolve():
        raise ConfigError(f"--out: must differ from --data, got {out} for both")
    utterances = kaldi.read(data)
    parts = [utterances[i : i + SHARD] for i in range(0, len(utterances), SHARD)]
    shards = [Shard(number, part, out) for number, part in enumerate(parts)]
    rows = _run(shards, extraction, jobs, report)
    _write_maps(out, shards, rows, extraction)
    for name in CARRIED:
        if (data / name).is_file():
            write_text(out / name, (data / name).read_text(encoding="utf-8"))
    _remove_leftovers(shards, extraction)
    return sum(row.frames for row in rows.values())


def check_features(path: Path, settings: MelSettings) -> None:
    """Refuse features that were made with other settings than these: ``path`` is their ``features.json``.

    Raises:
        DataError: which fields differ, or the file cannot be read.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        there, stamp = MelSettings(**facts["features"]), facts["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; extract features again") from error
    differences = mismatch(settings, there)
    if not differences and stamp != fingerprint(settings):
        differences = ["made by another definition of the mel"]
    if differences:
        raise DataError(f"{path}: other features than the configuration asks for: {'; '.join(differences)}; extract them again")


def _run(shards: list[Shard], extraction: Extraction, jobs: int, report: Callable[[str], None]) -> dict[str, Row]:
    """All shards in worker processes with one thread each. What is wrong is collected from all of them."""
    rows: dict[str, Row] = {}
    problems: list[str] = []
    total = sum(len(shard.utterances) for shard in shards)
    spawn = multiprocessing.get_context("spawn")
    with _one_thread_each(), ProcessPoolExecutor(min(jobs, len(shards)), mp_context=spawn) as pool:
        futures = [pool.submit(extract_shard, shard, extraction) for shard in shards]
        try:
            for shard, future in zip(shards, futures, strict=True):
                done, wrong = future.result()
                rows.update(done)
                problems += wrong
                report(f"features: {shard.number * SHARD + len(shard.utterances)} of {total} utterances")
        except BrokenProcessPool as error:
            raise ToolkitError("extract: a worker process was killed (out of memory?); go on with a smaller --nj") from error
        finally:
            pool.shutdown(cancel_futures=True)
    raise_all(problems)
    return rows


def _write_maps(out: Path, shards: list[Shard], rows: dict[str, Row], extraction: Extraction) -> None:
    """The files of the data directory that describe all shards."""
    rate, hop = extraction.features.sample_rate, extraction.features.hop
    moved = [
        dataclasses.replace(u, wav=shard.wav(u.id), seconds=rows[u.id].frames * hop / rate) for shard in shards for u in shard.utterances
    ]
    kaldi.write(out, moved)
    for name in extraction.names:
        places = {key: place for shard in shards for key, place in kaldi.read_map(shard.scp(name)).items()}
        kaldi.write_map(out / f"{'feats' if name == 'mel' else name}.scp", places)
    kaldi.write_map(out / "utt2num_frames", {key: str(row.frames) for key, row in rows.items()})
    lines = ["id\tseconds\tcut_at_start\tcut_at_end"]
    for key, row in sorted(rows.items()):
        lines.append(f"{key}\t{row.samples / rate:.3f}\t{row.start / rate:.3f}\t{(row.samples - row.stop) / rate:.3f}")
    write_text(out / "trimmed.tsv", "\n".join(lines) + "\n")
    write_json(out / "features.json", extraction.facts())


def _remove_leftovers(shards: list[Shard], extraction: Extraction) -> None:
    """Remove what an earlier run with other recordings, or a killed one, left in the folders of the shards."""
    wanted = {path for shard in shards for path in (*shard.outputs(extraction), shard.stamp)}
    for folder in {path.parent for path in wanted}:
        for path in folder.iterdir():
            if path not in wanted:
                path.unlink()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside compute with one thread: more are slower, and the order of sums would depend on their number."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
