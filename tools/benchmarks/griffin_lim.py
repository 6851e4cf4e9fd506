#!/usr/bin/env python3
"""How long does Griffin-Lim take for a second of speech: the published form on whole spectra, and the toolkit's in blocks?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.audio.griffin_lim import griffin_lim
from toolkit.audio.istft import istft
from toolkit.audio.mel import Floats, MelSettings, linear_magnitude, log_mel, stft
from toolkit.evaluate.timing import add_arguments, compared, interleaved, report
from toolkit.nn.execution import Execution
from toolkit.tasks.schema import load_system
from toolkit.vocoders.griffin_lim import GriffinLim

SMALL = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/small.yaml"
MOMENTUM = 0.99


def plain(magnitude: Floats, settings: MelSettings, iterations: int) -> Floats:
    """Perraudin, Balazs & Sondergaard 2013, algorithm 2."""
    estimate = magnitude * np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape, np.float32)).astype(np.complex64)
    before = np.zeros_like(estimate)
    for _ in range(iterations):
        consistent = stft(istft(estimate, settings), settings)
        moved = consistent + np.float32(MOMENTUM) * (consistent - before)
        estimate, before = magnitude * moved / np.maximum(np.abs(moved), np.float32(1e-12)), consistent
    return istft(estimate, settings)


def measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows over lengths of the utterance, then the vocoder with everything around the search."""
    settings = load_system(options.config).features
    for seconds in options.seconds:
        wave = (0.1 * np.random.default_rng(0).standard_normal(int(seconds * settings.sample_rate))).astype(np.float32)
        mel = log_mel(wave, settings)
        magnitude = linear_magnitude(mel, settings)
        rivals = {"whole spectra": partial(plain, magnitude, settings, options.iterations)}
        for threads in dict.fromkeys((1, options.threads)):
            rivals[f"blocks, {threads} threads"] = partial(griffin_lim, magnitude, settings, options.iterations, MOMENTUM, 0, threads)
        vocoder = GriffinLim(settings, iterations=options.iterations)
        vocoder.execution = Execution(threads=options.threads)
        frames, lengths = torch.from_numpy(mel)[None], torch.tensor([len(mel)])
        rivals["vocoder, from the mel"] = partial(vocoder.generate, frames, lengths, None)
        for row in compared(interleaved(rivals, options.rounds), iterations=options.iterations, seconds_of_speech=seconds):
            yield {**row, "RTF": row["seconds"] / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, rounds=5)
    parser.add_argument("--config", type=Path, default=SMALL, help="whose features (default: the preset small)")
    parser.add_argument("--iterations", type=int, default=32)
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 8.0], help="lengths of the utterance")
    options = parser.parse_args()
    report("Griffin-Lim", list(measure(options)), options.json)


if __name__ == "__main__":
    main()
