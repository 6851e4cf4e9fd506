"""The linguistic decoder: conditions by hand, and that it learns planted durations and melodies."""

import math
from typing import Any

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.audio.mel import MelSettings
from toolkit.decoders import DECODERS, LinguisticDecoder
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.decoders.linguistic import spread
from toolkit.encoders import LinguisticEncoder
from toolkit.errors import ConfigError
from toolkit.nn.duration_model import DurationModel
from toolkit.nn.f0_model import F0Model
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.text.linguistic import WIDTH
from toolkit.text.vocabulary import Vocabulary

TEXTS = [["HH", "AH0", "L", "OW1", ","], ["W", "ER1", "L", "D", " ", "Y", "EH1", "S"]]
VOCABULARY = Vocabulary.build(TEXTS)
IDS = [torch.tensor(VOCABULARY.encode(text)) for text in TEXTS]
TOKENS, LENGTHS = torch.nn.utils.rnn.pad_sequence(IDS, batch_first=True), torch.tensor([6, 9])
MASK = padding_mask(LENGTHS)
DURATIONS = torch.tensor([[2, 3, 1, 6, 0, 2, 0, 0, 0], [1, 5, 2, 1, 0, 2, 4, 3, 0]])
FRAMES = DURATIONS.sum(1)
RULE = StopAtProbability()


def built(**knobs: Any) -> LinguisticDecoder:
    torch.manual_seed(3)
    part = DECODERS.part("linguistic", **({"duration_lstm": 16, "f0_layers": 4, "f0_channels": 16, "f0_lag": 3} | knobs))
    decoder = part.build(memory_dim=WIDTH, n_mels=80, attention=ATTENTIONS.part("content"), reduction=1)
    assert isinstance(decoder, LinguisticDecoder)
    return decoder


def memory() -> torch.Tensor:
    encoded: torch.Tensor = LinguisticEncoder(VOCABULARY.symbols)(TOKENS, LENGTHS)
    return encoded


def targets() -> Targets:
    """Voiced phones at 100, 110, ... Hz by their place; unvoiced H, S and pauses."""
    hertz = torch.tensor([[0, 110, 120, 130, 0, 0, 0, 0, 0], [100, 110, 120, 130, 0, 150, 160, 0, 0]], dtype=torch.float32)
    f0 = torch.zeros(2, int(FRAMES.max()))
    for row in range(2):
        f0[row, : FRAMES[row]] = hertz[row].repeat_interleave(DURATIONS[row])
    return Targets(torch.zeros(2, int(FRAMES.max()), 80), FRAMES, DURATIONS, f0)


def test_a_frame_by_hand() -> None:
    """Frame 3 of row 0 is the second of the three frames of AH0."""
    decoder, encoded = built().eval(), memory()
    output = decoder(encoded, MASK, targets(), None)
    assert output.mel.shape == (2, 18, WIDTH + 5) and decoder.condition_dim(MelSettings()) == WIDTH + 5
    frame = output.mel[0, 3]
    assert torch.equal(frame[:WIDTH], encoded[0, 1])
    expected = [2 / 3, 2 / 3, math.log(4) / math.log(201), math.log(110 / 150), 1.0]
    torch.testing.assert_close(frame[WIDTH:], torch.tensor(expected))
    first = output.mel[0, 0, WIDTH:]  # of H, unvoiced: the first voiced value holds
    torch.testing.assert_close(first, torch.tensor([1 / 2, 1.0, math.log(3) / math.log(201), math.log(110 / 150), 0.0]))
    assert not output.mel[0, 14:].any() and output.mel[1, 17].any()
    assert output.weights is not None and torch.equal(output.weights[:, :18].sum(1).long(), DURATIONS)
    assert [(row > 0).nonzero()[0].item() for row in output.stop_logits] == [13, 17]


def test_losses_by_hand() -> None:
    decoder = built(duration_weight=2.0, f0_weight=3.0, voicing_weight=4.0).eval()
    true = targets()
    output = decoder(memory(), MASK, true, None)
    losses, extra = decoder.losses(output, true), output.extra
    valid, frames = ~MASK, ~padding_mask(FRAMES)
    durations = (extra["durations"][valid] - DURATIONS[valid] / 20).square().sum()
    torch.testing.assert_close(losses["duration"], 2 * durations)
    f0, voiced = output.mel[..., -2][frames], output.mel[..., -1][frames]
    torch.testing.assert_close(losses["f0"], 3 * (extra["f0"][frames] - f0).square().sum())
    entropy = torch.nn.functional.binary_cross_entropy(torch.sigmoid(extra["voicing"][frames]), voiced, reduction="sum")
    torch.testing.assert_close(losses["voicing"], 4 * entropy)


def test_every_symbol_for_as_long_as_it_lasts() -> None:
    spoken, weights = spread(torch.eye(3)[None], torch.tensor([[1, 0, 2]]), 5)
    assert weights[0].argmax(1).tolist() == [0, 2, 2, 2, 2]
    assert torch.equal(spoken[0, :3, :3], torch.eye(3)[[0, 2, 2]])


def test_the_limit_changes_nothing_before_it() -> None:
    decoder = built().eval()
    whole, cut = (decoder.generate(memory(), MASK, torch.tensor([limit, 99]), RULE, None) for limit in (99, 3))
    assert int(whole.lengths[0]) > 3 and torch.equal(whole.mel[0, :3], cut.mel[0, :3]) and not cut.mel[0, 3:].any()


def test_it_learns_planted_durations_and_melodies() -> None:
    decoder, encoded, true = built(), memory(), targets()
    optimiser = torch.optim.Adam(decoder.parameters(), 1e-2)
    for step in range(150):
        losses = decoder.losses(decoder(encoded, MASK, true, Noise.of_micro_batch(1, step, 0)), true)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    decoder.eval()
    with torch.no_grad():
        natural, free = decoder(encoded, MASK, true, None), decoder.generate(encoded, MASK, torch.tensor([99, 99]), RULE, None)
    assert free.lengths.tolist() == FRAMES.tolist() and free.stopped_by == ["stop", "stop"]
    assert free.weights is not None and torch.equal(free.weights.sum(1).long(), DURATIONS)
    assert torch.equal(free.mel[..., : WIDTH + 3], natural.mel[..., : WIDTH + 3])
    assert (free.mel[..., -1] == natural.mel[..., -1]).float().mean() > 0.95
    assert (free.mel[..., -2] - natural.mel[..., -2]).abs().mean() < 0.05


def test_what_lasts_long_or_not_at_all_lasts_its_mean() -> None:
    """So that speech is as long as the recordings; the least squared error of logarithms would be near nothing."""
    torch.manual_seed(0)
    model = DurationModel(3, 8)
    contexts, lengths, true = torch.ones(8, 1, 3), torch.ones(8, dtype=torch.long), torch.tensor([[0.0], [40.0]] * 4)
    optimiser = torch.optim.Adam(model.parameters(), 3e-2)
    for _ in range(60):
        optimiser.zero_grad()
        (model(contexts, lengths) - true / 20).square().sum().backward()
        optimiser.step()
    assert model.frames(contexts, lengths, torch.zeros(8, 1)).tolist() == [[20]] * 8


def test_phones_last_a_frame_at_least_and_the_limit_cuts() -> None:
    decoder = built().eval()
    torch.nn.init.zeros_(decoder.duration_model.last.weight)
    torch.nn.init.constant_(decoder.duration_model.last.bias, -5.0)
    seen: list[torch.Tensor] = []
    output = decoder.generate(memory(), MASK, torch.tensor([3, 99]), RULE, None, seen.append)
    assert output.lengths.tolist() == [3, 7] and output.stopped_by == ["limit", "stop"]
    assert output.weights is not None
    assert output.weights.sum(1).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 1, 1, 1, 0]]
    assert torch.equal(torch.cat(seen, 1), output.mel)


@pytest.mark.parametrize("lag", [1, 3, 30])
def test_frame_by_frame_equals_all_at_once(lag: int) -> None:
    """Free running is forward on its own past, in float64 to rounding."""
    torch.manual_seed(5)
    model = F0Model(7, layers=6, cycles=2, channels=8, lag=lag).double()
    contexts = torch.randn(3, 20, 7, dtype=torch.float64)
    f0, voiced = model.generate(contexts)
    again, logits = model(contexts, torch.stack([f0, voiced], 2))
    torch.testing.assert_close(again, f0)
    assert torch.equal((logits > 0).double(), voiced)


def test_a_frame_depends_on_a_melody_that_is_a_lag_behind() -> None:
    torch.manual_seed(5)
    model = F0Model(7, layers=6, cycles=2, channels=8, lag=3)
    contexts, melody = torch.randn(1, 20, 7), torch.randn(1, 20, 2)
    before = model(contexts, melody)[0]
    melody[:, 12:] += 1.0
    after = model(contexts, melody)[0]
    assert torch.equal(before[:, :15], after[:, :15]) and not torch.equal(before[:, 15], after[:, 15])


@pytest.mark.parametrize(
    ("wired", "knobs", "message"),
    [
        ({"memory_dim": 512}, {}, f"reads a memory of {WIDTH} values, got 512; set encoder: linguistic"),
        ({"reduction": 2}, {}, "reduction must be 1, got 2"),
        ({}, {"duration_lstm": 7}, "duration_lstm: .* must be even, got 7; nearest: 8"),
        ({}, {"f0_lag": 0}, "f0_lag: frames, must be at least 1, got 0"),
        ({}, {"f0_cycles": 5}, "f0_cycles: must divide f0_layers = 12, got 5"),
    ],
)
def test_what_does_not_fit_is_refused(wired: dict[str, int], knobs: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DECODERS.part("linguistic", **knobs).build(**({"memory_dim": WIDTH, "reduction": 1} | wired))
