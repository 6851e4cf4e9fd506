"""Windows of attention: what they cover, and that free running stays inside for every attention, whatever its batch."""

from __future__ import annotations

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.decoders.base import Output, StopAtProbability
from toolkit.decoders.tacotron2 import Tacotron2Decoder
from toolkit.errors import ConfigError
from toolkit.nn.attention_window import Window, attended, confined
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise

LENGTHS = torch.tensor([9, 5])


@pytest.mark.parametrize(
    ("window", "covered"),
    [
        (Window(1, 3), [[1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]]),
        (Window(0, 1), [[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]]),
        (Window(0, None), [[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]]),
        (Window(2, None), [[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]),
    ],
)
def test_a_window_lies_around_the_last_place(window: Window, covered: list[list[int]]) -> None:
    assert window.around(torch.tensor([0, 4]), 6).int().tolist() == covered


@pytest.mark.parametrize(("backward", "forward", "setting"), [(-1, 3, "backward"), (1, 0, "forward")])
def test_a_window_that_never_moves_is_refused(backward: int, forward: int, setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        Window(backward, forward)


def test_a_row_without_weights_stays_where_it_was() -> None:
    weights = torch.tensor([[0.1, 0.7, 0.2], [0.0, 0.0, 0.0]])
    assert attended(weights, torch.tensor([0, 2])).tolist() == [1, 2]


def test_confined_weights_keep_their_sum_and_are_never_undefined() -> None:
    weights = torch.tensor([[0.2, 0.2, 0.4], [0.0, 0.0, 0.5]])
    allowed = torch.tensor([[True, True, False], [True, True, False]])
    torch.testing.assert_close(confined(weights, allowed), torch.tensor([[0.4, 0.4, 0.0], [0.0, 0.0, 0.0]]))
    assert confined(weights, None) is weights


def free(decoder: Tacotron2Decoder, memory: torch.Tensor, lengths: torch.Tensor, seeds: list[int]) -> Output:
    limit = torch.full_like(lengths, 24)
    with torch.inference_mode():
        return decoder.generate(memory, padding_mask(lengths), limit, StopAtProbability(2.0), Noise.of_rows(seeds))


@pytest.mark.parametrize("attention", ATTENTIONS.names())
@pytest.mark.parametrize("window", [Window(1, 2), Window(0, None)], ids=["window", "forward mask"])
def test_free_running_stays_inside(attention: str, window: Window) -> None:
    torch.manual_seed(4)
    decoder = Tacotron2Decoder(6, 5, ATTENTIONS.part(attention), 1, prenet=(7,), lstm=8).double().eval()
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name.startswith("attention"):
                parameter.mul_(3.0)  # weights that would jump about
    memory = (4 * torch.randn(2, 9, 6).double()).masked_fill(padding_mask(LENGTHS)[..., None], 0.0)
    decoder.window = window
    assert decoder.path(memory, padding_mask(LENGTHS)) == "torch: attention has a window"
    output = free(decoder, memory, LENGTHS, [1, 2])
    assert output.weights is not None and bool(output.weights.isfinite().all())
    places = torch.zeros(2, dtype=torch.long)
    for weights in output.weights.unbind(1):
        assert not weights[~window.around(places, 9)].any()
        assert not weights[padding_mask(LENGTHS)].any()
        places = attended(weights, places)
    alone = free(decoder, memory[1:, :5], LENGTHS[1:], [2])
    torch.testing.assert_close(alone.mel[0], output.mel[1])
