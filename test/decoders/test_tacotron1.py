"""The recurrent decoder of Tacotron: a step by hand, its dropout, and what it shares with the contract."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from toolkit.attentions import ATTENTIONS
from toolkit.decoders import DECODERS, Tacotron1Decoder
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.testing import check

MASK = torch.zeros(2, 5, dtype=torch.bool)


def built(reduction: int = 2, **knobs: Any) -> Tacotron1Decoder:
    torch.manual_seed(2)
    part = DECODERS.part("tacotron1", **({"prenet": (6, 4), "units": 8} | knobs))
    decoder = part.build(memory_dim=3, n_mels=2, attention=ATTENTIONS.part("content", dim=4), reduction=reduction)
    assert isinstance(decoder, Tacotron1Decoder)
    return decoder.double().eval()


def gru(x: torch.Tensor, h: torch.Tensor, weights: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Cho et al. 2014, in the form of torch: reset, update, new."""
    w, u, b, c = weights
    (r, z, n), (rh, zh, nh) = (x @ w.T + b).chunk(3, 1), (h @ u.T + c).chunk(3, 1)
    update = torch.sigmoid(z + zh)
    return (1 - update) * torch.tanh(n + torch.sigmoid(r + rh) * nh) + update * h


def test_the_second_step_by_hand() -> None:
    """Tacotron, section 3.3: attention GRU, projection of [query; context], two GRUs that add to what enters them."""
    decoder = built()
    memory, frame = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    with torch.no_grad():
        _, _, _, before = decoder.step(frame, decoder.start(memory, MASK, None, 2))
        frames, stop, weights, after = decoder.step(frame, before)
        prenet = frame
        for layer in decoder.prenet.layers:
            prenet = F.relu(layer(prenet))
        cell = decoder.query
        query = gru(torch.cat([prenet, before.context], 1), before.query, (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))
        context, expected, _ = decoder.attention(query, prenet, before.attention)
        x = decoder.join(torch.cat([query, context], 1))
        for layer, state in zip(decoder.above, before.above, strict=True):
            x = x + gru(x, state[0], (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0))
        torch.testing.assert_close(weights, expected)
        torch.testing.assert_close(after.query, query)
        torch.testing.assert_close(frames.reshape(2, 4), decoder.frames(x))  # r frames of M, one after the other
        torch.testing.assert_close(stop, decoder.stop(x)[:, 0])


@pytest.mark.parametrize("knobs", [{"layers": 3}, {"dropout_at_synthesis": True}, {"prenet": (5,), "layers": 1}])
def test_every_variant_keeps_the_contract(knobs: dict[str, Any]) -> None:
    check(
        DECODERS.part("tacotron1", **({"prenet": (8, 8), "units": 8} | knobs)),
        ATTENTIONS.part("location_sensitive", dim=8, filters=4, kernel_size=5),
    )


def forward(decoder: Tacotron1Decoder, noise: Noise | None, teacher: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    memory, mel = (torch.randn(2, 5 + 3 * i, 3 - i, generator=generator, dtype=torch.float64) for i in range(2))
    output = decoder(memory, MASK, Targets(mel, torch.tensor([8, 8])), noise, teacher)
    assert output.mel.shape == (2, 8, 2) and output.weights is not None and output.weights.shape == (2, 4, 5)
    return output.mel


def test_the_prenet_drops_in_training_and_at_synthesis_where_asked() -> None:
    quiet, kept = built(), built(dropout_at_synthesis=True)
    assert torch.equal(forward(quiet, Noise.of_rows([1, 2])), forward(quiet, None))
    assert not torch.equal(forward(kept, Noise.of_rows([1, 2])), forward(kept, None))
    quiet.train()
    first = forward(quiet, Noise.of_micro_batch(1, 1, 0))
    assert not torch.equal(first, forward(quiet, None)) and torch.equal(first, forward(quiet, Noise.of_micro_batch(1, 1, 0)))


def test_a_share_of_teaching() -> None:
    decoder = built(dropout_at_synthesis=True, prenet=(16, 16))
    memory = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    free = decoder.generate(memory, MASK, torch.tensor([8, 8]), StopAtProbability(2.0), Noise.of_rows([1, 2]))
    torch.testing.assert_close(forward(decoder, Noise.of_rows([1, 2]), teacher=0.0), free.mel)
    taught, half = forward(decoder, Noise.of_rows([1, 2])), forward(decoder, Noise.of_rows([1, 2]), teacher=0.5)
    torch.testing.assert_close(half[:, :2], taught[:, :2])
    assert not torch.allclose(half, taught) and not torch.allclose(half, free.mel)


def test_fewer_frames_a_step_are_the_first_of_them() -> None:
    decoder, memory = built(reduction=3), torch.randn(2, 5, 3, dtype=torch.float64)
    frame = torch.zeros(2, 2, dtype=torch.float64)
    three = decoder.step(frame, decoder.start(memory, MASK, None, 3))[0]
    one = decoder.step(frame, decoder.start(memory, MASK, None, 1))[0]
    assert three.shape == (2, 3, 2) and torch.equal(one, three[:, :1])


def test_the_published_sizes() -> None:
    """Tacotron, table 1, with a memory of 256, 80 mel bands and two frames a step, counted by hand."""
    part = DECODERS.part("tacotron1")
    with torch.device("meta"):
        decoder = part.build(memory_dim=256, n_mels=80, attention=ATTENTIONS.part("content", dim=256), reduction=2)
    prenet = 81 * 256 + 257 * 128
    attention = 2 * 256 * 256 + 256 + 256  # query without a bias, keys with one, energies
    gru = 3 * 256 * (128 + 256 + 256 + 2)
    join, above = (256 + 256 + 1) * 256, 2 * 3 * 256 * (256 + 256 + 2)
    projections = 257 * (2 * 80 + 1)
    counted = sum(parameter.numel() for parameter in decoder.parameters())
    assert counted == prenet + attention + gru + join + above + projections


def test_no_residual_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="layers: residual GRUs, must be at least 1, got 0"):
        built(layers=0)
