"""Every registered part keeps its kind's contract."""

from typing import Any

import pytest
import torch

from toolkit.attentions import ATTENTIONS, Attention
from toolkit.attentions.content import ContentAttention, ContentState
from toolkit.decoders import DECODERS
from toolkit.discriminators import DISCRIMINATORS
from toolkit.encoders import ENCODERS
from toolkit.postnets import POSTNETS
from toolkit.registry import Part
from toolkit.testing import check
from toolkit.vocoders import VOCODERS

SMALL: dict[str, dict[str, Any]] = {
    "cbhg": {"banks": 3, "channels": 8, "projection": 8, "highway": 8, "gru": 4},
    "conv_blstm": {"embedding": 8, "channels": 8, "lstm": 8},
    "decoder linguistic": {"duration_lstm": 4, "f0_layers": 4, "f0_channels": 4, "f0_lag": 2},
    "non_attentive": {
        "range_lstm": 4,
        "duration_lstm": 4,
        "layers": 2,
        "width": 8,
        "kernel_size": 3,
        "pitch": True,
        "energy": True,
        "predictor": 8,
    },
    "tacotron2": {"prenet": (8, 8), "lstm": 8},
    "tacotron1": {"prenet": (8, 8), "units": 8},
    "encoder transformer": {"units": 8, "heads": 2, "layers": 2, "feed_forward": 8, "prenet_layers": 1, "prenet_kernel_size": 3},
    "conformer": {"units": 8, "heads": 2, "layers": 2, "feed_forward": 8, "kernel_size": 3},
    "decoder transformer": {"units": 8, "heads": 2, "layers": 2, "feed_forward": 8, "prenet": (8, 8)},
    "conv": {"channels": 8},
    "location_sensitive": {"dim": 8, "filters": 4, "kernel_size": 5},
    "content": {"dim": 8},
    "wavenet": {"layers": 4, "cycles": 2, "residual": 8, "gate": 8, "skip": 8, "mixtures": 3, "condition": 6},
    "wavernn": {"units": 8, "hidden": 8, "mixtures": 3, "condition": 6},
    "griffin_lim": {"iterations": 4},
    "hifigan": {"channels": 16, "block_kernels": (3, 5), "block_dilations": [[1, 2], [1, 3]]},
    "vocoder parallel_wavegan": {"layers": 4, "cycles": 2, "residual": 8, "gate": 8, "skip": 8, "resolutions": [[64, 16, 32], [32, 8, 16]]},
    "vocos": {"layers": 2, "width": 8, "hidden": 16},
    "multi_period": {"channels": (4, 8)},
    "multi_scale": {"width": 4},
    "multi_resolution": {"channels": 4, "sizes": (64, 128)},
    "discriminator parallel_wavegan": {"channels": 4},
}


def small(registry: Any) -> list[Any]:
    return [
        pytest.param(registry.part(name, **SMALL.get(f"{registry.kind} {name}", SMALL.get(name, {}))), id=name) for name in registry.names()
    ]


@pytest.mark.parametrize("part", [*small(ENCODERS), *small(ATTENTIONS), *small(POSTNETS), *small(VOCODERS), *small(DISCRIMINATORS)])
def test_part_keeps_its_contract(part: Part[Any]) -> None:
    check(part)


@pytest.mark.parametrize("attention", small(ATTENTIONS))
@pytest.mark.parametrize("decoder", small(DECODERS))
def test_decoder_keeps_its_contract_with_every_attention(decoder: Part[Any], attention: Part[Any]) -> None:
    check(decoder, attention)


@pytest.mark.parametrize("variant", [{"previous": True}, {"previous": False}])
def test_location_sensitive_variants(variant: dict[str, Any]) -> None:
    check(ATTENTIONS.part("location_sensitive", **SMALL["location_sensitive"], **variant))


@pytest.mark.parametrize(
    "variant",
    [
        {"upsample": "linear", "kernel_size": 2},
        {"upsample": "linear", "lp_shift": True, "pre_emphasis": 0.85, "lp_order": 4, "condition_layers": 2},
        {"target_scale": 127.5, "scales": [4, 5]},
    ],
)
def test_wavenet_variants(variant: dict[str, Any]) -> None:
    check(VOCODERS.part("wavenet", **SMALL["wavenet"], **variant))


class LooksAtPadding(ContentAttention):
    """Breaks the contract: its weights reach into padding."""

    def forward(self, query: torch.Tensor, output: torch.Tensor, state: ContentState, allowed: torch.Tensor | None = None) -> Any:
        return super().forward(query, output, state._replace(mask=torch.zeros_like(state.mask)), allowed)


class RemembersItself(ContentAttention):
    """Breaks the contract: it keeps state in the module."""

    calls = 0

    def forward(self, query: torch.Tensor, output: torch.Tensor, state: ContentState, allowed: torch.Tensor | None = None) -> Any:
        self.calls += 1
        return super().forward(query * self.calls, output, state, allowed)


@pytest.mark.parametrize(("cls", "promise"), [(LooksAtPadding, "weights is 0 on padding"), (RemembersItself, "nothing|reset")])
def test_a_broken_part_is_caught(cls: type[Attention], promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        check(Part("broken", cls, {"dim": 8}))
