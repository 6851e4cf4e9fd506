"""WaveNet of r9y9/wavenet_vocoder, with a mixture of logistics or a Gaussian: ``checkpoint_step001000000_ema.pth``, ``hparams.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError
from toolkit.infer.importing.base import IMPORTERS, Imported, Importer, Source, Taken, setting

EXPECTED = {  # settings that have one form here
    "input_type": "raw", "upsample_conditional_features": True, "upsample_net": "ConvInUpsampleNetwork", "window": "hann", "legacy": False,
}  # fmt: skip
EXPECTED_UPSAMPLING = {"upsample_activation": "none", "mode": "nearest", "freq_axis_kernel_size": 1}
PRE_EMPHASIS = {"": 0.0, "none": 0.0, "preemphasis": 0.85}
UNDONE_BY = {"": "", "none": "", "preemphasis": "inv_preemphasis"}
FLOOR = 1e-10  # its mels are clipped there
OPEN = 20.0  # tanh and sigmoid of it are 1 in float32
WIDTH_STEP = 32  # channels of a net that is as fast as can be come in multiples of it


@IMPORTERS.register("r9y9_wavenet")
class R9y9WaveNetImporter(Importer):
    """WaveNet of wavenet_vocoder: ``checkpoint_step*_ema.pth`` with its ``hparams.json``, and ``--statistics``.

    Its residual connections have biases, ours have none: a unit more in each layer, whose gates are always open, carries them.
    """

    task = "mel2wav"
    places = (("state_dict",), ())
    needs_settings = True

    def convert(self, source: Source) -> Imported:
        settings, taken = source.settings, Taken(source.weights)
        _check(settings)
        if source.statistics is None:
            raise ConfigError("--statistics: the mean and deviation of its frames are needed, since it reads normalised mels")
        scale = float(setting(settings, "global_gain_scale", 0.0))
        scale = scale if scale > 0 else 1.0
        units = setting(settings, "gate_channels") // 2
        knobs = {
            "layers": setting(settings, "layers"),
            "cycles": setting(settings, "stacks"),
            "kernel_size": setting(settings, "kernel_size"),
            "residual": setting(settings, "residual_channels"),
            "gate": units + (1 if units % WIDTH_STEP else WIDTH_STEP),
            "skip": setting(settings, "skip_out_channels"),
            **_head(settings),
            "upsample": "smoothed",
            "aux_context": int(setting(settings, "cin_pad", 0)),
            "scales": setting(settings, "upsample_params.upsample_scales"),
            "target_scale": scale,
            "input_scale": scale,
            "log_scale_min": float(setting(settings, "log_scale_min", -16.0)) - math.log(scale),
            "pre_emphasis": PRE_EMPHASIS[setting(settings, "preprocess", "")],
            "dropout": float(setting(settings, "dropout", 0.0)),
        }
        weights = {f"vocoder.{name}": weight for name, weight in _weights(taken, knobs, units).items()}
        system = {"features": features(settings), "vocoder": "wavenet", "vocoder_conf": knobs}
        return Imported(system, weights, source.statistics, remarks=_remarks(settings))


def features(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Its mels: log10 of magnitudes, frames centred on their first sample, edges mirrored."""
    rate = setting(settings, "sample_rate")
    return {
        "sample_rate": rate,
        "hop": _samples(settings, "hop_size", "frame_shift_ms"),
        "window": _samples(settings, "win_length", "win_length_ms"),
        "n_fft": setting(settings, "fft_size"),
        "n_mels": setting(settings, "num_mels"),
        "f_min": float(setting(settings, "fmin", 0.0)),
        "f_max": float(setting(settings, "fmax", rate / 2)),
        "floor": FLOOR,
        "log_base": "10",
        "band_norm": "slaney",
        "edges": "reflect",
    }


def _samples(settings: Mapping[str, Any], name: str, milliseconds: str) -> int:
    """A size that is given in samples, or else in milliseconds."""
    size = int(setting(settings, name, -1))
    return size if size > 0 else int(setting(settings, milliseconds) / 1000 * setting(settings, "sample_rate"))


def _check(settings: Mapping[str, Any]) -> None:
    for name, expected in EXPECTED.items():
        found = setting(settings, name, False if name == "legacy" else "none")
        if found != expected:
            raise ConfigError(f"--config: {name}: only {expected!r} has a counterpart, got {found!r}")
    for name, value in EXPECTED_UPSAMPLING.items():
        if (found := setting(settings, f"upsample_params.{name}", value)) != value:
            raise ConfigError(f"--config: upsample_params.{name}: only {value!r} has a counterpart, got {found!r}")
    if int(setting(settings, "gin_channels", -1)) > 0:
        raise ConfigError(f"--config: gin_channels: speakers have no counterpart, got {settings['gin_channels']}; only one voice")
    before, after = setting(settings, "preprocess", ""), setting(settings, "postprocess", "")
    if before not in PRE_EMPHASIS or after.replace("none", "") != UNDONE_BY[before]:
        raise ConfigError(f"--config: preprocess, postprocess: only preemphasis and inv_preemphasis, or neither, got {before!r}, {after!r}")


def _head(settings: Mapping[str, Any]) -> dict[str, Any]:
    kind, outputs = setting(settings, "output_distribution", "Logistic"), setting(settings, "out_channels")
    if kind == "Logistic" and outputs % 3 == 0:
        return {"head": "mol", "mixtures": outputs // 3}
    if kind == "Normal" and outputs == 2:
        return {"head": "gaussian"}
    raise ConfigError(f"--config: output_distribution: only Logistic, or Normal with 2 out_channels, got {kind!r} with {outputs}")


def _remarks(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """In what its use here differs."""
    edges = "at its first and last two frames the conditions are those of held frames here, there they fade to zero"
    cutoff = setting(settings, "highpass_cutoff", 0.0)
    filtered = f"it was trained on waves without what lies below {cutoff:g} Hz, which is not taken out here"
    return (edges, filtered) if cutoff > 0 else (edges,)


def _weights(taken: Taken, knobs: Mapping[str, Any], units: int) -> dict[str, Tensor]:
    layers, over_frames = knobs["layers"], taken("upsample_net.conv_in.weight", None, None, 2 * knobs["aux_context"] + 1)
    made = {
        "upsampling.frames.conv_in.weight": over_frames,
        "stack.first.weight": taken("first_conv.weight", knobs["residual"], 1, 1)[..., 0],
        "stack.first.bias": taken("first_conv.bias"),
    }
    for i, scale in enumerate(knobs["scales"]):
        kernel = taken(f"upsample_net.upsample.up_layers.{2 * i + 1}.weight", 1, 1, 1, 2 * scale + 1)
        made[f"upsampling.frames.up_layers.{i}.weight"] = kernel
    for i in range(layers):
        there, here = f"conv_layers.{i}", f"stack.layers.{i}"
        taps = taken(f"{there}.conv.weight", 2 * units, knobs["residual"], knobs["kernel_size"])
        conditions = taken(f"{there}.conv1x1c.weight", 2 * units, over_frames.shape[0], 1)
        made[f"{here}.gates.weight"] = _widened(torch.cat([*taps.unbind(2), conditions[..., 0]], 1), units, knobs["gate"])
        made[f"{here}.gates.bias"] = _widened(taken(f"{there}.conv.bias"), units, knobs["gate"], OPEN)
        made[f"{here}.skip.weight"], made[f"{here}.skip.bias"] = _pointwise(taken, f"{there}.conv1x1_skip", knobs["gate"])
        if i < layers - 1:
            weight, bias = _pointwise(taken, f"{there}.conv1x1_out", knobs["gate"])
            weight[:, units] = bias
            made[f"{here}.residual.weight"] = weight
    taken.ignore(f"conv_layers.{layers - 1}.conv1x1_out.")  # nothing comes after it
    for there, name in (("last_conv_layers.1", "hidden"), ("last_conv_layers.3", "last")):
        made[f"stack.{name}.weight"], made[f"stack.{name}.bias"] = _pointwise(taken, there)
    return made


def _widened(rows: Tensor, units: int, gate: int, first: float = 0.0) -> Tensor:
    """Rows of filters and of gates ``2*units ...`` -> ``2*gate ...``; the first new row of each holds ``first``, the others zero."""
    parts = []
    for half in rows.chunk(2):
        new = half.new_zeros(gate - units, *half.shape[1:])
        new[0] = first
        parts += [half, new]
    return torch.cat(parts)


def _pointwise(taken: Taken, name: str, inputs: int | None = None) -> tuple[Tensor, Tensor]:
    """Weight ``O I`` and bias of a convolution over one sample; with zeros for inputs that it does not know."""
    weight = taken(f"{name}.weight", None, None, 1)[..., 0]
    return F.pad(weight, (0, (inputs or weight.shape[1]) - weight.shape[1])), taken(f"{name}.bias")
