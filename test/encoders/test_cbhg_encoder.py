"""The encoder of Tacotron."""

import torch

from toolkit.encoders import ENCODERS, CBHGEncoder
from toolkit.registry import Part
from toolkit.testing import check


def test_the_published_sizes() -> None:
    """Tacotron, table 1: embedding, bottleneck and memory."""
    with torch.device("meta"):
        encoder = ENCODERS.part("cbhg").build(num_symbols=70)
    assert encoder.embedding.weight.shape == (70, 256)
    assert [layer.weight.shape for layer in encoder.prenet] == [(256, 256), (128, 256)]
    assert len(encoder.cbhg.bank) == 16 and encoder.out_dim == 256
    assert encoder.cbhg.projections[1].conv.out_channels == 128


def test_the_bottleneck_drops_in_training_only() -> None:
    torch.manual_seed(0)
    part: Part[CBHGEncoder] = ENCODERS.part("cbhg", embedding=8, prenet=(8, 6), banks=2, channels=4, projection=4, highway=4, gru=3)  # type: ignore[assignment]
    encoder, tokens, lengths = part.build(num_symbols=9), torch.tensor([[2, 3, 4, 5]]), torch.tensor([4])
    assert not torch.equal(encoder(tokens, lengths), encoder(tokens, lengths))
    encoder.eval()
    assert torch.equal(encoder(tokens, lengths), encoder(tokens, lengths))


def test_one_layer_of_the_bottleneck_and_other_sizes_keep_the_contract() -> None:
    check(ENCODERS.part("cbhg", embedding=7, prenet=(5,), banks=4, channels=3, projection=4, highways=1, highway=5, gru=3))
