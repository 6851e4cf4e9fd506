"""The vocoder without training."""

import numpy as np
import pytest
import torch

from toolkit.audio.mel import MelSettings, log_mel
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.vocoders.base import VOCODERS
from toolkit.vocoders.griffin_lim import GriffinLim

FEATURES = MelSettings(8000, 100, 400, 512, 40, 60.0, 3800.0, 1e-3, band_norm="sum")


def mels() -> torch.Tensor:
    time = np.arange(3000) / 8000
    waves = [0.2 * np.sign(np.sin(2 * np.pi * hertz * time)) for hertz in (110, 170)]
    return torch.from_numpy(np.stack([log_mel(wave.astype(np.float32), FEATURES) for wave in waves]))


def test_speaks_the_mel_at_its_level():
    wave = GriffinLim(FEATURES, power=1.0).generate(mels(), torch.tensor([30, 30]), None)
    assert wave.shape == (2, 3000)
    again = np.stack([log_mel(row.numpy(), FEATURES) for row in wave])
    assert np.abs(again - mels().numpy())[:, 4:-4].mean() < 0.35


def test_rows_are_alone_and_zero_past_their_length():
    vocoder = GriffinLim(FEATURES, iterations=5)
    together = vocoder.generate(mels(), torch.tensor([30, 12]), Noise.of_rows([7, 8]))
    assert not together[1, 1200:].any() and together[1, :1200].any()
    alone = vocoder.generate(mels()[1:, :12], torch.tensor([12]), Noise.of_rows([8]))
    torch.testing.assert_close(together[1:, :1200], alone, rtol=0, atol=0)
    other = vocoder.generate(mels()[1:, :12], torch.tensor([12]), Noise.of_rows([9]))
    assert not torch.equal(alone, other)
    assert not vocoder.generate(mels(), torch.tensor([30, 0]), None)[1].any()


def test_stream_equals_generate():
    vocoder = GriffinLim(FEATURES, iterations=5)
    whole = vocoder.generate(mels()[:1], torch.tensor([30]), None)
    chunks = [mels()[:1, :7], mels()[:1, 7:20], mels()[:1, 20:]]
    torch.testing.assert_close(torch.cat(list(vocoder.stream(chunks, None)), 1), whole, rtol=0, atol=0)


def test_peak_is_reached():
    wave = GriffinLim(FEATURES, iterations=5, peak=0.7).generate(mels(), torch.tensor([30, 30]), None)
    torch.testing.assert_close(wave.abs().amax(1), torch.tensor([0.7, 0.7]))


def test_there_is_nothing_to_train():
    vocoder = GriffinLim(FEATURES)
    assert not vocoder.trainable and not list(vocoder.parameters())
    with pytest.raises(ConfigError, match="nothing to train"):
        vocoder.losses(None, "main")


@pytest.mark.parametrize("knobs", [{"iterations": 0}, {"momentum": -0.1}, {"power": 0.0}, {"peak": 0.0}, {"peak": 2.0}])
def test_wrong_knobs_are_refused(knobs):
    with pytest.raises(ConfigError, match=next(iter(knobs))):
        GriffinLim(FEATURES, **knobs)


def test_is_built_from_what_a_builder_offers():
    part = VOCODERS.part("griffin_lim", iterations=3)
    vocoder = part.build(condition_dim=40, hop=100, sample_rate=8000, features=FEATURES)
    assert vocoder.generate(mels(), torch.tensor([30, 30]), None).shape == (2, 3000)
