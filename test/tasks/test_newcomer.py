"""From recordings of two speakers in two languages to a model that speaks as each, and from that to a third voice, command by command."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from toolkit.audio import wave
from toolkit.bin.main import main
from toolkit.data.store import FeatureStore

RATE = 8000
READERS = {"de_DE/by_book/female/eva": (200, "eins zwei"), "en_US/by_book/male/bob": (110, "one two")}
CONFIG = """
seed: 1
features: {sample_rate: 8000, hop: 100, window: 400, n_fft: 512, n_mels: 20, f_min: 60.0, f_max: 3800.0, floor: 0.001}
cleaner: basic
tokenizer: char
reduction: 8
encoder: conv_blstm
encoder_conf: {embedding: 8, channels: 8, lstm: 8, dropout: 0.0}
attention: location_sensitive
attention_conf: {dim: 8, filters: 4, kernel_size: 5}
decoder: tacotron2
decoder_conf: {prenet: [8, 8], lstm: 8}
postnet: conv
postnet_conf: {channels: 8, layers: 2}
losses: {mse: {}, stop: {}}
conditioning: {speaker: {dim: 4}, language: {dim: 2}}
text2mel: {batch: {global: 4, micro: 4}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}
vocoder: wavenet
vocoder_conf: {layers: 4, cycles: 2, residual: 8, gate: 8, skip: 8, mixtures: 2, condition: 4}
crops: {frames: 2, input: gta}
mel2wav: {batch: {global: 2, micro: 2}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}
synthesis: {stop_threshold: 0.0}
"""


def clip(path: Path, pitch: float) -> None:
    """A second of a buzz that fades in and out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 8)) * np.sin(np.pi * time)
    wave.write(path, (0.2 * buzz).astype(np.float32), RATE)


def m_ailabs(folder: Path) -> Path:
    """Ten recordings of each reader."""
    for place, (pitch, text) in READERS.items():
        name = place.rpartition("/")[2]
        for number in range(10):
            clip(folder / place / "book/wavs" / f"{name}_{number}.wav", pitch + number)
        rows = "".join(f"{name}_{number}|{text}|{text}\n" for number in range(10))
        (folder / place / "book/metadata.csv").write_text(rows)
    return folder


def play(*commands: str) -> None:
    for command in commands:
        assert main(shlex.split(command)) == 0, command


def test_two_speakers_and_then_a_third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    m_ailabs(tmp_path / "corpus")
    Path("c.yaml").write_text(CONFIG)
    play(
        "prepare corpus --out data",
        "validate-data data",
        "extract --config c.yaml --data data --out features",
        "split --config c.yaml --data features --out dump",
    )
    Path("dump/features.json").write_text(Path("features/features.json").read_text())
    play(
        "tokens --config c.yaml --text dump/train/text --check dump/dev/text dump/eval/text --out dump/tokens.txt",
        "stats --data dump/train --out dump/stats.npz",
        "train text2mel --config c.yaml --data dump --exp exp --device cpu",
        "gta --exp exp --data dump",
        "train mel2wav --config c.yaml --data dump --exp exp --device cpu",
    )
    for split in ("train", "dev", "eval"):
        assert set(Path(f"dump/{split}/utt2spk").read_text().split()[1::2]) == {"bob", "eva"}, "each set has every speaker"
    assert (Path("exp/speakers.txt").read_text(), Path("exp/languages.txt").read_text()) == ("bob\neva\n", "de_DE\nen_US\n")
    waves = {}
    for speaker, language in (("eva", "de_DE"), ("bob", "de_DE"), ("eva", "en_US")):
        play(f"say 'two one' --model exp --speaker {speaker} --language {language} --vocoder griffin_lim --out x.wav")
        waves[speaker, language] = Path("x.wav").read_bytes()
    assert len(set(waves.values())) == 3, "speaker and language are heard"
    capsys.readouterr()
    assert main(shlex.split("say 'two one' --model exp --speaker evva --language de_DE --out y.wav")) == 2
    assert capsys.readouterr().err.startswith("error: speaker: unknown to this model, got 'evva'; did you mean 'eva'?")
    assert main(shlex.split("say 'two one' --model exp --speaker eva --out y.wav")) == 2
    assert "language: this model has 2, say which" in capsys.readouterr().err and not Path("y.wav").exists()

    for number in range(8):
        clip(Path(f"mine/{number}.wav"), 150 + number)
    Path("mine/list.txt").write_text("".join(f"{number}.wav|two zwei\n" for number in range(8)))
    reading = "--reader table --reader-conf '{columns: [file, text]}' --language en_US"
    play(f"new-voice ida --audio mine/list.txt --from exp {reading} --set text2mel.max_steps=2 --set mel2wav.max_steps=3")
    said = capsys.readouterr().out.splitlines()
    train = said[-1].removeprefix("toolkit ")
    play(
        train + " --device cpu",
        "say 'two one' --model ida/exp --out ida.wav",
        "gta --exp ida/exp --data ida/dump",
        "train mel2wav --config ida/config.yaml --data ida/dump --exp ida/exp --device cpu",
        "say 'two one' --model ida/exp --out ida2.wav",
        "export-features ida/exp --format npy --out out",
    )
    assert Path("ida/exp/speakers.txt").read_text() == "ida\n"
    assert [path.name for path in Path("ida/exp/mel2wav/checkpoints").iterdir() if path.name.endswith("3")], "the vocoder went on"
    store = FeatureStore(Path("ida/exp/gta/train/feats.scp"))
    assert np.array_equal(np.load(f"out/train/feats/{store.ids[0]}.npy", allow_pickle=False), store.load(store.ids[0]))
