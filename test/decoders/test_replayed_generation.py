"""Free running in blocks equals free running step by step; on a GPU the blocks are graphs."""

import pytest
import torch
from torch import Tensor

from toolkit.attentions import ATTENTIONS
from toolkit.decoders import replayed_generation
from toolkit.decoders.base import StepDecoder, StopAtProbability
from toolkit.decoders.replayed_generation import HeldNoise
from toolkit.decoders.tacotron2 import Tacotron2Decoder
from toolkit.nn.attention_window import Window
from toolkit.nn.execution import Execution
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise


def build(attention: str, reduction: int, wiring: str, device: str) -> Tacotron2Decoder:
    torch.manual_seed(3)
    part = ATTENTIONS.part(attention)
    decoder = Tacotron2Decoder(6, 5, part, reduction, prenet=(7, 8), lstm=9, wiring=wiring).eval().to(device)
    decoder.execution = Execution(native=False)
    return decoder


@pytest.mark.parametrize("reduction", [1, 3])
@pytest.mark.parametrize(
    ("attention", "wiring"), [("location_sensitive", "nvidia"), ("content", "paper"), ("location_sensitive", "espnet")]
)
@pytest.mark.parametrize("threshold", [0.0, 0.505, 2.0])
@pytest.mark.parametrize("graphs", [False, True], ids=["as the device has it", "recorded"])
@pytest.mark.parametrize("window", [None, Window(1, 2)], ids=["whole text", "window"])
def test_blocks_equal_steps(
    window: Window | None,
    graphs: bool,
    attention: str,
    wiring: str,
    reduction: int,
    device: str,
    threshold: float,
    request: pytest.FixtureRequest,
) -> None:
    recordings = request.getfixturevalue("recordings") if graphs else []
    decoder = build(attention, reduction, wiring, device)
    decoder.window = window
    mask = padding_mask(torch.tensor([7, 4, 6])).to(device)
    memory = torch.randn(3, 7, 6, device=device).masked_fill(mask[..., None], 0.0)
    limit = torch.tensor([75, 10, 0], device=device)
    heard: list[Tensor] = []
    rule, noise = StopAtProbability(threshold), Noise.of_rows([1, 2, 3], device)
    expected = StepDecoder.generate(decoder, memory, mask, limit, rule, noise)  # with gradients, so step by step on any device
    with torch.inference_mode():
        output = replayed_generation.generate(decoder, memory, mask, limit, rule, noise, heard.append)
    for name in ("mel", "lengths", "stop_logits", "weights"):
        torch.testing.assert_close(getattr(output, name), getattr(expected, name), rtol=1e-5, atol=1e-6, msg=name)
    assert output.stopped_by == expected.stopped_by
    torch.testing.assert_close(torch.cat(heard, 1), output.mel)
    assert len(recordings) == graphs


def test_held_draws_are_those_of_the_block() -> None:
    noise = Noise.of_rows([4, 5])
    held = HeldNoise(Noise.of_rows([4, 5]), 8)
    held.uniform("a", 0, 1, 2, 3)
    for first in (0, 8, 40):
        held.fill(first)
        assert torch.equal(held.uniform("a", 2, 3, 2, 3), noise.uniform("a", first + 2, 3, 2, 3))
        assert torch.equal(held.normal("b", 7, 1, 2, 4), noise.normal("b", first + 7, 1, 2, 4))


def test_only_known_parts_are_replayed() -> None:
    decoder = build("content", 1, "nvidia", "cpu")
    memory, mask, rule = torch.randn(1, 4, 6), torch.zeros(1, 4, dtype=torch.bool), StopAtProbability(0.5)
    assert decoder.replayable(memory, mask, rule)
    assert not decoder.replayable(memory, mask, lambda probability, weights, step: probability > 0.5)

    class Changed(Tacotron2Decoder):
        pass

    decoder.__class__ = Changed
    assert not decoder.replayable(memory, mask, rule)
