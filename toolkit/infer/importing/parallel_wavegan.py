"""Parallel WaveGAN of the ParallelWaveGAN project: ``checkpoint-400000steps.pkl``, ``config.yml`` and ``stats.h5``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from toolkit.errors import ConfigError
from toolkit.infer.importing.base import IMPORTERS, Imported, Importer, Source, Taken, setting

KIND = "ParallelWaveGANGenerator"
EXPECTED = {  # settings of the generator that have one form here
    "in_channels": 1, "out_channels": 1, "bias": True, "use_causal_conv": False, "upsample_conditional_features": True,
    "upsample_net": "ConvInUpsampleNetwork",
}  # fmt: skip
FLOOR = 1e-10  # its mels are clipped there


@IMPORTERS.register("parallel_wavegan")
class ParallelWaveGANImporter(Importer):
    """Parallel WaveGAN: ``checkpoint-400000steps.pkl`` with its ``config.yml``, and ``--statistics stats.h5``."""

    task = "mel2wav"
    places = (("model", "generator"), ("generator",), ())
    needs_settings = True

    def convert(self, source: Source) -> Imported:
        settings, taken = source.settings, Taken(source.weights)
        if (kind := setting(settings, "generator_type", KIND)) != KIND:
            raise ConfigError(f"--config: generator_type: only {KIND} is known, got {kind!r}")
        generator = setting(settings, "generator_params")
        for name, expected in EXPECTED.items():
            if generator.get(name, expected) != expected:
                raise ConfigError(f"--config: generator_params.{name}: only {expected!r} has a counterpart, got {generator[name]!r}")
        if source.statistics is None:
            raise ConfigError("--statistics: the mean and deviation of its frames (stats.h5) are needed, since it reads normalised mels")
        knobs = {
            "layers": generator["layers"],
            "cycles": generator["stacks"],
            "kernel_size": generator["kernel_size"],
            "residual": generator["residual_channels"],
            "gate": generator["gate_channels"] // 2,
            "skip": generator["skip_channels"],
            "aux_context": generator["aux_context_window"],
            "scales": generator["upsample_params"]["upsample_scales"],
            "hold_edges": False,
        }
        system = {"features": features(settings), "vocoder": "parallel_wavegan", "vocoder_conf": knobs}
        return Imported(system, {f"vocoder.{name}": weight for name, weight in _weights(taken, knobs).items()}, source.statistics)


def features(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Its mels: log10 of magnitudes, frames centred on their first sample, edges mirrored."""
    rate, n_fft = setting(settings, "sampling_rate"), setting(settings, "fft_size")
    return {
        "sample_rate": rate,
        "hop": setting(settings, "hop_size"),
        "window": setting(settings, "win_length", n_fft),
        "n_fft": n_fft,
        "n_mels": setting(settings, "num_mels"),
        "f_min": float(setting(settings, "fmin", 0.0)),
        "f_max": float(setting(settings, "fmax", rate / 2)),
        "floor": FLOOR,
        "log_base": "10",
        "band_norm": "slaney",
        "edges": "reflect",
    }


def _weights(taken: Taken, knobs: Mapping[str, Any]) -> dict[str, Tensor]:
    made = {
        "upsample_net.conv_in.weight": taken("upsample_net.conv_in.weight"),
        "stack.first.weight": taken("first_conv.weight")[..., 0],
        "stack.first.bias": taken("first_conv.bias"),
    }
    for i in range(len(knobs["scales"])):
        made[f"upsample_net.up_layers.{i}.weight"] = taken(f"upsample_net.upsample.up_layers.{2 * i + 1}.weight")
    for i in range(knobs["layers"]):
        there, here = f"conv_layers.{i}", f"stack.layers.{i}"
        taps, conditions = taken(f"{there}.conv.weight"), taken(f"{there}.conv1x1_aux.weight")
        made[f"{here}.gates.weight"] = torch.cat([*taps.unbind(2), conditions[..., 0]], 1)
        made[f"{here}.gates.bias"] = taken(f"{there}.conv.bias")
        made[f"{here}.skip.weight"], made[f"{here}.skip.bias"] = _pointwise(taken, f"{there}.conv1x1_skip")
        if i < knobs["layers"] - 1:
            made[f"{here}.residual.weight"], made[f"{here}.residual.bias"] = _pointwise(taken, f"{there}.conv1x1_out")
    taken.ignore(f"conv_layers.{knobs['layers'] - 1}.conv1x1_out.")  # nothing comes after it
    for there, name in (("last_conv_layers.1", "hidden"), ("last_conv_layers.3", "last")):
        made[f"stack.{name}.weight"], made[f"stack.{name}.bias"] = _pointwise(taken, there)
    return made


def _pointwise(taken: Taken, name: str) -> tuple[Tensor, Tensor]:
    """Weight ``O I`` and bias of a convolution over one sample."""
    return taken(f"{name}.weight")[..., 0], taken(f"{name}.bias")
