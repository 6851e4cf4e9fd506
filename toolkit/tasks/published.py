"""What Tacotron 2 (Shen et al. 2018, arXiv 1712.05884) says of its own training, setting by setting, to compare a configuration with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

SILENT = "the paper does not say"
WHOLE_SAMPLES = 0.0025  # 12.5 ms are 275.6 samples at 22.05 kHz


class Statement(NamedTuple):
    """A published value, its section, and how to call it where a configuration differs (by default its name and value)."""

    value: Any
    section: str
    words: str = ""
    tolerance: float = 0.0


def _statements(section: str, prefix: str, **values: Any) -> dict[str, Statement]:
    """One for each knob of a part."""
    return {f"{prefix}.{name}": Statement(value, section) for name, value in values.items()}


PARTS = ("encoder", "attention", "decoder", "postnet", "vocoder")
PUBLISHED: Mapping[str, Statement] = {
    "data": Statement(None, "3.1", "24.6 hours of US English, one professional female speaker, internal"),
    "features.sample_rate": Statement(24000, "2.3"),
    "features.kind": Statement("mel", "2.2"),
    "features.window_ms": Statement(50.0, "2.2", "window 50 ms", tolerance=WHOLE_SAMPLES),
    "features.hop_ms": Statement(12.5, "2.2", "hop 12.5 ms", tolerance=WHOLE_SAMPLES),
    "features.n_fft": Statement(2048, "3.3.2", "1025 bins, so 2048 points"),
    **_statements("2.2", "features", n_mels=80, f_min=125.0, f_max=7600.0, floor=0.01),
    "cleaner": Statement("english", "3.1", "all text spelled out"),
    "tokenizer": Statement("char", "2.2"),
    "encoder": Statement("conv_blstm", "2.2"),
    **_statements(
        "2.2", "encoder_conf", embedding=512, layers=3, channels=512, kernel_size=5, lstm=512, dropout=0.5, zoneout=0.1, norm="before"
    ),
    "attention": Statement("location_sensitive", "2.2"),
    **_statements("2.2", "attention_conf", dim=128, filters=32, kernel_size=31, previous=False, sharpening=1.0, smoothing=False),
    "decoder": Statement("tacotron2", "2.2"),
    **_statements("2.2", "decoder_conf", prenet=(256, 256), prenet_dropout=0.5, lstm=1024, zoneout=0.1, wiring="paper"),
    "reduction": Statement(1, "2.2"),
    "postnet": Statement("conv", "2.2"),
    **_statements("2.2", "postnet_conf", layers=5, channels=512, kernel_size=5, dropout=0.5, norm="before"),
    "losses.mse.weight": Statement(1.0, "2.2", "mse, before and after the postnet"),
    "text2mel.batch.global": Statement(64, "3.1", "64 utterances"),
    "text2mel.batch.micro": Statement(64, "3.1", "all 64 at once"),
    "text2mel.processes": Statement(1, "3.1", "1 GPU"),
    "text2mel.optimiser": Statement("adam", "3.1", "Adam"),
    **_statements("3.1", "text2mel.optimiser_conf", betas=(0.9, 0.999), epsilon=1e-6, learning_rate=1e-3, l2=1e-6),
    "text2mel.schedule": Statement("exponential", "3.1", "exponential decay"),
    "text2mel.schedule_conf.start": Statement(50000.0, "3.1", "decay from step 50000 on"),
    "text2mel.schedule_conf.floor": Statement(0.01, "3.1", "down to 1e-05"),
    "vocoder": Statement("wavenet", "2.3"),
    **_statements("2.3", "vocoder_conf", layers=30, cycles=3, mixtures=10, head="mol"),
    "vocoder_conf.dilations": Statement(None, "2.3", "dilations 2^(k mod 10)"),
    "vocoder_conf.kernel_size": Statement(3, "3.3.4", "kernel size 3, by table 4"),
    "vocoder_conf.upsample": Statement("transposed", "2.3", "2 upsampling layers"),
    "vocoder_conf.target_scale": Statement(127.5, "3.1"),
    "vocoder.receptive_field": Statement(6139, "3.3.4", "6139 samples"),
    "crops.input": Statement("gta", "3.1", "ground-truth-aligned predictions"),
    "mel2wav.batch.global": Statement(128, "3.1", "128 utterances"),
    "mel2wav.batch.micro": Statement(4, "3.1", "4 a GPU"),
    "mel2wav.processes": Statement(32, "3.1", "32 GPUs"),
    "mel2wav.optimiser": Statement("adam", "3.1", "Adam"),
    **_statements("3.1", "mel2wav.optimiser_conf", betas=(0.9, 0.999), epsilon=1e-8, learning_rate=1e-4),
    "mel2wav.schedule": Statement("constant", "3.1", "fixed"),
    "mel2wav.average": Statement(0.9999, "3.1", "moving average 0.9999"),
}


def shown(value: Any) -> str:
    """A value of a configuration in the words of the card."""
    if isinstance(value, (list, tuple)):
        return "/".join(shown(item) for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def source(facts: Mapping[str, Any], paths: Iterable[str]) -> str:
    """Where the paper states these settings, what it has instead, and of which it says nothing.

    Args:
        facts: values by dotted path; a path that is missing is something that the configuration cannot choose.
        paths: a part's name first; where that differs, its settings are not compared.

    Returns:
        Sections where the value is the published one; ``paper: VALUE, section`` where it is not; "the paper does not say", with
        the names of the settings where it says something of others.
    """
    sections, others, silent = dict[str, None](), list[str](), list[str]()
    for place, path in enumerate(dict.fromkeys(paths)):
        statement, name = PUBLISHED.get(path), _name(path)
        if statement is None:
            silent.append(name)
        elif _equal(facts.get(path), statement):
            sections[statement.section] = None
        else:
            others.append(f"paper: {statement.words or f'{name} {shown(statement.value)}'}, section {statement.section}")
            if place == 0 and path in PARTS:
                return others[0]
    agreed = [f"section{'s' if len(sections) > 1 else ''} {', '.join(sorted(sections))}"] if sections else []
    unsaid = [f"{SILENT}: {', '.join(silent)}" if sections or others else SILENT] if silent else []
    return "; ".join([*agreed, *others, *unsaid]) or SILENT


def _name(path: str) -> str:
    """A setting in words: ``losses.stop.weight`` is ``stop weight``, ``encoder_conf.kernel_size`` is ``kernel size``."""
    short = path.rpartition("_conf.")[2].removeprefix("losses.").removeprefix("features.")
    return short.replace(".", " ").replace("_", " ")


def _equal(value: Any, statement: Statement) -> bool:
    published = statement.value
    if isinstance(published, tuple):
        return isinstance(value, (list, tuple)) and tuple(value) == published
    if isinstance(published, float) and isinstance(value, (int, float)):
        return math.isclose(value, published, rel_tol=statement.tolerance or 1e-9)
    return bool(value == published)
