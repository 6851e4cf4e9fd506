"""Two made-up speakers from recordings to speech: every condition at once, tiny networks, a few steps."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from toolkit.audio.wave import probe
from toolkit.bin.main import main
from toolkit.config import to_yaml
from toolkit.data import corpus, kaldi
from toolkit.data.extraction import extract
from toolkit.data.shards import Extraction
from toolkit.data.store import FeatureStore
from toolkit.data.voices import Voice
from toolkit.infer.load import load_text2mel
from toolkit.infer.speak import predict_mels
from toolkit.tasks.schema import load_system

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ljspeech"
SETTINGS = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, layers: 2}", "reduction=8", "vocoder=griffin_lim",
    "text2mel={batch: {global: 4, micro: 2}, max_steps: 2, save_every: 2, validate_every: 2, keep_best: 1, threads: 1}",
    "synthesis={frames_per_symbol: 1.0, utterances: 0}",
    "conditioning={speaker: {dim: 4}, language: {dim: 2}, vector: {dim: 3}}",
    "conditioning.style={dim: 4, heads: 2, tokens: 3, channels: [2, 2], units: 4}",
]  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of twelve clips, six of each speaker, each speaker in a language of his own."""
    folder = tmp_path_factory.mktemp("many")
    corpus.prepare(RECIPE / "mini", folder / "all", "one")
    ids = [key for key in kaldi.read_map(folder / "all" / "text") if key.startswith("mini-d")][:12]
    kaldi.subset(folder / "all", folder / "data", ids)
    kaldi.write_speakers(folder / "data", {key: "anna" if place % 2 else "ben" for place, key in enumerate(ids)})
    kaldi.write_map(folder / "data" / "utt2lang", {key: "en" if place % 2 else "de" for place, key in enumerate(ids)})
    system = load_system(RECIPE / "conf" / "mini.yaml", SETTINGS)
    (folder / "config.yaml").write_text(to_yaml(system))
    extract(folder / "data", folder / "features", Extraction(system.features, system.trim, system.level), 1, lambda line: None)
    dump = folder / "dump"
    given = ["--config", str(folder / "config.yaml")]
    assert main(["split", *given, "--data", str(folder / "features"), "--out", str(dump)]) == 0
    shutil.copy(folder / "features" / "features.json", dump)
    assert (
        main(["tokens", *given, "--text", *(str(dump / name / "text") for name in ("train", "dev")), "--out", str(dump / "tokens.txt")])
        == 0
    )
    assert main(["stats", "--data", str(dump / "train"), "--out", str(dump / "stats.npz")]) == 0
    np.savez(folder / "vectors.npz", anna=np.array([1.0, 0.0, 0.0]), ben=np.array([0.0, 2.0, 1.0]))
    splits = [str(dump / name) for name in ("train", "dev", "eval")]
    assert main(["vectors", "--data", *splits, "--source", str(folder / "vectors.npz")]) == 0
    return folder


def train(work: Path, *more: str, exp: str = "exp") -> int:
    return main(["train", "text2mel", "--config", str(work / "config.yaml"), "--data", str(work / "dump"), "--exp", str(work / exp), *more])


@pytest.fixture(scope="module")
def experiment(work: Path) -> Path:
    assert train(work) == 0
    return work / "exp"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip()


def test_each_split_has_both_speakers(work: Path) -> None:
    for name, count in (("train", 8), ("dev", 2), ("eval", 2)):
        speakers = kaldi.read_map(work / "dump" / name / "utt2spk")
        assert len(speakers) == count and set(speakers.values()) == {"anna", "ben"}


def test_an_experiment_keeps_the_names_and_a_training_goes_on(experiment: Path, work: Path) -> None:
    assert (experiment / "speakers.txt").read_text() == "anna\nben\n" and (experiment / "languages.txt").read_text() == "de\nen\n"
    card = (experiment / "text2mel" / "training_card.md").read_text()
    assert "| Conditioned on | 2 speakers (4 values), 2 languages (2 values), vector (3 values), style (4 values, 3 tokens" in card
    assert train(work, "--set", "text2mel.max_steps=4") == 0
    assert (experiment / "speakers.txt").read_text() == "anna\nben\n"
    assert any((experiment / "text2mel" / "checkpoints").glob("step-*4"))


def test_attention_aligns_each_speaker(experiment: Path, work: Path) -> None:
    given = ["--config", str(work / "config.yaml"), "--data", str(work / "dump"), "--out", str(work / "aligned")]
    assert main(["align", *given, "--method", "attention", "--exp", str(experiment)]) == 0
    assert (work / "aligned" / "train" / "durations.scp").is_file()


def test_a_fork_keeps_the_names_and_a_new_training_begins_from_the_other_weights(experiment: Path, work: Path) -> None:
    assert train(work, "--fork", str(work / "fork"), "--set", "text2mel.max_steps=5", "--set", "text2mel.clip=2") == 0
    assert (work / "fork" / "speakers.txt").read_text() == "anna\nben\n"
    assert train(work, "--init-param", f"{experiment}:::conditioning.tables", exp="new") == 0
    own = len(load_text2mel(work / "new").state_dict())
    assert (work / "new" / "text2mel" / "initial_weights.txt").read_text().startswith(f"{own - 2} of {own} tensors from ")


def test_other_speakers_than_those_of_the_beginning_are_refused(
    experiment: Path, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(work / "dump", tmp_path / "dump")
    speakers = kaldi.read_map(data / "train" / "utt2spk")
    kaldi.write_speakers(data / "train", {key: name.replace("ben", "carl") for key, name in speakers.items()})
    words = ["train", "text2mel", "--config", str(work / "config.yaml"), "--data", str(data), "--exp"]
    assert main([*words, str(experiment)]) == 1
    assert "speakers.txt: begun with other speakers than the data have now, got them without ben, with carl" in said(capsys)
    assert (experiment / "speakers.txt").read_text() == "anna\nben\n"
    assert main([*words, str(tmp_path / "new")]) == 1  # dev has ben still
    assert "utt2spk: 1 utterances of a speaker that the model does not know" in said(capsys)


def test_a_speaker_is_chosen_by_name(experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["say", "one two", "--model", str(experiment), "--out", str(tmp_path / "one.wav")]
    np.save(tmp_path / "ben.npy", np.array([0.0, 2.0, 1.0]))
    whole = [*words, "--speaker", "ben", "--language", "en", "--speaker-vector", str(tmp_path / "ben.npy")]
    for given, message in (
        (words, "speaker: this model has 2, say which; known: anna, ben"),
        ([*words, "--speaker", "bem"], "speaker: unknown to this model, got 'bem'; did you mean 'ben'? known: anna, ben"),
        ([*words, "--speaker", "ben"], "language: this model has 2, say which; known: de, en"),
        (whole[:-2], "speaker vector: this model needs one of 3 values, got none; give --speaker-vector FILE.npy"),
        ([*whole, "--style", "0.5,0.5"], "style: this model has 3 tokens, a weight for each, got 2"),
    ):
        assert main(given) == 2
        assert said(capsys) == f"error: {message}"
    assert main(whole) in (0, 3) and probe(tmp_path / "one.wav").sample_rate == 16000
    assert main([*whole, "--style", "1,0,-0.5"]) in (0, 3)
    assert main([*whole, "--reference", str(RECIPE / "mini" / "wavs" / "mini-d0001.ogg")]) in (0, 3)
    assert main([*words, "--style", "a,b"]) == 2


def test_each_condition_is_heard_and_no_other_row_matters(experiment: Path, work: Path) -> None:
    task = load_text2mel(experiment)
    vector, frames = np.array([0.0, 2.0, 1.0], np.float32), FeatureStore(work / "dump" / "eval" / "feats.scp")
    reference = frames.load(frames.ids[0])
    voice = Voice("ben", "en", vector)
    others = [
        voice._replace(speaker="anna"), voice._replace(language="de"), voice._replace(vector=-vector), voice._replace(style=(2.0, 0.0, 0.0))
    ]  # fmt: skip
    together = predict_mels(task, ["one two"] * 5, [1] * 5, voices=[voice, *others])
    for other in together[1:]:
        assert other.mel.shape != together[0].mel.shape or not np.allclose(other.mel, together[0].mel, atol=1e-6)
    alone = predict_mels(task, ["one two"], [1], voices=[others[0]])[0]
    np.testing.assert_allclose(alone.mel, together[1].mel, atol=1e-4)
    long = reference.repeat(3, 0)
    two = predict_mels(task, ["one two"] * 2, [1, 1], voices=[voice._replace(reference=reference), voice._replace(reference=long)])
    again = predict_mels(task, ["one two"], [1], voices=[voice._replace(reference=reference)])[0]
    np.testing.assert_allclose(again.mel, two[0].mel, atol=1e-4)
    with pytest.raises(ValueError, match="reference: each text of a batch has one or none has, got 1 of 2"):
        predict_mels(task, ["one two"] * 2, [1, 1], voices=[voice, voice._replace(reference=reference)])


def test_the_evaluation_set_and_aligned_mels_have_their_own_speakers(experiment: Path, work: Path) -> None:
    data = str(work / "dump")
    assert main(["synthesize", "--exp", str(experiment), "--data", data, "--without-vocoder"]) == 0
    rows = [json.loads(line) for line in (experiment / "speech" / "eval" / "utterances.jsonl").read_text().splitlines()]
    true = kaldi.read_map(work / "dump" / "eval" / "utt2spk")
    assert {row["id"]: row["speaker"] for row in rows} == true and {row["language"] for row in rows} == {"de", "en"}
    assert main(["synthesize", "--exp", str(experiment), "--data", data, "--without-vocoder", "--speaker", "anna"]) == 0
    rows = [json.loads(line) for line in (experiment / "speech" / "eval" / "utterances.jsonl").read_text().splitlines()]
    assert {row["speaker"] for row in rows} == {"anna"}
    assert main(["gta", "--exp", str(experiment), "--data", data]) == 0
    frames = kaldi.read_map(work / "dump" / "train" / "utt2num_frames")
    store = FeatureStore(experiment / "gta" / "train" / "feats.scp")
    assert {key: len(store.load(key)) for key in store} == {key: int(count) for key, count in frames.items()}


def test_aligned_mels_depend_on_the_speaker(experiment: Path, work: Path, tmp_path: Path) -> None:
    from toolkit.infer.gta import force

    task, data = load_text2mel(experiment), shutil.copytree(work / "dump" / "eval", tmp_path / "eval")
    before = force(task, task.data(data))
    speakers = kaldi.read_map(data / "utt2spk")
    kaldi.write_speakers(data, dict(zip(speakers, reversed(speakers.values()), strict=True)))
    after = force(task, task.data(data))
    assert all(not np.allclose(before[key].mel, after[key].mel, atol=1e-6) for key in before)
