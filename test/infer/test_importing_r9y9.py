"""WaveNets of wavenet_vocoder become vocoders that say the same of every sample; what has no counterpart is refused in a line.

``test/golden`` holds small networks with random weights of the original code, what went in and what came out. The second of
its utterances begins and ends with the mean frame, of which the conditions are zero on both sides of an edge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from toolkit.bin.main import main
from toolkit.errors import CheckpointError, ConfigError, ToolkitError
from toolkit.infer.importing.run import import_model
from toolkit.infer.load import load_mel2wav
from toolkit.nn.gated_stack import dilation_cycles
from toolkit.nn.sample_heads import Logistics
from toolkit.vocoders.wavenet import WaveNet

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
COMMON: dict[str, Any] = {
    "input_type": "raw", "quantize_channels": 65536, "sample_rate": 8000, "num_mels": 8, "fmin": 125, "fmax": 3800, "fft_size": 256,
    "win_length": 200, "window": "hann", "log_scale_min": -16.0, "cin_channels": 8, "gin_channels": -1, "dropout": 0.05,
    "upsample_conditional_features": True, "upsample_net": "ConvInUpsampleNetwork",
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "mol": {
        "output_distribution": "Logistic", "out_channels": 9, "layers": 6, "stacks": 2, "residual_channels": 8, "gate_channels": 12,
        "skip_out_channels": 10, "kernel_size": 3, "cin_pad": 2, "upsample_params": {"upsample_scales": [3, 4]}, "hop_size": 12,
        "preprocess": "preemphasis", "postprocess": "inv_preemphasis", "global_gain_scale": 0.55, "highpass_cutoff": 70.0,
    },
    "gaussian": {
        "output_distribution": "Normal", "out_channels": 2, "layers": 4, "stacks": 2, "residual_channels": 6, "gate_channels": 8,
        "skip_out_channels": 7, "kernel_size": 2, "cin_pad": 0, "upsample_params": {"upsample_scales": [6]}, "hop_size": None,
        "frame_shift_ms": 0.75, "preprocess": "", "postprocess": "",
    },
}  # fmt: skip


def golden(kind: str, side: str) -> dict[str, Tensor]:
    """One side of a golden file: ``model``, ``in`` or ``out``."""
    tensors = load_file(GOLDEN / f"r9y9_wavenet_{kind}.safetensors")
    return {name.removeprefix(f"{side}."): tensor for name, tensor in tensors.items() if name.startswith(f"{side}.")}


def written(folder: Path, kind: str, weights: dict[str, Tensor] | None = None, **changes: Any) -> tuple[Path, Path, Path, Path]:
    """Arguments of ``import_model`` for the files of the original: checkpoint, folder to be, settings and statistics."""
    state = {"state_dict": golden(kind, "model") | (weights or {}), "optimizer": None, "global_step": 7, "global_epoch": 1}
    torch.save(state, folder / "checkpoint_latest_ema.pth")
    (folder / "hparams.json").write_text(json.dumps({**COMMON, **SETTINGS[kind], **changes}))
    np.save(folder / "stats.npy", golden(kind, "in")["statistics"].numpy())
    return folder / "checkpoint_latest_ema.pth", folder / "exp", folder / "hparams.json", folder / "stats.npy"


def imported(folder: Path, kind: str) -> WaveNet:
    import_model("r9y9-wavenet", *written(folder, kind))
    vocoder = load_mel2wav(folder / "exp").vocoder
    assert isinstance(vocoder, WaveNet)
    return vocoder


@pytest.mark.parametrize("kind", SETTINGS)
def test_it_says_the_same_of_every_sample(kind: str, tmp_path: Path) -> None:
    """Given the true samples before it: of a whole utterance, and of another where no edge is in reach."""
    vocoder, given, made = imported(tmp_path, kind), golden(kind, "in"), golden(kind, "out")["outputs"]
    mel, frames = given["mel"], given["mel"].shape[1]
    with torch.inference_mode():
        said = vocoder.predict(mel, given["wave"], torch.full((len(mel),), frames))
    torch.testing.assert_close(said[1], made[1], atol=1e-5, rtol=0)
    inner = slice(2 * vocoder.hop + vocoder.stack.reach, (frames - 2) * vocoder.hop)
    torch.testing.assert_close(said[0, inner], made[0, inner], atol=1e-5, rtol=0)
    assert made.std() > 0.1 and not torch.allclose(made[0, inner], made[1, inner], atol=0.1)


@pytest.mark.parametrize("kind", SETTINGS)
def test_it_speaks_the_same(kind: str, tmp_path: Path) -> None:
    """The likeliest sample after the likeliest: pre-emphasis and gain are undone as there."""
    vocoder, mel, made = imported(tmp_path, kind), golden(kind, "in")["mel"][1:], golden(kind, "out")["wave"]
    wave = vocoder.generate(mel, torch.tensor([mel.shape[1]]), None)
    torch.testing.assert_close(wave, made, atol=1e-4, rtol=0)
    assert made.std() > 0.02 and made.abs().max() < 0.99


def test_settings_are_those_of_the_original(tmp_path: Path) -> None:
    lines = import_model("r9y9-wavenet", *written(tmp_path, "mol"))
    assert any("below 70 Hz" in line for line in lines)
    task = load_mel2wav(tmp_path / "exp")
    features, vocoder = task.system.features, task.vocoder
    assert (features.log_base, features.floor, features.edges, features.band_norm) == ("10", 1e-10, "reflect", "slaney")
    assert (features.hop, features.window, features.n_fft, features.f_max) == (12, 200, 256, 3800)
    assert isinstance(vocoder, WaveNet)
    assert (vocoder.pre_emphasis, vocoder.input_scale, vocoder.shift.scale) == (0.85, 0.55, 0.55)
    assert isinstance(vocoder.head, Logistics) and vocoder.head.log_scale_min == pytest.approx(-16)  # in the units of the net, as there
    assert [layer.dilation for layer in vocoder.stack.each()] == dilation_cycles(6, 2)


def test_the_unit_that_carries_biases_stays_as_it_is_in_training(tmp_path: Path) -> None:
    vocoder = imported(tmp_path, "gaussian")
    layer = vocoder.stack.each()[0]
    assert layer.residual is not None
    loss = vocoder.predict(torch.randn(1, 4, 8), 0.1 * torch.randn(1, 24), torch.tensor([4])).square().sum()
    of_gates, of_residual = torch.autograd.grad(loss, [layer.gates.bias, layer.residual.weight])
    for row in (4, 9):  # of four units and one; filters, then gates
        assert layer.gates.bias[row] == 20 and of_gates[row].abs() < 1e-6
    assert torch.equal(layer.residual.weight[:, 4], golden("gaussian", "model")["conv_layers.0.conv1x1_out.bias"])
    assert of_residual[:, 4].abs().min() > 0


def test_a_width_that_the_native_kernel_takes_stays_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wide = {f"conv_layers.{i}.{name}": value for i in range(4) for name, value in _layer(gate=64).items()}
    import_model("r9y9-wavenet", *written(tmp_path, "gaussian", wide, gate_channels=64))
    vocoder = load_mel2wav(tmp_path / "exp").vocoder
    assert isinstance(vocoder, WaveNet) and {layer.skip.in_features for layer in vocoder.stack.each()} == {64}


def _layer(gate: int) -> dict[str, Tensor]:
    """A layer with another width of gates, in the names of the original."""
    sizes = {"conv": (gate, 6, 2), "conv1x1c": (gate, 8, 1), "conv1x1_out": (6, gate // 2, 1), "conv1x1_skip": (7, gate // 2, 1)}
    made = {f"{name}.weight_v": torch.randn(size) for name, size in sizes.items()}
    made |= {f"{name}.weight_g": torch.ones(size[0], 1, 1) for name, size in sizes.items()}
    return made | {f"{name}.bias": torch.randn(size[0]) for name, size in sizes.items() if name != "conv1x1c"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_type": "mulaw-quantize"}, "^--config: input_type: only 'raw' has a counterpart, got 'mulaw-quantize'$"),
        ({"upsample_net": None}, "^--config: upsample_net: only 'ConvInUpsampleNetwork' has a counterpart, got 'none'$"),
        ({"legacy": True}, "^--config: legacy: only False"),
        ({"gin_channels": 16}, "^--config: gin_channels: speakers have no counterpart, got 16; only one voice$"),
        ({"output_distribution": "Normal", "out_channels": 30}, "^--config: output_distribution: .*, got 'Normal' with 30$"),
        ({"postprocess": ""}, "^--config: preprocess, postprocess: .*, got 'preemphasis', ''$"),
        ({"preprocess": "rescale"}, "^--config: preprocess, postprocess: .*, got 'rescale'"),
        (
            {"upsample_params": {"upsample_scales": [3, 4], "freq_axis_kernel_size": 3}},
            "^--config: upsample_params.freq_axis_kernel_size: ",
        ),
        ({"sample_rate": None}, "^--config: sample_rate is missing"),
        ({"hop_size": 24}, r"^wavenet_conf: upsample scales \[3, 4\] = 12 but hop is 24; e.g. "),
    ],
)
def test_settings_without_a_counterpart_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    refused(ConfigError, message, *written(tmp_path, "mol", **changes))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    more = {"embed_speakers.weight": torch.ones(2, 2)}
    refused(CheckpointError, "1 of .* weights have no place here, such as embed_speakers.weight$", *written(tmp_path, "mol", more))
    message = "^conv_layers.0.conv.weight: expected 16 x 8 x 3, got 12 x 8 x 3; is the configuration its own"
    refused(CheckpointError, message, *written(tmp_path, "mol", gate_channels=16))
    refused(CheckpointError, "^conv_layers.6.conv.weight: no such weight", *written(tmp_path, "mol", layers=8))
    file, folder, config, _ = written(tmp_path, "mol")
    refused(ConfigError, "^--statistics: the mean and deviation of its frames are needed", file, folder, config)


def refused(error: type[ToolkitError], message: str, file: Path, folder: Path, config: Path, statistics: Path | None = None) -> None:
    with pytest.raises(error, match=message) as caught:
        import_model("r9y9_wavenet", file, folder, config, statistics)
    assert "\n" not in str(caught.value) and not folder.exists()


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder, config, statistics = map(str, written(tmp_path, "gaussian"))
    words = ["import", "r9y9-wavenet", file, "--config", config, "--statistics", statistics, "--exp", folder]
    assert main(words) == 0
    assert f"{folder}: mel2wav of r9y9-wavenet" in capsys.readouterr().out
    assert main(words) == 2
    assert "holds a model already" in capsys.readouterr().err
