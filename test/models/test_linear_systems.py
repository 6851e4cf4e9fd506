"""Systems whose features are linear spectrograms: Tacotron, and Tacotron 2 without mel bands; cut down from their presets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.audio.mel import log_spectrum, mel_of_linear, stft
from toolkit.bin.main import main
from toolkit.nn.noise import Noise
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.vocoders import VOCODERS

CONF = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf"
TACOTRON, LINEAR = CONF / "paper_tacotron1.yaml", CONF / "paper_linear.yaml"
SMALL = [
    "features={sample_rate: 8000, hop: 20, window: 80, n_fft: 128, n_mels: 5, f_min: 60.0, f_max: 3800.0}",
    "encoder_conf={embedding: 16, prenet: [16, 16], banks: 3, channels: 16, projection: 16, highways: 2, highway: 16, gru: 8}",
    "attention_conf={dim: 16}",
    "decoder_conf={prenet: [16, 16], units: 16}",
    "postnet_conf={banks: 3, channels: 16, projection: 16, highways: 2, highway: 16, gru: 8}",
]


def tacotron(*assignments: str) -> Text2Mel:
    torch.manual_seed(0)
    return Text2Mel(load_system(TACOTRON, [*SMALL, *assignments]), Vocabulary.made_up(12))


@pytest.mark.parametrize("normalise", ["none", "per_bin"])
def test_the_decoder_is_to_make_a_mel_and_the_postnet_the_spectrogram(normalise: str) -> None:
    task = tacotron(f"normalise={normalise}").eval()
    task.model.normaliser.set(torch.full((65,), -2.0), torch.full((65,), 3.0 if normalise == "per_bin" else 1.0))
    batch = task.made_up_batch()
    prediction, targets = task.predict(batch, None)
    expected = mel_of_linear(batch.mel.numpy().reshape(-1, 65), task.system.features).reshape(2, 13, 5)
    torch.testing.assert_close(targets.mel, torch.from_numpy(expected), atol=1e-5, rtol=1e-5)
    assert targets.features is not None
    torch.testing.assert_close(task.model.normaliser.inverse(targets.features), batch.mel)
    assert prediction.output.mel.shape == (2, 13, 5) and prediction.mel.shape == (2, 13, 65)
    assert torch.equal(prediction.mel, task.model.postnet(prediction.output.mel, torch.zeros(2, 13, dtype=torch.bool)))


def test_its_loss_is_that_of_both_spectrograms() -> None:
    """Wang et al. 2017, section 4: absolute errors of both, equally weighted."""
    task = tacotron("losses.stop.weight=0").eval()
    batch = task.made_up_batch()
    noise = Noise.of_micro_batch(*batch.key)
    prediction, targets = task.predict(batch, noise)
    assert targets.features is not None
    expected = (prediction.output.mel - targets.mel).abs().mean() + (prediction.mel - targets.features).abs().mean()
    losses = task.losses(batch, "main")
    assert set(losses) == {"mae"}
    torch.testing.assert_close(losses["mae"], expected)


def test_it_learns_a_batch_by_heart() -> None:
    task = tacotron("losses.stop.weight=0.1")
    batch = task.made_up_batch(utterances=3, frames=20)
    batch = batch._replace(mel=torch.linspace(-4, 2, 65).expand(3, 20, 65) + 0.3 * batch.mel)
    optimiser = torch.optim.Adam(task.parameters(), lr=2e-2)
    values = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = sum(task.losses(batch, "main").values(), torch.zeros(()))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in task.parameters())


def test_text_becomes_a_spectrogram_and_griffin_lim_speech_of_it() -> None:
    task = tacotron().eval()
    with torch.inference_mode():
        spoken = task.generate(torch.tensor([[2, 3, 4], [5, 6, 0]]), torch.tensor([3, 2]), Noise.of_rows([1, 2]))
        wave = Mel2Wav(task.system).vocoder.generate(spoken.mel, spoken.output.lengths, Noise.of_rows([1, 2]))
    frames = int(spoken.output.lengths.max())
    assert spoken.mel.shape[0] == 2 and spoken.mel.shape[2] == 65 and frames % 2 == 0
    assert wave[:, : frames * 20].isfinite().all() and wave.any()


@pytest.mark.parametrize(("preset", "millions"), [(TACOTRON, 6.98), (LINEAR, 32.59)])
def test_parameters_of_the_presets_with_70_symbols(preset: Path, millions: float) -> None:
    with torch.device("meta"):
        task = Text2Mel(load_system(preset), Vocabulary.made_up(70))
    assert round(sum(parameter.numel() for parameter in task.model.parameters()) / 1e6, 2) == millions


def test_wavenet_is_conditioned_on_all_bins() -> None:
    system = load_system(LINEAR)
    assert system.condition_dim == 1025 and load_system(CONF / "paper.yaml").condition_dim == 80
    with torch.device("meta"):
        assert Mel2Wav(system).vocoder.upsampling.layers[0].in_channels == 1025


@pytest.mark.parametrize("assignments", [[str(TACOTRON)], [str(LINEAR)], [str(LINEAR), "--set", "vocoder=griffin_lim"]])
def test_the_presets_take_a_step(assignments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *assignments]) == 0
    assert "fits" in capsys.readouterr().out


def test_a_mel_is_refused_where_the_postnet_makes_a_linear_spectrogram(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(TACOTRON), "--set", "features.kind=mel"]) == 2
    assert "cbhg_conf: the postnet makes a linear spectrogram, features.kind is 'mel'; linear" in capsys.readouterr().err


def test_griffin_lim_hears_from_a_linear_spectrum_what_the_bands_of_a_mel_have_mixed() -> None:
    """Section 3.3.2 of Tacotron 2: a linear spectrogram throws only the phase away."""
    linear = load_system(TACOTRON).features
    time = np.arange(linear.sample_rate // 2) / linear.sample_rate
    wave = (0.1 * sum(np.sin(2 * np.pi * 210 * k * time) for k in range(1, 20))).astype(np.float32)
    true = np.abs(stft(wave, linear))
    errors = []
    for settings in (linear, replace(linear, kind="mel")):
        frames = log_spectrum(wave, settings)
        vocoder = VOCODERS.part("griffin_lim", iterations=30, momentum=0.0, power=1.0).build(features=settings)
        spoken = vocoder.generate(torch.from_numpy(frames)[None], torch.tensor([len(frames)]), None)[0].numpy()
        errors.append(float(np.linalg.norm(np.abs(stft(spoken, linear)) - true) / np.linalg.norm(true)))
    assert errors[0] < 0.3 and errors[0] < 0.6 * errors[1], errors
