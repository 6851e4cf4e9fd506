"""The recurrent decoder of Tacotron 2: its wirings."""

from pathlib import Path

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.decoders import DECODERS, Tacotron2Decoder
from toolkit.errors import ConfigError
from toolkit.registry import Part
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.testing import check
from toolkit.text.vocabulary import Vocabulary

PAPER = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/paper.yaml"


def attention() -> Part[object]:
    return ATTENTIONS.part("location_sensitive", dim=8, filters=4, kernel_size=5)


@pytest.mark.parametrize("wiring", ["espnet", "nvidia", "paper"])
def test_every_wiring_keeps_the_contract(wiring: str) -> None:
    check(DECODERS.part("tacotron2", prenet=(8, 8), lstm=8, wiring=wiring), attention())  # type: ignore[arg-type]


@pytest.mark.parametrize("wiring", ["espnet", "nvidia", "paper"])
def test_wirings_as_written_down(wiring: str) -> None:
    """The second step, in eval mode without zoneout, by hand: who sees which h and which context."""
    torch.manual_seed(2)
    part = DECODERS.part("tacotron2", prenet=(4,), lstm=6, zoneout=0.0, wiring=wiring)
    decoder = part.build(memory_dim=3, n_mels=2, attention=ATTENTIONS.part("content", dim=4), reduction=1).eval()
    assert isinstance(decoder, Tacotron2Decoder)
    memory, frame = torch.randn(1, 5, 3), torch.randn(1, 2)
    with torch.no_grad():
        _, _, _, before = decoder.step(frame, decoder.start(memory, torch.zeros(1, 5, dtype=torch.bool), None, 1))
        mel, _, weights, after = decoder.step(frame, before)
        prenet = decoder.prenet(frame[:, None], None, 0)[:, 0]
        query = {"paper": after.second[0], "nvidia": after.first[0], "espnet": before.first[0]}[wiring]
        context, expected, _ = decoder.attention(query, prenet, before.attention)
        assert torch.allclose(weights, expected) and torch.allclose(after.context, context)
        seen = context if wiring == "espnet" else before.context
        first = torch.nn.LSTMCell.forward(decoder.first, torch.cat([prenet, seen], 1), before.first)
        below = torch.cat([first[0], context], 1) if wiring == "nvidia" else first[0]
        second = torch.nn.LSTMCell.forward(decoder.second, below, before.second)
        assert torch.allclose(after.first[0], first[0]) and torch.allclose(after.second[1], second[1])
        assert torch.allclose(mel[:, 0], decoder.frames(torch.cat([second[0], context], 1)))


@pytest.mark.parametrize(("wiring", "millions"), [("paper", 26.06), ("nvidia", 28.15)])
def test_parameters_with_70_symbols(wiring: str, millions: float) -> None:
    """28.2 M, which later papers quote, is NVIDIA's wiring, not that of Tacotron 2."""
    system = load_system(PAPER, [f"decoder_conf.wiring={wiring}"])
    with torch.device("meta"):
        task = Text2Mel(system, Vocabulary.made_up(70))
    assert round(sum(parameter.numel() for parameter in task.model.parameters()) / 1e6, 2) == millions


def test_an_unknown_wiring_is_refused() -> None:
    with pytest.raises(ConfigError, match="wiring: unknown, got 'nvida'; did you mean 'nvidia'"):
        DECODERS.part("tacotron2", wiring="nvida").build(memory_dim=3, n_mels=2, attention=attention(), reduction=1)
