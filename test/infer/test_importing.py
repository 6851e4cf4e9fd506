"""Published checkpoints of other toolkits become experiments whose output is theirs; what does not fit is refused in a line.

``test/golden`` holds small networks with random weights of the original code, what went in and what came out.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from toolkit.bin.main import main
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.errors import CheckpointError, ConfigError, ToolkitError
from toolkit.infer.importing.loading import placed, plain
from toolkit.infer.importing.run import import_model
from toolkit.infer.load import load_mel2wav, load_text2mel
from toolkit.models.conditioning import Conditions

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MELS = {"sampling_rate": 22050, "n_fft": 1024, "win_size": 1024, "fmin": 0, "fmax": 8000, "num_mels": 80}
HIFIGAN: dict[str, dict[str, Any]] = {
    "1": {
        "upsample_rates": [4, 3], "upsample_kernel_sizes": [8, 7], "upsample_initial_channel": 12, "resblock_kernel_sizes": [3, 7],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]], "hop_size": 12,
    },
    "2": {
        "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "upsample_initial_channel": 16, "resblock_kernel_sizes": [3, 5],
        "resblock_dilation_sizes": [[1, 2], [2, 6]], "hop_size": 16,
    },
}  # fmt: skip
PWG: dict[str, Any] = {
    "sampling_rate": 8000, "fft_size": 64, "hop_size": 12, "win_length": None, "num_mels": 20, "fmin": 80, "fmax": 3800,
    "generator_type": "ParallelWaveGANGenerator",
    "generator_params": {
        "in_channels": 1, "out_channels": 1, "kernel_size": 3, "layers": 6, "stacks": 2, "residual_channels": 8, "gate_channels": 12,
        "skip_channels": 10, "aux_channels": 20, "aux_context_window": 2, "upsample_params": {"upsample_scales": [4, 3]},
    },
}  # fmt: skip


class Golden(NamedTuple):
    """What the original code had, was given and made."""

    weights: dict[str, Tensor]
    given: dict[str, Tensor]
    made: dict[str, Tensor]


def golden(name: str) -> Golden:
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    sides = ({k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(side)} for side in ("model.", "in.", "out."))
    return Golden(*sides)


def write_hifigan(folder: Path, kind: str, **changes: Any) -> tuple[Path, Path]:
    torch.save({"generator": golden(f"hifigan_{kind}").weights | changes}, folder / "g_00000001")
    config = folder / "config.json"
    config.write_text(json.dumps({"resblock": kind, **MELS, **HIFIGAN[kind]}))
    return folder / "g_00000001", config


def write_parallel_wavegan(folder: Path) -> tuple[Path, Path, Path]:
    found = golden("parallel_wavegan")
    torch.save({"model": {"generator": found.weights, "discriminator": {}}, "steps": 1}, folder / "checkpoint-1steps.pkl")
    (folder / "config.yml").write_text(yaml.safe_dump(PWG))
    np.save(folder / "stats.npy", found.given["statistics"].numpy())
    return folder / "checkpoint-1steps.pkl", folder / "config.yml", folder / "stats.npy"


def write_nvidia(folder: Path, weights: Mapping[str, Tensor] | None = None) -> Path:
    state = {f"module.{name}": weight for name, weight in (weights or golden("nvidia_tacotron2").weights).items()}
    torch.save({"iteration": 1, "state_dict": state, "learning_rate": 1e-3}, folder / "tacotron2_statedict.pt")
    return folder / "tacotron2_statedict.pt"


@pytest.mark.parametrize("kind", HIFIGAN)
def test_hifigan_makes_the_same_wave(kind: str, tmp_path: Path) -> None:
    file, config = write_hifigan(tmp_path, kind)
    import_model("hifigan", file, tmp_path / "exp", config)
    found, vocoder = golden(f"hifigan_{kind}"), load_mel2wav(tmp_path / "exp").vocoder
    mel = found.given["mel"]
    wave = vocoder.generate(mel, torch.full((len(mel),), mel.shape[1]), None)
    torch.testing.assert_close(wave, found.made["wave"], atol=1e-4, rtol=0)
    features = load_mel2wav(tmp_path / "exp").system.features
    assert (features.centre, features.edges, features.floor) == (HIFIGAN[kind]["hop_size"] // 2, "reflect", 1e-5)


def test_parallel_wavegan_makes_the_same_wave_of_the_same_noise(tmp_path: Path) -> None:
    import_model("parallel-wavegan", *_arguments(tmp_path, write_parallel_wavegan(tmp_path)))
    found, task = golden("parallel_wavegan"), load_mel2wav(tmp_path / "exp")
    drawn, vocoder = found.given["noise"][None], task.vocoder
    vocoder.draws = lambda noise, position, frames, like: drawn  # type: ignore[method-assign]
    wave = vocoder.generate(found.given["mel"][None], torch.tensor([len(found.given["mel"])]), None)[0]
    torch.testing.assert_close(wave, found.made["wave"].clamp(-1, 1), atol=1e-4, rtol=0)
    assert (task.system.features.log_base, task.system.features.window) == ("10", 64)


def _arguments(folder: Path, written: tuple[Path, Path, Path]) -> tuple[Path, Path, Path, Path]:
    return written[0], folder / "exp", written[1], written[2]


def test_nvidia_tacotron2_makes_the_same_frames(tmp_path: Path) -> None:
    """Taught and speaking freely, without dropout: frames before and after the postnet, stop tokens, attention."""
    (said, remark) = import_model("nvidia-tacotron2", write_nvidia(tmp_path), tmp_path / "exp")
    assert said.startswith(f"{tmp_path / 'exp'}: text2mel of nvidia-tacotron2") and "<eos>" in remark
    found, task = golden("nvidia_tacotron2"), load_text2mel(tmp_path / "exp")
    tokens, mel = found.given["ids"] + 1, found.given["mel"]  # <eos> stands between padding and the rest
    rows, frames = mel.shape[:2]
    lengths = torch.full((rows,), tokens.shape[1])
    with torch.inference_mode():
        forced = task.model(tokens, lengths, Targets(mel, torch.full((rows,), frames)), Conditions(), None)
        free = task.model.generate(tokens[:1], lengths[:1], torch.tensor([12]), StopAtProbability(0.5), Conditions(), None)
    output = forced.output
    for ours, theirs in ((output.mel, "before"), (forced.mel, "after"), (output.stop_logits, "gate"), (output.weights, "alignments")):
        torch.testing.assert_close(ours, found.made[theirs], atol=1e-4, rtol=0)
    torch.testing.assert_close(free.mel, found.made["free"], atol=1e-4, rtol=0)
    assert found.made["free"].shape[1] == 12 and found.made["alignments"].max() > 0.5  # it is no trifle that is equal


def test_symbols_are_those_of_the_original(tmp_path: Path) -> None:
    import_model("nvidia-tacotron2", write_nvidia(tmp_path), tmp_path / "exp")
    frontend = load_text2mel(tmp_path / "exp").frontend
    symbols = frontend.vocabulary.symbols
    assert len(symbols) == 149 and symbols[2:5] == ("-", "!", "'") and symbols[13:15] == ("A", "B") and symbols[65:67] == ("@AA", "@AA0")
    assert symbols[-1] == "@ZH" and frontend("hi {AH0}") == [symbols.index(s) for s in ("h", "i", " ", "@AH0", "<eos>")]
    embedding = load_text2mel(tmp_path / "exp").model.encoder.embedding.weight
    assert torch.equal(embedding[1], golden("nvidia_tacotron2").weights["embedding.weight"][0])


def test_both_sides_in_one_experiment_speak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As they are used together: NVIDIA's predictor and HiFi-GAN have the same mels, but for where a frame is centred."""
    file, config = write_hifigan(tmp_path, "1")
    exp, words = str(tmp_path / "exp"), ["--set", "features.hop=12", "--set", "features.centre=6"]
    assert main(["import", "nvidia-tacotron2", str(write_nvidia(tmp_path)), "--exp", exp, *words]) == 0
    assert main(["import", "hifigan", str(file), "--config", str(config), "--exp", exp]) == 2
    assert "n_mels: 80 here, 6 there" in capsys.readouterr().err
    assert main(["say", "hello there", "--model", exp, "--out", str(tmp_path / "a.wav")]) in (0, 3)
    assert (tmp_path / "a.wav").stat().st_size > 44


class Opened:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_pickle_that_holds_objects_needs_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = write_hifigan(tmp_path, "1")
    torch.save({"generator": golden("hifigan_1").weights, "hidden": Opened()}, file)
    with pytest.raises(CheckpointError, match="^.*g_00000001: holds more than tensors .*; --trust-pickle"):
        import_model("hifigan", file, tmp_path / "exp", config)
    assert "code ran" not in capsys.readouterr().out and not (tmp_path / "exp").exists()
    import_model("hifigan", file, tmp_path / "exp", config, trusted=True)
    assert "code ran" in capsys.readouterr().out


def refused(kind: str, file: Path, folder: Path, config: Path | None, message: str, error: type[ToolkitError] = CheckpointError) -> None:
    with pytest.raises(error, match=message) as caught:
        import_model(kind, file, folder / "exp", config)
    assert "\n" not in str(caught.value) and not (folder / "exp").exists()


def test_weights_that_have_no_place_or_are_missing_are_named(tmp_path: Path) -> None:
    file, config = write_hifigan(tmp_path, "1", **{"conv_more.weight": torch.ones(1)})
    refused("hifigan", file, tmp_path, config, "does not fit .*conv_more")
    weights = golden("nvidia_tacotron2").weights
    left_over = write_nvidia(tmp_path, weights | {"speaker.weight": torch.ones(1)})
    refused("nvidia_tacotron2", left_over, tmp_path, None, "1 of .* weights have no place here, such as speaker.weight$")
    missing = write_nvidia(tmp_path, {k: v for k, v in weights.items() if k != "decoder.gate_layer.linear_layer.bias"})
    refused("nvidia_tacotron2", missing, tmp_path, None, "^decoder.gate_layer.linear_layer.bias: no such weight .*did you mean")
    others = write_nvidia(tmp_path, weights | {"embedding.weight": torch.ones(100, 12)})
    refused("nvidia_tacotron2", others, tmp_path, None, "^embedding.weight: 148 symbols are known, got 100;")


def test_files_and_settings_that_are_not_right_are_named(tmp_path: Path) -> None:
    file, config = write_hifigan(tmp_path, "1")
    refused("hifigann", file, tmp_path, config, "unknown importer, got 'hifigann'; did you mean 'hifigan'", ConfigError)
    refused("hifigan", file, tmp_path, None, "^--config: this importer needs the configuration", ConfigError)
    refused("hifigan", tmp_path / "g_1", tmp_path, config, "g_1: no such file; known: config.json, g_00000001$")
    refused("nvidia_tacotron2", config, tmp_path, None, "config.json: ")
    config.write_text(json.dumps({"resblock": "1"}))
    refused("hifigan", file, tmp_path, config, "^--config: upsample_initial_channel is missing", ConfigError)
    checkpoint, settings, _ = write_parallel_wavegan(tmp_path)
    refused("parallel_wavegan", checkpoint, tmp_path, settings, "^--statistics: the mean and deviation", ConfigError)
    settings.write_text(yaml.safe_dump(PWG | {"generator_type": "MelGANGenerator"}))
    refused("parallel_wavegan", checkpoint, tmp_path, settings, "generator_type: only Parallel.*got 'MelGANGenerator'", ConfigError)


def test_a_side_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    file, config = write_hifigan(tmp_path, "1")
    import_model("hifigan", file, tmp_path / "exp", config)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "exp").rglob("*"))
    with pytest.raises(ConfigError, match="^--exp: .*mel2wav holds a model already; name another folder$"):
        import_model("hifigan", file, tmp_path / "exp", config)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "exp").rglob("*"))


def test_normalised_weights_come_back_whole() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(3, 4, 5))
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(1.7)
    state = {f"conv.{name}": value for name, value in layer.state_dict().items()}
    whole = plain(state)
    torch.testing.assert_close(whole["conv.weight"], layer.weight.detach())
    again = placed(whole, state)
    assert again.keys() == state.keys()
    torch.testing.assert_close(plain(again)["conv.weight"], layer.weight.detach())


def test_a_pickle_that_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps([1, 2]))
    refused("nvidia_tacotron2", tmp_path / "a.pt", tmp_path, None, "a.pt: ")
