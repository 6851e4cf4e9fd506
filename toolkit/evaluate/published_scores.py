"""The figures of Tacotron 2 (Shen et al. 2018, arXiv 1712.05884, section 3) as data: mean opinion scores with 95 % intervals.

A mean opinion score compares within the listening test that it comes from, and with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

NOT_REBUILT = "not rebuilt"


class Opinion(NamedTuple):
    """A mean opinion score from 1 to 5 and half the width of its 95 % interval (t-distribution over ratings)."""

    mean: float
    margin: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.margin:.3f}"


class Entry(NamedTuple):
    """A row of a published table. ``opinion`` None: the paper has no such row. ``rebuilt`` False: it is only quoted here."""

    label: str
    opinion: Opinion | None
    rebuilt: bool = True


class Published(NamedTuple):
    """A table: its title, its place in the paper, its rows by key, and what the paper says in words."""

    title: str
    source: str
    entries: Mapping[str, Entry]
    note: str


TACOTRON_2 = Opinion(4.526, 0.066)
CUSTOM_LIST = 4.354  # of Tacotron 2 on the 100 sentences of Deep Voice 3, appendix E; no interval is given

TABLES: Mapping[str, Published] = {
    "vocoder_training": Published(
        "(a) What WaveNet is trained on, and what it synthesises from",
        "table 2, section 3.3.1",
        {
            "predicted_predicted": Entry("trained on predicted, synthesised from predicted", TACOTRON_2),
            "predicted_truth": Entry("trained on predicted, synthesised from ground truth", Opinion(4.449, 0.060)),
            "truth_predicted": Entry("trained on ground truth, synthesised from predicted", Opinion(4.362, 0.066)),
            "truth_truth": Entry("trained on ground truth, synthesised from ground truth", Opinion(4.522, 0.055)),
        },
        "Published: best where the features of training are those of synthesis.",
    ),
    "features": Published(
        "(b) Linear spectrogram or mel spectrogram",
        "table 3, section 3.3.2",
        {
            "linear_griffin_lim": Entry("linear spectrogram, Griffin-Lim", Opinion(3.944, 0.091)),
            "linear_wavenet": Entry("linear spectrogram, WaveNet", Opinion(4.510, 0.054)),
            "mel_wavenet": Entry("mel spectrogram, WaveNet", TACOTRON_2),
            "mel_griffin_lim": Entry("mel spectrogram, Griffin-Lim", None),
        },
        "The paper has no row for mel spectrogram and Griffin-Lim.",
    ),
    "postnet": Published(
        "(c) The post-processing network",
        "section 3.3.3",
        {"with": Entry("with postnet", TACOTRON_2), "without": Entry("without postnet", Opinion(4.429, 0.071))},
        "Published: still worth having, although WaveNet has convolutions of its own over the frames.",
    ),
    "depth": Published(
        "(d) Layers and cycles of WaveNet: its receptive field",
        "table 4, section 3.3.4",
        {
            "30_3": Entry("30 layers, 3 cycles, 6139 samples (255.8 ms)", TACOTRON_2),
            "24_4": Entry("24 layers, 4 cycles, 505 samples (21.0 ms)", Opinion(4.547, 0.056)),
            "12_2": Entry("12 layers, 2 cycles, 253 samples (10.5 ms)", Opinion(4.481, 0.059)),
            "30_30": Entry("30 layers, 30 cycles, 61 samples (2.5 ms)", Opinion(3.930, 0.076)),
        },
        "Published times are at 24 kHz.",
    ),
    "hop": Published(
        "(e) Hop of the frames",
        "section 2.2",
        {"12.5": Entry("a frame every 12.5 ms", TACOTRON_2), "5": Entry("a frame every 5 ms", None)},
        "The paper has no score for 5 ms, only that it had significantly more pronunciation issues.",
    ),
    "systems": Published(
        "(f) The compared systems",
        "table 1, section 3.2",
        {
            "parametric": Entry("parametric", Opinion(3.492, 0.096), rebuilt=False),
            "tacotron": Entry("Tacotron (Griffin-Lim)", Opinion(4.001, 0.087)),
            "concatenative": Entry("concatenative", Opinion(4.166, 0.091), rebuilt=False),
            "wavenet_linguistic": Entry("WaveNet (linguistic)", Opinion(4.341, 0.051)),
            "ground_truth": Entry("ground truth", Opinion(4.582, 0.053)),
            "tacotron2": Entry("Tacotron 2", TACOTRON_2),
        },
        "Published beside it: Tacotron 2 against ground truth side by side -0.270 ± 0.155 on a scale from -3 to 3; on 37 news headlines"
        " 4.148 ± 0.124, WaveNet (linguistic) 4.137 ± 0.128, preference 0.142 ± 0.338.",
    ),
}
