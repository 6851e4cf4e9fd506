"""Systems without attention from their presets: losses, ground-truth alignment and speech."""

from pathlib import Path

import pytest
import torch

from toolkit.errors import ConfigError
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary

CONF = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf"
PRESETS = {
    "fastspeech2": [
        "encoder_conf={units: 8, layers: 1, feed_forward: 8}",
        "decoder_conf={layers: 1, width: 8, feed_forward: 8, predictor: 8}",
    ],
    "mini_non_attentive": [
        "encoder_conf={embedding: 8, channels: 8, lstm: 8}",
        "decoder_conf={layers: 1, width: 8}",
        "postnet_conf.channels=8",
    ],
}
LOSSES = {"fastspeech2": {"mae", "duration", "pitch", "energy"}, "mini_non_attentive": {"mse", "mae", "duration"}}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_aligns_and_speaks(name: str) -> None:
    torch.manual_seed(0)
    task = Text2Mel(load_system(CONF / f"{name}.yaml", PRESETS[name]), Vocabulary.build([["HH", "AH0", "L", "OW1"]]))
    batch = task.made_up_batch()
    losses = task.losses(batch, "main")
    assert set(losses) == LOSSES[name]
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in task.parameters())
    task.eval()
    with torch.no_grad():
        forced = task.force(batch)
        assert forced.mel.shape == batch.mel.shape and torch.equal(forced.output.lengths, batch.mel_lengths)
        free = task.generate(batch.tokens, batch.token_lengths, None)
    assert free.output.stopped_by == ["stop", "stop"] and free.mel.shape[1] == int(free.output.lengths.max()) >= 1
    assert free.output.weights is not None and free.output.weights.shape == (2, free.mel.shape[1], batch.tokens.shape[1])


def test_features_that_are_not_extracted_are_refused_at_once() -> None:
    system = load_system(CONF / "fastspeech2.yaml", [*PRESETS["fastspeech2"], "extras=[f0]"])
    with pytest.raises(ConfigError, match=r"extras: decoder 'non_attentive' is trained on energy, got \['f0'\]; set \[f0, energy\]"):
        Text2Mel(system, Vocabulary.build([["HH"]]))


def test_published_sizes_of_fastspeech_2() -> None:
    system = load_system(CONF / "fastspeech2.yaml")
    encoder, decoder = system.encoder.knobs, system.decoder.knobs
    assert (encoder["units"], encoder["heads"], encoder["layers"]) == (256, 2, 4) == (decoder["width"], decoder["heads"], decoder["layers"])
    assert decoder["kernel_size"] == 9 and decoder["feed_forward"] == 1024 and decoder["predictor_dropout"] == 0.5
    assert system.text2mel.batch.global_ == 48 and system.text2mel.max_steps == 160_000
    peak = 256**-0.5 * 4000**-0.5  # Vaswani et al. 2017, equation 3
    assert system.text2mel.optimiser.knobs["learning_rate"] == pytest.approx(peak, rel=0.02)
