"""Every encoder with every attention and every decoder: the system learns and speaks, or is refused with the reason."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.attentions import ATTENTIONS
from toolkit.decoders import DECODERS
from toolkit.decoders.base import Decoder, StepDecoder
from toolkit.encoders import ENCODERS
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.registry import Registry, wired_names
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary

CONF = Path(__file__).resolve().parents[1] / "recipes/ljspeech/conf"
FEATURES = "features={sample_rate: 8000, hop: 800, window: 800, n_fft: 1024, n_mels: 5, f_min: 60.0, f_max: 3800.0}"
SYMBOLS = Vocabulary.build([["HH", "AH0", "L", "OW1", "W", "ER1", "D"]])
WIDE, SMALL = 64, 8


def small(registry: Registry[Any], name: str) -> str:
    """The part's knobs as a configuration, every width cut down."""

    def cut(value: Any) -> Any:
        if isinstance(value, tuple):
            return [cut(item) for item in value]
        return SMALL if isinstance(value, int) and value >= WIDE else value

    return json.dumps({knob: cut(value) for knob, value in registry.part(name).knobs.items()})


def built(encoder: str, attention: str | None, decoder: str, *more: str) -> Text2Mel:
    """The task of a tiny configuration, from a preset whose decoder makes frames of the same kind; ``more`` are further settings."""
    kind = DECODERS.resolve(decoder)
    preset = CONF / ("mini.yaml" if kind.makes_spectrum else "paper_wavenet_linguistic.yaml")
    chosen = [
        FEATURES,
        "extras=[f0, energy]",
        "postnet=none",
        "postnet_conf={}",
        f"reduction={2 if issubclass(kind, StepDecoder) else 1}",
        f"encoder={encoder}",
        f"encoder_conf={small(ENCODERS, encoder)}",
        f"attention={attention or 'null'}",
        f"attention_conf={small(ATTENTIONS, attention) if attention else '{}'}",
        f"decoder={decoder}",
        f"decoder_conf={small(DECODERS, decoder)}",
        "synthesis.frames_per_symbol=1.0",
        *more,
    ]
    return Text2Mel(load_system(preset, chosen), SYMBOLS)


def reason(encoder: str, attention: str | None, name: str, decoder: type[Decoder]) -> str | None:
    """Why a system must be refused, None where it makes sense."""
    takes = "attention" in wired_names(decoder)
    if takes and attention is None:
        return f"attention: decoder '{name}' needs one, got null; known: .*content"
    if not takes and attention is not None:
        return f"attention: decoder '{name}' takes none, got '{attention}'; set attention: null"
    if decoder.memory_width is not None and encoder != "linguistic":
        return f"reads a memory of {decoder.memory_width} values, got .*; set encoder: linguistic"
    return None


FORMS = {
    "gmm": [f"attention_conf.version={version}" for version in ("v0", "v1", "v2b")],
    "location_sensitive": ["", "attention_conf.previous=true", "attention_conf.sharpening=2.0", "attention_conf.smoothing=true"],
    "tacotron2": [f"decoder_conf.wiring={wiring}" for wiring in ("paper", "nvidia", "espnet")],
    "non_attentive": [
        f"decoder_conf.body={body} decoder_conf.upsampling={upsampling}"
        for body in ("conv", "lstm", "transformer")
        for upsampling in ("gaussian", "repeat")
    ],
}
CBHG = json.dumps({"banks": 2, "channels": 4, "projection": 4, "highways": 1, "highway": 4, "gru": 4}, separators=(",", ":"))
POSTNET_FORMS = [
    "",
    'postnet=conv postnet_conf={"channels":4,"layers":2}',
    f"postnet=cbhg postnet_conf={CBHG} features.kind=linear",
]
SYSTEMS = list(itertools.product(ENCODERS.names(), [*ATTENTIONS.names(), None], DECODERS.names()))


@pytest.mark.parametrize(("encoder", "attention", "decoder"), SYSTEMS, ids=lambda name: str(name))
def test_a_system_learns_and_speaks_or_is_refused(encoder: str, attention: str | None, decoder: str) -> None:
    torch.manual_seed(0)
    refused = reason(encoder, attention, decoder, DECODERS.resolve(decoder))
    if refused is not None:
        with pytest.raises(ConfigError, match=refused):
            built(encoder, attention, decoder)
        return
    learns_and_speaks(built(encoder, attention, decoder))


@pytest.mark.full
@pytest.mark.parametrize("encoder", ENCODERS.names())
@pytest.mark.parametrize("attention", [*ATTENTIONS.names(), None])
def test_so_does_every_form_of_it_with_every_postnet(encoder: str, attention: str | None) -> None:
    """All settings of parts that make another model: wirings, bodies, versions, kinds of upsampling; and all postnets."""
    torch.manual_seed(0)
    tried = 0
    for decoder in DECODERS.names():
        if reason(encoder, attention, decoder, DECODERS.resolve(decoder)) is None:
            forms = itertools.product(FORMS.get(attention or "", [""]), FORMS.get(decoder, [""]), POSTNET_FORMS)
            for settings in forms if DECODERS.resolve(decoder).makes_spectrum else [()]:
                learns_and_speaks(built(encoder, attention, decoder, *filter(None, " ".join(settings).split())))
                tried += 1
    assert tried


def learns_and_speaks(task: Text2Mel) -> None:
    """A step of training moves every block, and two texts are spoken to an end."""
    batch = task.made_up_batch()
    optimiser, before = torch.optim.SGD(task.parameters_of("main"), 1e-2), [p.detach().clone() for p in task.parameters()]
    loss = torch.stack(list(task.losses(batch, "main").values())).sum()
    loss.backward()
    optimiser.step()
    assert bool(loss.isfinite())
    blocks, moved = set(), set()
    for (name, parameter), old in zip(task.named_parameters(), before, strict=True):
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), f"gradient reaches {name}"
        block = ".".join(name.split(".")[1:3])  # decoder.attention
        blocks.add(block)
        if not torch.equal(parameter, old):
            moved.add(block)
    assert moved == blocks
    with torch.inference_mode():
        spoken = task.eval().generate(batch.tokens, batch.token_lengths, Noise.of_rows([1, 2]))
    lengths, weights = spoken.output.lengths, spoken.output.weights
    assert bool((lengths > 0).all()) and spoken.output.stopped_by is not None and len(spoken.output.stopped_by) == 2
    assert spoken.mel.shape[1] - int(lengths.max()) in range(task.system.reduction)
    assert bool(spoken.mel.isfinite().all()) and bool(spoken.mel.any())
    assert weights is not None and bool((weights >= 0).all()) and bool(weights.isfinite().all())
