"""Encoders of self-attention: their variants, their order of blocks, padding in training, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.encoders import ENCODERS, ConformerEncoder, Encoder, TransformerEncoder
from toolkit.errors import ConfigError
from toolkit.nn.masks import padding_mask
from toolkit.testing import SYMBOLS, check

LENGTHS = torch.tensor([7, 4])
SIZES: dict[str, dict[str, Any]] = {
    "transformer": {"units": 8, "heads": 2, "layers": 1, "feed_forward": 12, "prenet_kernel_size": 3},
    "conformer": {"units": 8, "heads": 2, "layers": 1, "feed_forward": 12, "kernel_size": 3},
}
STILL = {"dropout": 0.0, "attention_dropout": 0.0, "prenet_dropout": 0.0}


def encoder(name: str, **knobs: Any) -> Encoder:
    torch.manual_seed(0)
    return ENCODERS.part(name, **{**SIZES[name], **knobs}).build(num_symbols=len(SYMBOLS), symbols=SYMBOLS).double()


def tokens() -> Tensor:
    torch.manual_seed(1)
    return torch.randint(2, 9, (2, 7)).masked_fill(padding_mask(LENGTHS), 0)


@pytest.mark.parametrize("positions", ["absolute", "scaled", "relative"])
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("transformer", {"norm": "after"}),
        ("transformer", {"prenet_layers": 0}),
        ("conformer", {"convolution_norm": "layer", "prenet_layers": 1}),
        ("conformer", {"layers": 2}),
    ],
)
def test_variants_keep_the_contract(name: str, knobs: dict[str, Any], positions: str) -> None:
    check(ENCODERS.part(name, **{**SIZES[name], **knobs}, positions=positions))


def test_transformer_is_its_blocks_in_their_order() -> None:
    """Li et al. 2019, section 3; Vaswani et al. 2017, section 3.1, with the norm before each block."""
    net, mask = encoder("transformer", **STILL).eval(), padding_mask(LENGTHS)
    assert isinstance(net, TransformerEncoder)
    x = net.prenet(tokens(), mask)
    layer = net.layers[0]
    x = x + layer.attention(layer.around_attention.norm(x), mask)
    x = x + layer.feed_forward(layer.around_feed_forward.norm(x))
    torch.testing.assert_close(net(tokens(), LENGTHS)[~mask], net.norm(x)[~mask])


def test_conformer_is_its_blocks_in_their_order() -> None:
    """Gulati et al. 2020, section 2.4: x~ = x + FFN(x) / 2; x' = x~ + MHSA(x~); x'' = x' + Conv(x'); y = LN(x'' + FFN(x'') / 2)."""
    net, mask = encoder("conformer", **STILL).eval(), padding_mask(LENGTHS)
    assert isinstance(net, ConformerEncoder)
    x, block = net.prenet(tokens(), mask), net.blocks[0]
    torch.testing.assert_close(x, net.prenet.embedding(tokens()))
    x = x + block.first(block.around_first.norm(x)) / 2
    x = x + block.attention(block.around_attention.norm(x), mask)
    x = x + block.convolution(block.around_convolution.norm(x), mask)
    x = x + block.second(block.around_second.norm(x)) / 2
    torch.testing.assert_close(net(tokens(), LENGTHS)[~mask], block.norm(x)[~mask])


def test_positions_tell_equal_symbols_apart() -> None:
    same = torch.full((1, 5), 3)
    for name, positions in (("transformer", "scaled"), ("conformer", "absolute")):
        memory = encoder(name, prenet_layers=0, positions=positions).eval()(same, torch.tensor([5]))
        assert not torch.allclose(memory[0, 2], memory[0, 3]), name


@pytest.mark.parametrize("name", ["transformer", "conformer"])
def test_padding_changes_nothing_in_training(name: str) -> None:
    net = encoder(name, prenet_layers=1, **STILL).train()
    wider = torch.nn.functional.pad(tokens(), (0, 5))
    torch.testing.assert_close(net(wider, LENGTHS)[:, :7], net(tokens(), LENGTHS))


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("transformer", {"layers": 0}, "layers: must be at least 1, got 0"),
        ("conformer", {"layers": 0}, "layers: must be at least 1, got 0"),
        ("transformer", {"units": 9, "heads": 3}, "units: must be even, got 9"),
        ("transformer", {"prenet_layers": -1}, "prenet_layers: convolutions, 0 for none, got -1"),
        ("transformer", {"prenet_kernel_size": 4}, "prenet_kernel_size: must be odd, got 4; nearest: 5"),
        ("conformer", {"positions": "relative_"}, "positions: unknown, got 'relative_'; .*relative"),
        ("conformer", {"dropout": -0.1}, "dropout: a probability below 1, got -0.1"),
    ],
)
def test_mistakes_are_refused(name: str, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoder(name, **knobs)
