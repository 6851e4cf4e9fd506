#!/usr/bin/env python3
"""How many hours of audio become features in a minute, and what limits it?

``whole spectra`` is the plain form of the mel, all frames at once; ``blocks`` is what the toolkit runs. Then worker processes, with one
BLAS thread each: ``computing`` leaves files out, ``extraction`` is the whole stage: reading, trimming, features, writing, syncing.
``--growth`` shows the stage over corpus sizes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # before numpy is loaded

import numpy as np

from toolkit.audio import wave as wave_files
from toolkit.audio.mel import Floats, MelSettings, filterbank, log_mel, stft
from toolkit.data import kaldi
from toolkit.data.extraction import extract
from toolkit.data.shards import Extraction
from toolkit.evaluate.timing import add_arguments, compared, interleaved, report
from toolkit.tasks.schema import load_system

SMALL = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/small.yaml"
SECONDS = 6  # of an utterance


def utterance(settings: MelSettings, seed: int = 0) -> Floats:
    """Noise with pauses at both ends."""
    wave = 0.1 * np.random.default_rng(seed).standard_normal(SECONDS * settings.sample_rate)
    wave[: settings.sample_rate // 4] *= 1e-4
    return wave.astype(np.float32)


def plain(wave: Floats, settings: MelSettings) -> Floats:
    """The definition, word for word."""
    return np.log(np.maximum(np.abs(stft(wave, settings)) @ filterbank(settings).T, settings.floor))


def compute(settings: MelSettings, count: int) -> float:
    """In a worker: so many utterances; the sum keeps the work from being nothing."""
    wave = utterance(settings)
    return float(sum(log_mel(wave, settings)[0, 0] for _ in range(count)))


def computing(settings: MelSettings, processes: int, count: int, rounds: int) -> float:
    """Hours a minute of processes that are started already."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(compute, [(settings, 2)] * processes)
        seconds = interleaved({"pool": lambda: pool.starmap(compute, [(settings, count)] * processes, chunksize=1)}, rounds)["pool"]
    return processes * count * SECONDS / seconds / 60


def extraction(settings: MelSettings, chosen: Extraction, processes: int, count: int, folder: Path) -> float:
    """Hours a minute of the whole stage, with the start of its processes."""
    data = folder / f"data-{count}"
    if not data.exists():
        (data / "wav").mkdir(parents=True)
        rows = []
        for number in range(count):
            path = data / "wav" / f"u{number:05}.wav"
            wave_files.write(path, utterance(settings, number), settings.sample_rate)
            rows.append(kaldi.Utterance(f"u{number:05}", path, "text", "one", SECONDS))
        kaldi.write(data, rows)
    start = time.perf_counter()
    extract(data, folder / f"out-{count}-{processes}", chosen, processes, lambda line: None)
    return count * SECONDS / (time.perf_counter() - start) / 60


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row a question."""
    system = load_system(options.config)
    settings, chosen = system.features, Extraction(system.features, system.trim, system.level, system.extras)
    wave = utterance(settings)
    rivals = {"whole spectra": lambda: plain(wave, settings), "blocks": lambda: log_mel(wave, settings)}
    for row in compared(interleaved(rivals, 4 * options.rounds)):
        yield {"what": "one process, computing", "hours a minute": SECONDS / row["seconds"] / 60, **row}
    for processes in dict.fromkeys((1, options.threads)):
        rate = computing(settings, processes, options.utterances, options.rounds)
        yield {"what": "computing", "processes": processes, "hours a minute": rate}
    with tempfile.TemporaryDirectory() as folder:
        sizes = [options.utterances * factor for factor in ((1, 2, 4, 8) if options.growth else (2,))]
        for size in sizes:
            for processes in dict.fromkeys((1, options.threads)):
                rate = extraction(settings, chosen, processes, size, Path(folder))
                yield {"what": "extraction, with files", "utterances": size, "processes": processes, "hours a minute": rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, rounds=5)
    parser.add_argument("--config", type=Path, default=SMALL, help="whose features (default: the preset small)")
    parser.add_argument("--utterances", type=int, default=200, help="a process and round (default: %(default)s)")
    parser.add_argument("--growth", action="store_true", help="the stage over sizes of the corpus")
    options = parser.parse_args()
    report("features", list(measure(options)), options.json)


if __name__ == "__main__":
    main()
