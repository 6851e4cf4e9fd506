"""The decoder without attention: targets by hand, every body and upsampling, and that it learns planted speech."""

import math
from typing import Any

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.decoders import DECODERS, NonAttentiveDecoder
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.decoders.non_attentive_bodies import BodySizes, body_of
from toolkit.errors import ConfigError
from toolkit.nn.masks import padding_mask
from toolkit.testing import check

SMALL = {"range_lstm": 4, "duration_lstm": 8, "layers": 2, "width": 8, "kernel_size": 3, "feed_forward": 12, "predictor": 8, "dropout": 0.0}
BOTH = {"pitch": True, "energy": True}
WIDTH, MELS = 6, 5
LENGTHS = torch.tensor([4, 3])
MASK = padding_mask(LENGTHS)
DURATIONS = torch.tensor([[2, 0, 3, 1], [1, 3, 1, 0]])
FRAMES = DURATIONS.sum(1)
F0 = torch.tensor([[0.0, 300.0, 150.0, 0.0, 75.0, 0.0], [150.0, 300.0, 300.0, 75.0, 0.0, 0.0]])
ENERGY = torch.tensor([[1.0, 3.0, 2.0, 2.0, 5.0, 0.0], [4.0, 1.0, 1.0, 1.0, 7.0, 9.0]])
RULE, FAR = StopAtProbability(), torch.tensor([99, 99])


def built(**knobs: Any) -> NonAttentiveDecoder:
    torch.manual_seed(3)
    part = DECODERS.part("non_attentive", **(SMALL | knobs))
    decoder = part.build(memory_dim=WIDTH, n_mels=MELS, attention=ATTENTIONS.part("content"), reduction=1)
    assert isinstance(decoder, NonAttentiveDecoder)
    return decoder.eval()


def memory() -> torch.Tensor:
    torch.manual_seed(4)
    return torch.randn(2, 4, WIDTH).masked_fill(MASK[..., None], 0.0)


def targets() -> Targets:
    torch.manual_seed(5)
    mel = torch.randn(2, 6, MELS).masked_fill(padding_mask(FRAMES, 6)[..., None], 0.0)
    return Targets(mel, FRAMES, DURATIONS, F0, ENERGY)


@pytest.mark.parametrize("body", ["conv", "lstm", "transformer"])
@pytest.mark.parametrize("upsampling", ["gaussian", "repeat"])
def test_every_body_and_upsampling_keeps_the_contract(body: str, upsampling: str) -> None:
    for asked in ({}, BOTH):
        check(DECODERS.part("non_attentive", **SMALL, body=body, upsampling=upsampling, **asked), ATTENTIONS.part("content", dim=4))


def test_it_needs_what_it_is_asked_to_predict() -> None:
    assert built().needs == ("durations",) and built(energy=True).needs == ("durations", "energy")
    assert built(**BOTH).needs == ("durations", "f0", "energy")
    for lacking, message in ({"durations": None}, "durations"), ({"f0": None}, "pitch"), ({"energy": None}, "energy"):
        with pytest.raises(ValueError, match=f"taught with {message} of the recording, got none"):
            built(**BOTH)(memory(), MASK, targets()._replace(**lacking), None)


def test_frames_are_as_many_as_the_recording_has() -> None:
    output = built()(memory(), MASK, targets(), None)
    assert output.mel.shape == (2, 6, MELS) and output.mel[0, 5].all() and not output.mel[1, 5].any()
    assert output.weights is not None and not output.weights[1, 5].any()
    torch.testing.assert_close(output.weights[0].sum(1), torch.ones(6))
    assert [(row > 0).nonzero()[0].item() for row in output.stop_logits] == [5, 4]
    repeated = built(upsampling="repeat")(memory(), MASK, targets(), None)
    assert repeated.weights is not None and torch.equal(repeated.weights.sum(1).long(), DURATIONS)


def test_a_frame_is_told_where_in_its_symbol_it_stands() -> None:
    """Without neighbours, and of the same symbol, only that can make frames differ."""
    output = built(upsampling="repeat", kernel_size=1)(memory(), MASK, targets(), None)
    first, second, third = output.mel[0, 2:5]
    assert not torch.allclose(first, second) and not torch.allclose(second, third) and not torch.allclose(first, third)


def test_how_far_a_body_sees() -> None:
    """Convolutions: layers (kernel_size - 1) / 2 frames. Self-attention: all frames, and it tells equal ones apart by their places."""
    sizes, mask = BodySizes(2, 8, 3, 2, 12, 0.0), torch.zeros(1, 9, dtype=torch.bool)
    x = torch.ones(1, 9, 8)
    for name, reach in ("conv", 2), ("lstm", 8), ("transformer", 8):
        torch.manual_seed(0)
        body, later = body_of(name, sizes).eval(), x.clone()
        later[:, 8] += torch.arange(8)
        changed = (body(x, mask) - body(later, mask))[0].abs().amax(1) > 0
        assert changed.tolist() == [t >= 8 - reach for t in range(9)], name
    torch.manual_seed(0)
    made = body_of("transformer", sizes._replace(kernel_size=1)).eval()(x, mask)[0]
    assert not torch.allclose(made[3], made[4])


def test_convolutions_have_a_way_around() -> None:
    body, x = body_of("conv", BodySizes(2, 8, 3, 2, 12, 0.0)), torch.randn(1, 9, 8)
    for parameter in body.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(body(x, torch.zeros(1, 9, dtype=torch.bool)), x)


def test_pitch_and_energy_of_symbols_by_hand() -> None:
    """Pitch: mean ln(F0 / 150 Hz) of voiced frames; energy: ln(1 + mean); both 0 for a symbol of no frames."""
    extra = built(**BOTH)(memory(), MASK, targets(), None).extra
    octave = math.log(2.0)
    pitch = [[octave, 0.0, (0.0 - octave) / 2, 0.0], [0.0, (2 * octave - octave) / 3, 0.0, 0.0]]
    torch.testing.assert_close(extra["true_pitch"], torch.tensor(pitch))
    energy = [[2.0, 0.0, 3.0, 0.0], [4.0, 1.0, 7.0, 0.0]]
    torch.testing.assert_close(extra["true_energy"], torch.log1p(torch.tensor(energy)))


def test_losses_by_hand() -> None:
    decoder, true = built(**BOTH, duration_weight=2.0, pitch_weight=3.0, energy_weight=4.0), targets()
    output = decoder(memory(), MASK, true, None)
    losses, extra, valid = decoder.losses(output, true), output.extra, ~MASK
    assert set(losses) == {"duration", "pitch", "energy"} and set(built().losses(output, true)) == {"duration"}
    torch.testing.assert_close(losses["duration"], 2 * (extra["duration"][valid] - DURATIONS[valid] / 20).square().sum())
    for name, weight in (("pitch", 3), ("energy", 4)):
        torch.testing.assert_close(losses[name], weight * (extra[name][valid] - extra[f"true_{name}"][valid]).square().sum())


def test_frames_follow_the_pitch_of_the_recording_and_predictions_do_not() -> None:
    decoder = built(**BOTH)
    output, higher = (decoder(memory(), MASK, targets()._replace(f0=f0), None) for f0 in (F0, 1.5 * F0))
    assert not torch.allclose(output.mel, higher.mel) and torch.equal(output.extra["pitch"], higher.extra["pitch"])


@pytest.mark.parametrize("body", ["conv", "transformer"])
def test_it_learns_planted_speech(body: str) -> None:
    """Free running then has the durations, pitch and frames of the recording."""
    decoder, encoded, true = built(**BOTH, body=body, predictor_dropout=0.0, width=16), memory(), targets()
    optimiser = torch.optim.Adam(decoder.parameters(), 1e-2)
    for _ in range(150):
        output = decoder(encoded, MASK, true, None)
        optimiser.zero_grad()
        (sum(decoder.losses(output, true).values()) + (output.mel - true.mel).square().sum()).backward()
        optimiser.step()
    with torch.no_grad():
        free = decoder.generate(encoded, MASK, FAR, RULE, None)
    assert free.lengths.tolist() == FRAMES.tolist() and free.stopped_by == ["stop", "stop"]
    assert float((free.mel - true.mel).abs().mean()) < 0.15 * float(true.mel.abs().mean())


def long_winded(**knobs: Any) -> NonAttentiveDecoder:
    """Every symbol lasts 10 frames."""
    decoder = built(**knobs)
    torch.nn.init.zeros_(decoder.duration_model.last.weight)
    torch.nn.init.constant_(decoder.duration_model.last.bias, 10 / 20)
    return decoder


def test_the_limit_cuts_and_frames_are_handed_out() -> None:
    seen: list[torch.Tensor] = []
    output = long_winded().generate(memory(), MASK, torch.tensor([25, 99]), RULE, None, seen.append)
    assert output.lengths.tolist() == [25, 30] and output.stopped_by == ["limit", "stop"]
    assert torch.equal(torch.cat(seen, 1), output.mel) and not output.mel[0, 25:].any()


def test_a_text_is_never_without_a_frame() -> None:
    decoder = built()
    torch.nn.init.constant_(decoder.duration_model.last.bias, -5.0)
    output = decoder.generate(memory(), MASK, FAR, RULE, None)
    assert output.lengths.tolist() == [1, 1] and bool(output.mel.isfinite().all())


def test_speed_shortens_every_symbol() -> None:
    assert long_winded(speed=2.0).generate(memory(), MASK, FAR, RULE, None).lengths.tolist() == [20, 15]


def test_pitch_moves_by_semitones_and_energy_by_factors() -> None:
    """Beside a decoder whose predictors say so from the start."""
    plain, shifted = long_winded(**BOTH), long_winded(**BOTH, pitch_shift=12.0)
    expected = plain.generate(memory(), MASK, FAR, RULE, None).mel
    made = shifted.generate(memory(), MASK, FAR, RULE, None).mel
    assert not torch.allclose(made, expected)
    with torch.no_grad():
        plain.predictors["pitch"].last.bias += math.log(2.0)  # type: ignore[union-attr,operator]
    torch.testing.assert_close(plain.generate(memory(), MASK, FAR, RULE, None).mel, made)
    scaled, sure = long_winded(**BOTH, energy_scale=3.0), long_winded(**BOTH)
    for decoder, energy in ((scaled, 2.0), (sure, 6.0)):
        last = decoder.predictors["energy"].last
        torch.nn.init.zeros_(last.weight)  # type: ignore[union-attr,arg-type]
        torch.nn.init.constant_(last.bias, math.log1p(energy))  # type: ignore[union-attr,arg-type]
    made, expected = (decoder.generate(memory(), MASK, FAR, RULE, None).mel for decoder in (scaled, sure))
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"upsampling": "gaussiann"}, "upsampling: unknown, got 'gaussiann'; did you mean 'gaussian'"),
        ({"body": "convs"}, "body: unknown, got 'convs'; did you mean 'conv'"),
        ({"body": "lstm", "width": 7}, "width: .* must be even, got 7; nearest: 8"),
        ({"body": "transformer", "heads": 3}, "heads: must divide units = 8, got 3"),
        ({"kernel_size": 4}, "kernel_size: must be odd, got 4; nearest: 5"),
        ({"layers": 0}, "layers: must be at least 1, got 0"),
        ({"range_lstm": 7}, "range_lstm: .* must be even, got 7; nearest: 8"),
        ({"speed": 0.0}, "speed: must be above 0, got 0; 1 changes nothing"),
        ({"pitch_shift": 2.0}, "pitch_shift: this decoder predicts no pitch, got 2; train one with pitch: true"),
        ({"energy_scale": 2.0, "pitch": True}, "energy_scale: this decoder predicts no energy, got 2"),
    ],
)
def test_what_makes_no_sense_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(**knobs)


def test_it_makes_every_frame() -> None:
    with pytest.raises(ConfigError, match="reduction must be 1, got 2"):
        DECODERS.part("non_attentive", **SMALL).build(memory_dim=WIDTH, n_mels=MELS, reduction=2)
