"""HiFi-GAN as its authors publish it: ``generator_v1`` or ``g_02500000`` and ``config.json`` (Kong et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.errors import ConfigError
from toolkit.infer.importing.base import IMPORTERS, Imported, Importer, Source, Taken, setting

FLOOR = 1e-5  # its mels are clipped there


@IMPORTERS.register("hifigan")
class HiFiGANImporter(Importer):
    """HiFi-GAN: ``generator_v1`` or ``g_02500000`` with its ``config.json``."""

    task = "mel2wav"
    places = (("generator",), ())
    needs_settings = True

    def convert(self, source: Source) -> Imported:
        settings, taken = source.settings, Taken(source.weights)
        knobs = {
            "channels": setting(settings, "upsample_initial_channel"),
            "rates": setting(settings, "upsample_rates"),
            "kernels": setting(settings, "upsample_kernel_sizes"),
            "resblock": int(setting(settings, "resblock")),
            "block_kernels": setting(settings, "resblock_kernel_sizes"),
            "block_dilations": setting(settings, "resblock_dilation_sizes"),
            "hold_edges": False,
        }
        weights = {f"vocoder.{name}": taken(name) for name in list(taken.weights)}
        return Imported({"features": features(settings), "vocoder": "hifigan", "vocoder_conf": knobs}, weights)


def features(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Its mels: magnitudes, natural logarithm; a frame is centred half a hop after its first sample, and edges are mirrored."""
    rate, hop = setting(settings, "sampling_rate"), setting(settings, "hop_size")
    n_fft = setting(settings, "n_fft")
    if n_fft % 2 or hop % 2:
        raise ConfigError(f"--config: n_fft and hop_size must be even here, got {n_fft} and {hop}")
    return {
        "sample_rate": rate,
        "hop": hop,
        "window": setting(settings, "win_size"),
        "n_fft": n_fft,
        "n_mels": setting(settings, "num_mels"),
        "f_min": float(setting(settings, "fmin", 0.0)),
        "f_max": float(setting(settings, "fmax", rate / 2)),
        "floor": FLOOR,
        "band_norm": "slaney",
        "centre": hop // 2,
        "edges": "reflect",
    }
