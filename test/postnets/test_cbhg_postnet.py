"""The post-processing net of Tacotron, and no postnet at all."""

import dataclasses

import numpy as np
import pytest
import torch

from toolkit.audio.mel import MelSettings, log_mel, log_spectrum, mel_of_linear
from toolkit.errors import ConfigError
from toolkit.postnets import POSTNETS, CBHGPostnet
from toolkit.testing import FEATURES

LINEAR = dataclasses.replace(FEATURES, kind="linear")


def built(features: MelSettings = LINEAR) -> CBHGPostnet:
    torch.manual_seed(0)
    postnet = POSTNETS.part("cbhg", banks=3, channels=4, projection=4, highway=4, gru=3).build(n_mels=features.bins, features=features)
    assert isinstance(postnet, CBHGPostnet)
    return postnet.eval()


@pytest.mark.parametrize("base", ["e", "10"])
@pytest.mark.parametrize("norm", ["none", "slaney"])
def test_the_decoders_mel_is_that_of_the_definition(base: str, norm: str) -> None:
    settings = dataclasses.replace(LINEAR, log_base=base, band_norm=norm, floor=1e-5)
    wave = (np.random.default_rng(1).standard_normal(4000) * np.linspace(0, 0.3, 4000)).astype(np.float32)
    linear = log_spectrum(wave, settings)
    made = built(settings).frames_of(torch.from_numpy(linear)[None])[0]
    assert made.dtype == torch.float32 and made.shape == (200, 5)
    torch.testing.assert_close(made, torch.from_numpy(mel_of_linear(linear, settings)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made, torch.from_numpy(log_mel(wave, settings)), atol=2e-2, rtol=0)  # bins clipped at the floor differ


def test_the_mel_of_the_targets_is_exact_under_autocast() -> None:
    postnet, frames = built(), torch.randn(1, 6, LINEAR.bins)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(postnet.frames_of(frames), postnet.frames_of(frames.clone()))
        made = postnet.frames_of(frames)
    assert torch.equal(made, postnet.frames_of(frames))


def test_features_that_are_no_linear_spectrogram_are_refused() -> None:
    with pytest.raises(ConfigError, match="linear spectrogram, features.kind is 'mel'; linear, or postnet conv"):
        built(FEATURES)


def test_every_frame_depends_on_every_other() -> None:
    postnet, mel = built().double(), torch.randn(1, 12, 5, dtype=torch.float64)
    mask = torch.zeros(1, 12, dtype=torch.bool)
    later, earlier = mel.clone(), mel.clone()
    later[:, -1] += 5.0
    earlier[:, 0] += 5.0
    before = postnet(mel, mask)
    assert (postnet(later, mask)[0, 0] != before[0, 0]).any() and (postnet(earlier, mask)[0, -1] != before[0, -1]).any()


def test_the_bands_are_no_weights() -> None:
    postnet = built()
    assert "bank" in dict(postnet.named_buffers()) and "bank" not in postnet.state_dict()


def test_the_published_sizes() -> None:
    """Tacotron, table 1, with the 1025 bins of 2048 points."""
    features = MelSettings(kind="linear")
    with torch.device("meta"):
        postnet = POSTNETS.part("cbhg").build(n_mels=features.bins, features=features)
    assert len(postnet.cbhg.bank) == 8 and postnet.linear.weight.shape == (1025, 256)
    shapes = [tuple(layer.conv.weight.shape) for layer in postnet.cbhg.projections]
    assert shapes == [(256, 8 * 128, 3), (80, 256, 3)]
    assert postnet.frame_dim(features) == 80 and not postnet.residual


def test_without_a_postnet_nothing_is_added() -> None:
    postnet = POSTNETS.part("none").build(n_mels=5, features=FEATURES)
    assert not list(postnet.parameters()) and postnet.residual and postnet.lookahead == 0
    mel = torch.randn(2, 4, 5)
    assert torch.equal(mel + postnet(mel, torch.zeros(2, 4, dtype=torch.bool)), mel)
