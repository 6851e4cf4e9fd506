"""Scores of an utterance by name. Each says its unit, which way is better, and how it is defined."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.audio.f0 import f0
from toolkit.audio.mel import Floats
from toolkit.errors import DataError
from toolkit.evaluate.cepstra import analysis, mel_cepstra
from toolkit.evaluate.warping import Indices, distances, warping_path
from toolkit.nn.alignment_measures import diagonality, focus
from toolkit.registry import Registry


@dataclass(eq=False)
class UtteranceAudio:
    """One utterance as spoken by a person or a system; what is derived from it is computed once."""

    wave: Floats  # N, in [-1, 1]
    sample_rate: int
    weights: Floats | None = None  # T/r S, the alignment it was spoken with

    @property
    def seconds(self) -> float:
        return len(self.wave) / self.sample_rate

    @functools.cached_property
    def cepstra(self) -> NDArray[np.float64]:
        """``T x 14``."""
        return mel_cepstra(self.wave, self.sample_rate)

    @functools.cached_property
    def f0(self) -> NDArray[np.float32]:
        """``T``, Hz, 0 where unvoiced; the frames of ``cepstra``."""
        return f0(self.wave, analysis(self.sample_rate))


class Metric:
    """A candidate against the recording of the same text.

    Attributes: ``title``, ``unit``, ``digits`` and ``rank`` (place from the left) for tables, ``better`` (``lower``, ``higher``
    or ``one``: nearest to 1), and ``definition``, a sentence that says exactly what is computed.
    """

    title: str
    unit: str = ""
    better: str
    definition: str
    digits: int = 2
    rank: int = 100

    def __call__(self, reference: UtteranceAudio, candidate: UtteranceAudio) -> float | None:
        """The score, or None where it is not defined for this utterance."""
        raise NotImplementedError


METRICS: Registry[Metric] = Registry("metric", Metric)


@functools.lru_cache(1)
def aligned(reference: UtteranceAudio, candidate: UtteranceAudio) -> tuple[Indices, Indices]:
    """Frames of both utterances along the warping path over c1..c13. The last pair is kept: several metrics ask for it in turn.

    Raises:
        DataError: different sample rates.
    """
    if reference.sample_rate != candidate.sample_rate:
        raise DataError(f"sample rate: {reference.sample_rate} Hz of the recording, got {candidate.sample_rate}; resample one of them")
    return warping_path(distances(reference.cepstra[:, 1:], candidate.cepstra[:, 1:]))


@METRICS.register("mel_cepstral_distortion")
class MelCepstralDistortion(Metric):
    """Spectral distance along the warping path."""

    title, unit, better, rank = "MCD", "dB", "lower", 1
    definition = (
        "Mel-cepstral distortion (10 / ln 10) sqrt(2 sum (c_m - c'_m)^2) over c1..c13 of the cosine transform of an 80-band log-mel"
        " (50 ms Hann window, 12.5 ms hop), mean over the path of dynamic time warping. Definitions differ between papers:"
        " compare within one table."
    )

    def __call__(self, reference: UtteranceAudio, candidate: UtteranceAudio) -> float:
        i, j = aligned(reference, candidate)
        distance = np.sqrt(2 * ((reference.cepstra[i, 1:] - candidate.cepstra[j, 1:]) ** 2).sum(1))
        return float(10 / math.log(10) * distance.mean())


@METRICS.register("log_f0_rmse")
class LogF0Error(Metric):
    """Difference of the melody along the warping path."""

    title, better, digits, rank = "log-F0 RMSE", "lower", 3, 2
    definition = "Root mean square of ln F0 - ln F0' over the frame pairs of that path in which both voices are voiced; 0.1 is 10 %."

    def __call__(self, reference: UtteranceAudio, candidate: UtteranceAudio) -> float | None:
        i, j = aligned(reference, candidate)
        first, second = reference.f0[i], candidate.f0[j]
        voiced = (first > 0) & (second > 0)
        if not voiced.any():
            return None
        return float(np.sqrt(np.mean(np.log(first[voiced] / second[voiced]) ** 2)))


@METRICS.register("duration_ratio")
class DurationRatio(Metric):
    """Length against the recording."""

    title, better, rank = "Duration ratio", "one", 3
    definition = "Seconds of the speech over seconds of the recording."

    def __call__(self, reference: UtteranceAudio, candidate: UtteranceAudio) -> float:
        return candidate.seconds / reference.seconds


@METRICS.register("alignment_focus")
class AlignmentFocus(Metric):
    """Sharpness of the alignment."""

    title, better, rank = "Focus", "higher", 4
    definition = "Mean over decoder steps of the largest attention weight (focus rate of FastSpeech); 1 is a pointer."

    def __call__(self, reference: UtteranceAudio, candidate: UtteranceAudio) -> float | None:
        return None if candidate.weights is None else float(focus(*_one(candidate.weights)))


@METRICS.register("alignment_diagonality")
class AlignmentDiagonality(Metric):
    """Straightness of the alignment."""

    title, better, rank = "Diagonality", "higher", 5
    definition = (
        "Share of the attention where |t/T - s/S| is at most 0.2 (diagonal attention rate, arXiv 2002.10389); even attention has 0.36."
    )

    def __call__(self, reference: UtteranceAudio, candidate: UtteranceAudio) -> float | None:
        return None if candidate.weights is None else float(diagonality(*_one(candidate.weights)))


def _one(weights: Floats) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One alignment as a batch of one, with its lengths."""
    steps, symbols = weights.shape
    return torch.from_numpy(weights.astype(np.float32))[None], torch.tensor([steps]), torch.tensor([symbols])
