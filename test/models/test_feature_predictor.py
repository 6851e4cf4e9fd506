"""The feature predictor: how its parts are joined."""

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.decoders import DECODERS
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.encoders import ENCODERS
from toolkit.models.conditioning import Conditions
from toolkit.models.feature_predictor import FeaturePredictor
from toolkit.nn.noise import Noise
from toolkit.postnets import POSTNETS
from toolkit.testing import FEATURES


@pytest.fixture
def model() -> FeaturePredictor:
    torch.manual_seed(0)
    encoder = ENCODERS.part("conv_blstm", embedding=6, channels=6, lstm=6)
    decoder, attention = DECODERS.part("tacotron2", prenet=(6,), lstm=6), ATTENTIONS.part("content", dim=4)
    postnet = POSTNETS.part("conv", channels=6, layers=2)
    return FeaturePredictor("abcdefghi", FEATURES, 2, encoder, decoder, postnet, attention).double().eval()


def test_frames_are_the_decoders_plus_the_postnets_residual_and_zero_on_padding(model: FeaturePredictor) -> None:
    tokens, lengths = torch.tensor([[2, 3, 4], [5, 6, 0]]), torch.tensor([3, 2])
    targets = Targets(torch.randn(2, 8, 5, dtype=torch.float64), torch.tensor([8, 5]))
    prediction = model(tokens, lengths, targets, Conditions(), None)
    before, mask = prediction.output.mel, torch.arange(8)[None] >= targets.lengths[:, None]
    assert torch.equal(prediction.mel, before + model.postnet(before, mask))
    assert not before[1, 5:].any() and not prediction.mel[1, 5:].any()
    assert before[1, :5].any() and not torch.equal(prediction.mel, before)
    unmasked = prediction.output.extra["unmasked"]
    assert torch.equal(unmasked[1, :5], before[1, :5]) and unmasked[1, 5:].any()


def test_free_running_frames_after_the_stop_are_zero(model: FeaturePredictor) -> None:
    tokens, lengths = torch.tensor([[2, 3, 4], [5, 6, 0]]), torch.tensor([3, 2])
    prediction = model.generate(tokens, lengths, torch.tensor([7, 3]), StopAtProbability(2.0), Conditions(), Noise.of_rows([1, 2]))
    assert prediction.output.lengths.tolist() == [7, 3]
    assert prediction.mel[1, :3].any() and not prediction.mel[1, 3:].any()


def test_a_condition_without_a_place_is_refused(model: FeaturePredictor) -> None:
    with pytest.raises(ValueError, match="not conditioned, got speaker"):
        model.encode(torch.tensor([[2]]), torch.tensor([1]), Conditions(speaker=torch.tensor([0])), None)


def test_scheduled_teacher_forcing_feeds_predictions(model: FeaturePredictor) -> None:
    memory, mask = torch.randn(1, 3, 6, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.bool)
    targets = Targets(torch.randn(1, 8, 5, dtype=torch.float64), torch.tensor([8]))
    never = model.decoder(memory, mask, targets, Noise.of_rows([1]), teacher=0.0)
    free = model.decoder.generate(memory, mask, torch.tensor([8]), StopAtProbability(2.0), Noise.of_rows([1]))
    assert torch.allclose(never.mel, free.mel)
    assert not torch.allclose(model.decoder(memory, mask, targets, Noise.of_rows([1])).mel, free.mel)
