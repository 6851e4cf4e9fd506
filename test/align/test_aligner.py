"""The search aligner: its objective against a sum over all paths, its prior against scipy, and planted speech that it must align."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import betabinom

from toolkit.align.agreement import compare
from toolkit.align.forward_sum import forward_sum
from toolkit.align.network import AlignerNetwork, diagonal_prior
from toolkit.align.results import SPLITS
from toolkit.bin.main import dispatch, main
from toolkit.data import kaldi
from toolkit.data.dataset import TextMelData
from toolkit.data.extraction import fingerprint
from toolkit.data.statistics import compute, save_statistics
from toolkit.data.store import FeatureStore, write_features
from toolkit.data.writing import write_json, write_text
from toolkit.tasks.schema import load_system
from toolkit.text.tokenizers import CharTokenizer
from toolkit.text.vocabulary import Vocabulary

LETTERS = "abcde"
CONFIG = """
encoder: conv_blstm
encoder_conf: {embedding: 8, channels: 8, lstm: 8, dropout: 0.0}
attention: location_sensitive
attention_conf: {dim: 8, filters: 4, kernel_size: 5}
decoder: tacotron2
decoder_conf: {prenet: [8, 8], lstm: 8}
postnet: none
vocoder: griffin_lim
losses: {mse: {}}
cleaner: basic
tokenizer: char
reduction: 3
normalise: per_bin
features: {n_mels: 12, f_min: 0.0, f_max: 8000.0, sample_rate: 16000, hop: 200, window: 800, n_fft: 1024}
text2mel: {batch: {global: 4, micro: 4}, max_steps: 1, validate_every: 1, save_every: 1}
"""
HOP = 200 / 16000


@pytest.mark.parametrize("skippable", [[False, False, False], [False, True, False], [True, False, True]])
def test_the_objective_is_the_sum_over_all_paths(skippable: list[bool]) -> None:
    torch.manual_seed(0)
    scores = torch.randn(1, 6, 4)
    total = 0.0
    for counts in itertools.product(range(6), repeat=3):
        if sum(counts) == 5 and all(count or skip for count, skip in zip(counts, skippable, strict=True)):
            total += float(scores[0, range(5), np.repeat(np.arange(3), counts)].sum().exp())
    found = forward_sum(scores, torch.tensor([[*skippable, False]]), torch.tensor([3]), torch.tensor([5]))
    assert found.item() == pytest.approx(-np.log(total), rel=1e-5)


def test_the_gradient_is_that_of_the_sum() -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
    skippable = torch.tensor([[False, True, True, False], [True, False, True, False], [False, False, True, True]])
    lengths = torch.tensor([4, 3, 4]), torch.tensor([6, 4, 5])
    mask = torch.zeros(3, 1, 4, dtype=torch.bool)
    mask[1, :, 3] = True  # padding
    assert torch.autograd.gradcheck(lambda values: forward_sum(values.masked_fill(mask, -1e4), skippable, *lengths), scores)


def test_a_row_without_a_path_does_not_count() -> None:
    scores = torch.zeros(2, 4, 3, requires_grad=True)
    heard = torch.zeros(2, 3, dtype=torch.bool)
    sums = forward_sum(scores, heard, torch.tensor([3, 3]), torch.tensor([2, 4]))
    sums.sum().backward()
    assert sums[0] == 0 and sums[1].item() == pytest.approx(-np.log(3)) and torch.isfinite(scores.grad).all()


def test_the_prior_is_beta_binomial_for_each_row_of_a_batch() -> None:
    prior = diagonal_prior(torch.tensor([3, 5]), torch.tensor([7, 4]), 5, 7)
    for row, (symbols, frames) in enumerate(((3, 7), (5, 4))):
        for t in range(frames):
            wanted = betabinom(symbols - 1, t + 1, frames - t).logpmf(np.arange(symbols))
            np.testing.assert_allclose(prior[row, t, :symbols].numpy(), wanted, atol=1e-4)
    assert (prior[0, :, 3:] < -1000).all()


def test_scores_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    network = AlignerNetwork(torch.tensor([True, True, False, False, True, False]), 4, 8)
    tokens, mel = torch.randint(1, 6, (2, 5)), torch.randn(2, 9, 4)
    tokens[1, 3:], mel[1, 6:] = 0, 0.0
    together = network(tokens, torch.tensor([5, 3]), mel)
    alone = network(tokens[1:, :3], torch.tensor([3]), mel[1:, :6])
    torch.testing.assert_close(together[1:, :6, :3], alone)


def spoken(text: str, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Made-up speech: each letter has frames of its own spectrum, a space is silence or is not heard; and where each ends."""
    counts = [int(rng.integers(3, 8)) if symbol != " " else int(rng.choice([0, 5])) for symbol in text]
    spectra = np.random.default_rng(0).normal(size=(len(LETTERS) + 1, 12)) * 2
    ids = np.repeat([LETTERS.find(symbol) for symbol in text], counts)
    mel = spectra[ids] + rng.normal(size=(len(ids), 12)) * 0.3
    return mel.astype(np.float32), [*counts, 0]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, list[int]]]:
    """Configuration and folder of planted speech, and its true durations."""
    folder = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(1)
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    true: dict[str, list[int]] = {}
    for split, count in (("train", 48), ("dev", 4), ("eval", 4)):
        features, utterances = {}, []
        for number in range(count):
            key = f"{split}-{number:02d}"
            letters = rng.permutation(list(LETTERS))  # all differ: between two of a kind nobody could tell
            text = "".join(letters[:2]) + " " + "".join(letters[2 : rng.integers(4, 6)])
            features[key], true[key] = spoken(text, rng)
            utterances.append(kaldi.Utterance(key, folder / f"{key}.wav", text, "one", len(features[key]) * HOP))
        kaldi.write(folder / split, utterances)
        write_features(folder / split, "mel", features)
        kaldi.write_map(folder / split / "utt2num_frames", {key: str(len(mel)) for key, mel in features.items()})
    system = load_system(config)
    write_json(folder / "features.json", {"features": vars(system.features), "fingerprint": fingerprint(system.features)})
    write_text(folder / "tokens.txt", Vocabulary.build([CharTokenizer().symbols(f"{LETTERS} ")]).to_text())
    store = FeatureStore(folder / "train" / "feats.scp")
    save_statistics(folder / "stats.npz", compute(store, store.ids))
    return config, folder, true


@pytest.fixture(scope="module")
def aligned(planted: tuple[Path, Path, dict[str, list[int]]]) -> Path:
    config, data, _ = planted
    words = ["align", "--config", str(config), "--data", str(data), "--set", "aligner.training.max_steps=150", "--device", "cpu"]
    assert dispatch([*words, "--textgrid", str(data / "grids")]) == 0
    return data


def test_planted_boundaries_are_found_within_one_frame(aligned: Path, planted: tuple[Path, Path, dict[str, list[int]]]) -> None:
    texts = {split: kaldi.read_map(aligned / split / "text") for split in SPLITS}
    apart = []
    for split in SPLITS:
        store = FeatureStore(aligned / split / "durations.scp")
        for key, text in texts[split].items():
            found, true = store.load(key), np.array(planted[2][key])
            assert len(found) == len(text) + 1 and found.sum() == true.sum()
            heard = np.array([symbol != " " for symbol in text])
            assert (found[:-1][heard] >= 1).all()
            apart.append(np.abs(np.cumsum(found) - np.cumsum(true))[:-1][heard])
    assert np.mean(np.concatenate(apart) <= 1) > 0.97
    data = TextMelData(aligned / "train", lambda text: [2] * len(text) + [1], 200, ["durations"])
    assert data.load([0], data.counts([0], (0, 0, 0)), (0, 0, 0)).durations is not None


def test_what_is_there_is_not_made_again_and_a_change_is_noticed(
    aligned: Path, planted: tuple[Path, Path, dict[str, list[int]]], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.decoders.tacotron2 import Tacotron2Decoder

    words = ["align", "--config", str(planted[0]), "--data", str(aligned), "--if-needed", "--device", "cpu"]
    assert dispatch(words) == 0
    assert "nothing to align: decoder 'tacotron2' is trained without durations" in capsys.readouterr().out
    monkeypatch.setattr(Tacotron2Decoder, "needs", ("durations",))
    assert dispatch([*words, "--set", "aligner.training.max_steps=150"]) == 0
    assert "were made from just this" in capsys.readouterr().out
    assert dispatch([*words, "--set", "aligner.training.max_steps=1", "--out", str(tmp_path)]) == 0
    assert "aligned by monotonic: 48 of train, 4 of dev, 4 of eval" in capsys.readouterr().out


def test_an_attention_aligns_and_two_results_are_compared(
    aligned: Path, planted: tuple[Path, Path, dict[str, list[int]]], tmp_path: Path, capsys
) -> None:
    config = str(planted[0])
    experiment, out = str(tmp_path / "exp"), tmp_path / "out"
    assert dispatch(["train", "text2mel", "--config", config, "--data", str(aligned), "--exp", experiment, "--device", "cpu"]) == 0
    assert dispatch(["align", "--config", config, "--data", str(aligned), "--exp", experiment, "--out", str(out), "--device", "cpu"]) == 0
    durations = FeatureStore(out / "dev" / "durations.scp")
    assert all(durations.load(key).sum() == sum(planted[2][key]) for key in durations)
    assert json.loads((out / "align.json").read_text())["method"] == "attention"
    capsys.readouterr()
    assert dispatch(["align", "--compare", str(aligned), str(out)]) == 0
    assert re.match(r"symbols: \d+ boundaries: median .*\nwords: \d+ boundaries: median ", capsys.readouterr().out)
    same = compare(aligned, aligned)
    assert same["symbols"].median_ms == same["words"].percentile_90_ms == 0 and same["words"].within_20_ms == 1


def test_mistakes_are_one_line(planted: tuple[Path, Path, dict[str, list[int]]], tmp_path: Path, capsys) -> None:
    config, data, _ = planted
    for words, message in (
        (["align"], "--config and --data are needed"),
        (["align", "--config", str(config), "--data", str(data), "--method", "attention"], "attention needs a trained predictor"),
        (["align", "--config", str(config), "--data", str(data), "--exp", str(tmp_path)], "no such configuration"),
        (["align", "--compare", str(tmp_path), str(data)], "no alignments here"),
    ):
        assert main(words) in (1, 2)
        assert message in capsys.readouterr().err


def test_a_setting_of_its_training_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    chosen = load_system(tmp_path / "c.yaml", ["aligner.training.threads=1"]).aligner.training
    assert (chosen.threads, chosen.max_steps, chosen.batch.global_, chosen.schedule.name) == (1, 600, 16, "cosine")
    assert chosen.optimiser.knobs["learning_rate"] == 2e-3
