"""ESPnet2's Tacotron 2 becomes an experiment whose frames are its own; what has no counterpart is refused in a line.

``test/golden`` holds two small networks with random weights of the original code, what went in and what came out: one as its
recipes have it, one with forward attention, two frames a step, a speaker vector and no postnet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from toolkit.audio.mel import log_mel
from toolkit.bin.main import main
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.errors import CheckpointError, ConfigError, ToolkitError
from toolkit.infer.importing.run import import_model
from toolkit.infer.load import load_text2mel
from toolkit.models.conditioning import Conditions

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LETTERS = ["<blank>", "<unk>", "<space>", *"ETAOINSHRDLU", ",", ".", "'", "?", "<sos/eos>"]
PHONES = ["<blank>", "<unk>", *"AH0 N T D S R L IY1 DH K AE1 M IH0 Z P".split(), ",", ".", "<sos/eos>"]
COMMON = {"tts": "tacotron2", "feats_extract": "fbank", "normalize": "global_mvn", "normalize_conf": {"stats_file": "feats_stats.npz"}}
BANDS = {"n_fft": 128, "hop_length": 32, "n_mels": 6}
SETTINGS: dict[str, dict[str, Any]] = {
    "location": {
        **COMMON, "token_type": "char", "token_list": LETTERS, "cleaner": "tacotron", "g2p": None,
        "feats_extract_conf": {**BANDS, "fs": 8000, "win_length": 100, "fmin": 80, "fmax": 3600},
        "tts_conf": {"atype": "location", "dropout_rate": 0.5, "zoneout_rate": 0.1, "spk_embed_dim": None, "output_activation": None},
    },
    "forward": {
        **COMMON, "token_type": "phn", "token_list": PHONES, "cleaner": "tacotron", "g2p": "g2p_en_no_space",
        "feats_extract_conf": {**BANDS, "fs": "8k", "win_length": None, "fmin": 80, "fmax": None},
        "tts_conf": {
            "atype": "forward", "reduction_factor": 2, "zoneout_rate": 0.0, "spk_embed_dim": 5, "spk_embed_integration_type": "add",
        },
    },
}  # fmt: skip


def golden(kind: str, side: str) -> dict[str, Tensor]:
    """One side of a golden file: ``model``, ``in`` or ``out``."""
    tensors = load_file(GOLDEN / f"espnet_tacotron2_{kind}.safetensors")
    return {name.removeprefix(f"{side}."): tensor for name, tensor in tensors.items() if name.startswith(f"{side}.")}


def written(folder: Path, kind: str, weights: dict[str, Tensor] | None = None, **changes: Any) -> tuple[Path, Path, Path]:
    """Checkpoint, experiment to be, configuration; ``tts_conf__name=value`` changes a setting of a section."""
    torch.save(golden(kind, "model") | (weights or {}), folder / "train.loss.ave_5best.pth")
    settings = {key: dict(value) if isinstance(value, dict) else value for key, value in SETTINGS[kind].items()}
    for name, value in changes.items():
        section, _, inner = name.partition("__")
        (settings[section] if inner else settings)[inner or section] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder / "train.loss.ave_5best.pth", folder / "exp", folder / "config.yaml"


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_same_frames_stops_and_attention(kind: str, tmp_path: Path) -> None:
    """Taught and speaking freely until it stops by itself, without dropout."""
    import_model("espnet-tacotron2", *written(tmp_path, kind))
    given, made, task = golden(kind, "in"), golden(kind, "out"), load_text2mel(tmp_path / "exp")
    vector = given.get("vector")
    tokens = (given["ids"] + 1).masked_fill(given["ids"] == 19, 1)  # <eos> is the last one there, here it comes after padding
    rows, frames = given["mel"].shape[:2]
    lengths, one = torch.full((rows,), tokens.shape[1]), torch.tensor([tokens.shape[1]])
    with torch.inference_mode():
        forced = task.model(tokens, lengths, Targets(given["mel"], torch.full((rows,), frames)), Conditions(vector=vector), None)
        speaker = Conditions(vector=None if vector is None else vector[:1])
        free = task.model.generate(tokens[:1], one, torch.tensor([27]), StopAtProbability(0.5), speaker, None)
    output, reduction = forced.output, task.system.reduction
    close(output.mel, made["before"])
    close(forced.mel, made["after"])
    close(output.stop_logits, made["logits"][:, reduction - 1 :: reduction])
    close(output.weights, made["alignments"])
    assert free.output.lengths.tolist() == [len(made["free"])] and free.output.stopped_by == ["stop"]
    close(free.mel[0], made["free"])
    close(free.output.weights[0], made["free_alignments"])
    close(task.model.natural(free.mel)[0], made["free_natural"])
    assert made["alignments"].max() > 0.9 and made["free"].shape[0] > 8  # it is no trifle that is equal


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_same_mels_of_a_wave(kind: str, tmp_path: Path) -> None:
    import_model("espnet-tacotron2", *written(tmp_path, kind))
    system = load_text2mel(tmp_path / "exp").system
    close(torch.from_numpy(log_mel(golden(kind, "in")["wave"].numpy(), system.features)), golden(kind, "out")["features"])


def test_parts_have_the_settings_of_the_original(tmp_path: Path) -> None:
    said = import_model("espnet-tacotron2", *written(tmp_path, "forward"))
    system = load_text2mel(tmp_path / "exp").system
    assert (system.decoder.knobs["wiring"], system.decoder.knobs["zoneout"], system.decoder.knobs["prenet_dropout"]) == ("espnet", 0.0, 0.5)
    assert (system.reduction, system.postnet.name, system.normalise) == (2, "none", "per_bin")
    assert system.attention is not None and (system.attention.name, system.attention.knobs["least"]) == ("forward", 1e-6)
    assert system.tokenizer.knobs["word_boundary"] is False and "stop tokens of each 2 frames" in said[-1]


def test_a_text_is_read_by_its_symbols(tmp_path: Path) -> None:
    """Its cleaner makes capitals, ours small letters: they have the weights of its capitals."""
    import_model("espnet-tacotron2", *written(tmp_path, "location"))
    task = load_text2mel(tmp_path / "exp")
    symbols, embedding = task.frontend.vocabulary.symbols, task.model.encoder.embedding.weight
    assert len(symbols) == 20 and symbols[:5] == ("<pad>", "<eos>", "<unk>", " ", "e")
    theirs = golden("location", "model")["tts.enc.embed.weight"]
    for ours, row in zip(task.frontend("Oh, no"), "O H , <space> N O <sos/eos>".split(), strict=True):
        assert torch.equal(embedding[ours], theirs[LETTERS.index(row)])


def test_it_speaks(tmp_path: Path) -> None:
    file, exp, config = written(tmp_path, "location")
    assert main(["import", "espnet-tacotron2", str(file), "--config", str(config), "--exp", str(exp)]) == 0
    assert main(["say", "no, I tried", "--model", str(exp), "--out", str(tmp_path / "a.wav")]) in (0, 3)
    assert (tmp_path / "a.wav").stat().st_size > 44


def test_without_a_cleaner_letters_stay_and_frames_may_be_plain(tmp_path: Path) -> None:
    """A checkpoint of a training in progress holds the same under ``model``."""
    file, exp, config = written(tmp_path, "location", cleaner=None, normalize=None)
    weights = {name: value for name, value in golden("location", "model").items() if not name.startswith("normalize")}
    torch.save({"model": weights, "reporter": {"epoch": 3}}, file)
    import_model("espnet-tacotron2", file, exp, config)
    task = load_text2mel(exp)
    assert task.frontend.symbols("Eh") == ["E", "h"] and "E" in task.frontend.vocabulary
    assert task.system.normalise == "none" and torch.equal(task.model.normaliser.std, torch.ones(6))


def test_a_vector_beside_the_memory(tmp_path: Path) -> None:
    """``concat`` has no weights of its own; here those of the readers are zero for it, so that all is as without."""
    there = golden("location", "model")
    wider = {"att.mlp_enc.weight": 12, "lstm.0.cell.weight_ih": 12, "feat_out.weight": 26, "prob_out.weight": 26}
    new = {}
    for name, at in wider.items():
        whole = there[f"tts.dec.{name}"]
        new[f"tts.dec.{name}"] = torch.cat([whole[:, :at], torch.zeros(len(whole), 3), whole[:, at:]], 1)
    changes = {"tts_conf__spk_embed_dim": 3, "tts_conf__spk_embed_integration_type": "concat"}
    import_model("espnet-tacotron2", *written(tmp_path, "location", new, **changes))
    model = load_text2mel(tmp_path / "exp").model
    memory, mask = model.encode(torch.tensor([[3, 4, 1]]), torch.tensor([3]), Conditions(vector=torch.tensor([[3.0, 0.0, 4.0]])), None)
    assert memory.shape == (1, 3, 15)
    torch.testing.assert_close(memory[0, :, 12:], torch.tensor([0.6, 0.0, 0.8]).expand(3, 3))
    given, rows = golden("location", "in"), torch.full((2,), 9)
    tokens = (given["ids"] + 1).masked_fill(given["ids"] == 19, 1)
    forced = model(tokens, rows, Targets(given["mel"], rows + 3), Conditions(vector=torch.randn(2, 3)), None)
    close(forced.mel, golden("location", "out")["after"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tts": "fastspeech2"}, "tts: only tacotron2 is known, got 'fastspeech2'"),
        ({"tts_conf__atype": "forward_ta"}, "tts_conf.atype: only location and forward .*got 'forward_ta'"),
        ({"tts_conf__cumulate_att_w": False}, "tts_conf.cumulate_att_w: only True .*got False"),
        ({"tts_conf__use_gst": True}, "tts_conf.use_gst: only False .*got True"),
        ({"tts_conf__use_concate": False}, "tts_conf.use_concate: only True"),
        ({"tts_conf__output_activation": "sigmoid"}, "tts_conf.output_activation: only None .*got 'sigmoid'"),
        ({"tts_conf__spks": 9}, "tts_conf.spks: a table of them .*got 9"),
        ({"feats_extract": "log_spectrogram"}, "feats_extract: only fbank .*got 'log_spectrogram'"),
        ({"feats_extract_conf__window": "hamming"}, "feats_extract_conf.window: only 'hann'"),
        ({"feats_extract_conf__log_base": 2.0}, "feats_extract_conf.log_base: only 10, or null for e, got 2"),
        ({"normalize": "utterance_mvn"}, "normalize: only global_mvn"),
        ({"normalize_conf__norm_vars": False}, "normalize_conf.norm_vars: only True"),
        ({"token_type": "bpe"}, "token_type: only char and phn .*got 'bpe'"),
        ({"token_type": "phn", "g2p": "pyopenjtalk"}, "g2p: only g2p_en and g2p_en_no_space .*got 'pyopenjtalk'"),
        ({"cleaner": "jaconv"}, "cleaner: only tacotron .*got 'jaconv'"),
        ({"token_list": None}, "token_list is missing; give the configuration"),
    ],
)
def test_settings_without_a_counterpart_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    refused(written(tmp_path, "location", **changes), f"^--config: {message}", ConfigError)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    refused(written(tmp_path, "location", {"tts.sid_emb.weight": torch.ones(3, 12)}), "1 of .* no place here, such as tts.sid_emb.weight$")
    refused(written(tmp_path, "location", token_list=LETTERS[:-1]), "^tts.enc.embed.weight: expected 19 x any, got 20 x 12;")
    refused(written(tmp_path, "location", feats_extract_conf__n_mels=4), "^tts.dec.feat_out.weight: expected frames of 4 bands, got 6;")
    refused(written(tmp_path, "forward", tts_conf__spk_embed_dim=None), "2 of .* no place here, such as tts.projection.bias")


def refused(arguments: tuple[Path, Path, Path], message: str, error: type[ToolkitError] = CheckpointError) -> None:
    with pytest.raises(error, match=message) as caught:
        import_model("espnet-tacotron2", *arguments)
    assert "\n" not in str(caught.value) and not arguments[1].exists()
