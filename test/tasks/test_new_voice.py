"""A new voice from a tiny trained one: from recordings to a fine-tuned predictor, and what is refused on the way."""

import shlex
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from toolkit.audio import wave
from toolkit.bin.main import main
from toolkit.config import load_yaml, to_yaml
from toolkit.data import corpus, extraction, kaldi
from toolkit.data.shards import Extraction
from toolkit.errors import CheckpointError, ConfigError, DataError
from toolkit.infer.load import load_config
from toolkit.tasks.new_voice import new_voice, training
from toolkit.tasks.schema import load_system
from toolkit.train.checkpoint import best_weights

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ljspeech"
SETTINGS = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, layers: 2}", "reduction=8", "vocoder=griffin_lim",
    "text2mel={batch: {global: 4, micro: 4}, max_steps: 2, save_every: 2, validate_every: 2, keep_best: 1, threads: 1}",
    "text2mel.schedule=constant", "synthesis={frames_per_symbol: 1.0}", "conditioning={speaker: {dim: 4}}",
]  # fmt: skip
READING = {"speaker": "eva"}


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Features are computed in this process: to start another one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "ProcessPoolExecutor", lambda jobs, mp_context: ThreadPoolExecutor(jobs))
        yield


@pytest.fixture(scope="module")
def base(threads: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that two speakers trained for two steps, with a closed grammar."""
    folder = tmp_path_factory.mktemp("base")
    corpus.prepare(RECIPE / "mini", folder / "all", "one")
    ids = [key for key in kaldi.read_map(folder / "all" / "text") if key.startswith("mini-d")][:8]
    kaldi.subset(folder / "all", folder / "data", ids)
    kaldi.write_speakers(folder / "data", {key: "anna" if place % 2 else "ben" for place, key in enumerate(ids)})
    system = load_system(RECIPE / "conf" / "mini.yaml", SETTINGS)
    (folder / "config.yaml").write_text(to_yaml(system))
    extraction.extract(folder / "data", folder / "features", Extraction(system.features, system.trim, system.level), 1, lambda line: None)
    given, dump = ["--config", str(folder / "config.yaml")], folder / "dump"
    assert main(["split", *given, "--data", str(folder / "features"), "--out", str(dump)]) == 0
    for source in (folder / "features/features.json", RECIPE / "mini/lexicon.txt"):
        shutil.copy(source, dump)
    assert main(["tokens", *given, "--text", *(str(path) for path in dump.glob("*/text")), "--out", str(dump / "tokens.txt")]) == 0
    assert main(["stats", "--data", str(dump / "train"), "--out", str(dump / "stats.npz")]) == 0
    assert main(["train", "text2mel", *given, "--data", str(dump), "--exp", str(folder / "exp"), "--device", "cpu"]) == 0
    return folder / "exp"


def recordings(folder: Path, kind: str = "mini-d", texts: dict[int, str] | None = None) -> Path:
    """Six clips of the embedded corpus in its layout, with other texts where they are given."""
    (folder / "wavs").mkdir(parents=True)
    rows = [line.split("|") for line in (RECIPE / "mini/metadata.csv").read_text().splitlines() if line.startswith(kind)][20:26]
    for name, _ in rows:
        shutil.copy(RECIPE / f"mini/wavs/{name}.ogg", folder / "wavs")
    lines = [f"{name}|{(texts or {}).get(place, text)}\n" for place, (name, text) in enumerate(rows)]
    (folder / "metadata.csv").write_text("".join(lines))
    return folder


def test_the_printed_command_fine_tunes_the_trained_weights(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recordings(tmp_path / "audio")
    assert main(["new-voice", "eva", "--audio", "audio", "--from", str(base), "--set", "text2mel.save_every=1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2] == "eva is ready; train it:" and any(line.startswith("kept 6: train 4, dev 1, eval 1") for line in said)
    assert (tmp_path / "eva/data/spk2utt").read_text().startswith("eva mini-d")
    for name in ("tokens.txt", "stats.npz", "lexicon.txt"):
        assert (tmp_path / "eva/dump" / name).read_bytes() == (base / name).read_bytes()
    assert main(shlex.split(said[-1])[1:] + ["--device", "cpu"]) == 0
    experiment = tmp_path / "eva/exp"
    assert "tensors from" in (experiment / "text2mel/initial_weights.txt").read_text()
    assert (experiment / "speakers.txt").read_text() == "eva\n"
    before, after = (best_weights(folder / "text2mel")[0] for folder in (base, experiment))
    normaliser = [name for name in before if "normaliser" in name]
    assert normaliser and all(torch.equal(before[name], after[name]) for name in normaliser)
    trained = [name for name in before if before[name].is_floating_point() and "tables" not in name and "running" not in name]
    assert max(float((after[name] - before[name]).abs().max()) for name in trained) < 0.002, "it began with the trained weights"
    system = load_config(experiment)
    assert system.text2mel.optimiser.build().learning_rate == pytest.approx(0.2 * 2e-3)
    assert (system.text2mel.schedule.name, system.text2mel.save_every, system.text2mel.max_steps) == ("cosine", 1, 2)
    assert main(["say", "one two", "--model", str(experiment), "--vocoder", "griffin_lim", "--out", "x.wav"]) in (0, 3)
    assert main(["new-voice", "eva", "--audio", "audio", "--from", str(base)]) == 2
    assert "eva: this voice is trained already" in capsys.readouterr().err


def test_steps_follow_from_the_minutes_and_stay_below_those_of_the_trained_voice() -> None:
    system = load_system(RECIPE / "conf" / "small.yaml")
    assert [training(system, minutes)["max_steps"] for minutes in (1, 5, 32, 500)] == [300, 500, 3200, 8000]
    section = training(system, 5)
    assert section["optimiser_conf"]["learning_rate"] == pytest.approx(2e-4) and section["validate_every"] == 100


def test_the_configuration_extends_that_of_the_trained_voice(base: Path, tmp_path: Path) -> None:
    audio = recordings(tmp_path / "audio")
    clip = sorted((audio / "wavs").iterdir())[0]
    wave.write(clip.with_suffix(".wav"), wave.read(clip, 8000), 8000)
    clip.unlink()
    made = new_voice(base, tmp_path / "v", audio, READING, ["text2mel.max_steps=7"], 1, lambda line: None)
    assert "1 recordings have 8000 Hz, and the trained voice has sound up to 7600 Hz" in made.warnings
    config = load_yaml(tmp_path / "v/config.yaml")
    own, theirs = load_system(tmp_path / "v/config.yaml"), load_config(base)
    assert own.text2mel.max_steps == 7 and own.features == theirs.features and own.decoder == theirs.decoder
    assert config["text2mel"]["batch"] == {"global": 4, "micro": 4}
    assert made.command.endswith(f"--init-param {base}:::conditioning.tables")


def test_a_closed_grammar_stays_behind_where_the_new_texts_leave_it(base: Path, tmp_path: Path) -> None:
    audio = recordings(tmp_path / "audio")
    new_voice(base, tmp_path / "v", audio, READING, [], 1, lambda line: None)
    assert (tmp_path / "v/dump/lexicon.txt").exists()
    key = (audio / "metadata.csv").read_text().partition("|")[0]
    text = (audio / "metadata.csv").read_text().replace(f"{key}|", f"{key}|tone ", 1)  # its letters are known, the word is not
    (audio / "metadata.csv").write_text(text)
    new_voice(base, tmp_path / "v", audio, READING, [], 1, lambda line: None)
    assert not (tmp_path / "v/dump/lexicon.txt").exists() and (tmp_path / "v/dump/tokens.txt").exists()


def test_texts_that_the_trained_voice_cannot_read_are_all_named(base: Path, tmp_path: Path) -> None:
    audio = recordings(tmp_path / "audio", texts={1: "ça va", 3: "ß"})
    with pytest.raises(DataError) as caught:
        new_voice(base, tmp_path / "v", audio, READING, ["cleaner=basic"], 1, lambda line: None)
    said = str(caught.value).splitlines()
    assert len(said) == 2 and all(line.startswith(f"{tmp_path / 'v/data/text'}: mini-d") for line in said) and "'ç'" in said[0]
    assert not (tmp_path / "v/config.yaml").exists()


def test_a_vocoder_goes_along_as_a_copy(base: Path, tmp_path: Path) -> None:
    trained = tmp_path / "base"
    shutil.copytree(base, trained)
    step = trained / "mel2wav/checkpoints/step-000002"
    step.mkdir(parents=True)
    (step / "model.safetensors").write_bytes(b"weights")
    (trained / "mel2wav/train.log").write_text("theirs")
    audio = recordings(tmp_path / "audio")
    for _ in range(2):  # the same call goes on
        new_voice(trained, tmp_path / "v", audio, READING, [], 1, lambda line: None)
    copied = tmp_path / "v/exp/mel2wav"
    assert [path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()] == [
        "checkpoints/step-000002/model.safetensors"
    ]
    (copied / "checkpoints/step-000002/model.safetensors").write_bytes(b"other")
    assert (step / "model.safetensors").read_bytes() == b"weights"


def test_durations_are_aligned_first_where_the_decoder_needs_them(base: Path, tmp_path: Path) -> None:
    settings = ["decoder=non_attentive", "decoder_conf={}", "attention=null", "losses={mse: {}}"]
    made = new_voice(base, tmp_path / "v", recordings(tmp_path / "audio"), READING, settings, 1, lambda line: None)
    assert (
        made.command.startswith(f"toolkit align --config {tmp_path / 'v/config.yaml'} ") and " && toolkit train text2mel " in made.command
    )


def test_nothing_trained_and_recordings_that_are_wrong_are_refused(base: Path, tmp_path: Path) -> None:
    audio = recordings(tmp_path / "audio")
    with pytest.raises(CheckpointError, match="--from: nothing trained there"):
        new_voice(tmp_path, tmp_path / "v", audio, READING, [], 1, lambda line: None)
    for setting in ("features.hop=100", "tokenizer=phone", "normalise={}"):
        with pytest.raises(ConfigError, match=r"--set: a new voice has features, .* of the trained one, got \w+"):
            new_voice(base, tmp_path / "v", audio, READING, [setting], 1, lambda line: None)
    with pytest.raises(ConfigError, match="text2mel.max_stepz"):
        new_voice(base, tmp_path / "v", audio, READING, ["text2mel.max_stepz=7"], 1, lambda line: None)
    next((audio / "wavs").iterdir()).unlink()
    with pytest.raises(DataError, match="no recording of"):
        new_voice(base, tmp_path / "v", audio, READING, [], 1, lambda line: None)
    assert not (tmp_path / "v").exists()
