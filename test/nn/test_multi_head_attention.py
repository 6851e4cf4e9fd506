"""Heads by a plain loop, with absolute and relative positions; residuals."""

import math

import pytest
import torch
from torch import Tensor, nn

from toolkit.errors import ConfigError
from toolkit.nn.masks import padding_mask
from toolkit.nn.multi_head_attention import MultiHeadAttention, SelfAttention
from toolkit.nn.positions import sinusoids
from toolkit.nn.relative_attention import RelativeSelfAttention, self_attention, shifted
from toolkit.nn.residual import FeedForward, Residual

LENGTHS = torch.tensor([6, 4])
HEADS, SIZE = 2, 4


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 6, HEADS * SIZE, dtype=torch.float64)


def softmax(energies: list[Tensor]) -> list[Tensor]:
    powers = [math.e**energy for energy in energies]
    return [power / sum(powers) for power in powers]


def of_head(vector: Tensor, head: int) -> Tensor:
    return vector[head * SIZE : (head + 1) * SIZE]


def looped(x: Tensor, layer: SelfAttention | RelativeSelfAttention, length: int, causal: bool = False) -> Tensor:
    """One row ``T D``, query by query and head by head. Vaswani et al. 2017, equation 1; Dai et al. 2019, section 3.3, the terms a to d."""
    rows = []
    for i in range(len(x)):
        found = []
        for head in range(HEADS):
            keys = range(min(length, i + 1) if causal else length)
            energies = []
            for j in keys:
                query, key = of_head(layer.query(x[i]), head), of_head(layer.key(x[j]), head)
                energy = query @ key
                if isinstance(layer, RelativeSelfAttention):
                    far = of_head(layer.distance(sinusoids(torch.tensor(i - j, dtype=x.dtype), x.shape[1])), head)
                    energy = energy + query @ far + layer.content_bias[head, 0] @ key + layer.distance_bias[head, 0] @ far
                energies.append(energy / math.sqrt(SIZE))
            found.append(sum(w * of_head(layer.value(x[j]), head) for w, j in zip(softmax(energies), keys, strict=True)))
        rows.append(layer.join(torch.cat(found)))
    return torch.stack(rows)


@pytest.mark.parametrize("positions", ["absolute", "relative"])
def test_heads_equal_a_plain_loop(x: Tensor, positions: str) -> None:
    torch.manual_seed(1)
    layer = self_attention(HEADS * SIZE, HEADS, 0.0, positions).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    made = layer(x, padding_mask(LENGTHS))
    torch.testing.assert_close(made[0], looped(x[0], layer, 6))
    torch.testing.assert_close(made[1, :4], looped(x[1], layer, 4)[:4])


def test_causal_heads_equal_a_plain_loop(x: Tensor) -> None:
    torch.manual_seed(1)
    layer = SelfAttention(HEADS * SIZE, HEADS, 0.0).double()
    torch.testing.assert_close(layer.attend(x, layer.known(x), causal=True)[0], looped(x[0], layer, 6, causal=True))


def test_weights_are_those_that_attend(x: Tensor) -> None:
    """Of another memory, of another width; hidden places have none."""
    torch.manual_seed(1)
    layer, memory = MultiHeadAttention(HEADS * SIZE, HEADS, 0.0, memory_dim=3).double(), torch.randn(2, 5, 3, dtype=torch.float64)
    hidden = padding_mask(torch.tensor([5, 2]))[:, None, None]
    known = layer.known(memory)
    made, weights = layer.weigh(x, known, hidden)
    torch.testing.assert_close(made, layer.attend(x, known, hidden))
    torch.testing.assert_close(weights.sum(3), torch.ones(2, HEADS, 6, dtype=torch.float64))
    assert not weights[1, :, :, 2:].any()


def test_what_follows_is_appended(x: Tensor) -> None:
    layer = SelfAttention(HEADS * SIZE, HEADS, 0.0).double()
    whole, pieces = layer.known(x), layer.known(x[:, :2]).then(layer.known(x[:, 2:]))
    torch.testing.assert_close(pieces.keys, whole.keys)
    torch.testing.assert_close(pieces.values, whole.values)


def test_energies_by_distance_become_energies_by_key() -> None:
    """Columns are distances 3, 2, ... -3."""
    by_distance = torch.arange(3.0, -4.0, -1).expand(1, 1, 4, 7)
    expected = torch.tensor([[i - j for j in range(4)] for i in range(4)], dtype=torch.float32)
    torch.testing.assert_close(shifted(by_distance)[0, 0], expected)


def test_a_relative_position_is_only_a_distance(x: Tensor) -> None:
    """The same symbols later in the row, with nothing else to look at, give the same."""
    torch.manual_seed(1)
    layer = RelativeSelfAttention(HEADS * SIZE, HEADS, 0.0).double()
    nn.init.normal_(layer.distance_bias)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, :3], mask[1, 3:] = False, False
    rows = torch.stack([torch.cat([x[0, :3], x[1, :3]]), torch.cat([x[1, :3], x[0, :3]])])
    made = layer(rows, mask)
    torch.testing.assert_close(made[0, :3], made[1, 3:])
    backwards = layer(rows.flip(1), mask.flip(1)).flip(1)
    assert not torch.allclose(made[0, :3], backwards[0, :3]), "before and after are not the same"


def test_dropout_of_weights_only_in_training(x: Tensor) -> None:
    for positions in ("absolute", "relative"):
        layer = self_attention(HEADS * SIZE, HEADS, 0.5, positions).double()
        still = layer.eval()(x, padding_mask(LENGTHS))
        assert torch.equal(layer(x, padding_mask(LENGTHS)), still)
        assert not torch.allclose(layer.train()(x, padding_mask(LENGTHS)), still)


def test_where_the_norm_stands() -> None:
    torch.manual_seed(0)
    x, made = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    norm = nn.functional.layer_norm
    before, after = Residual(8, 0.0, "before", scale=0.5), Residual(8, 0.0, "after")
    torch.testing.assert_close(before.enter(x), norm(x, (8,)))
    torch.testing.assert_close(before.leave(x, made), x + 0.5 * made)
    assert after.enter(x) is x
    torch.testing.assert_close(after.leave(x, made), norm(x + made, (8,)))


def test_feed_forward_by_hand() -> None:
    torch.manual_seed(0)
    for activation, function in ((nn.ReLU, torch.relu), (nn.SiLU, lambda y: y * torch.sigmoid(y))):
        block, x = FeedForward(4, 6, 0.0, activation), torch.randn(1, 2, 4)
        first, last = block.layers[0], block.layers[3]
        torch.testing.assert_close(block(x), function(x @ first.weight.T + first.bias) @ last.weight.T + last.bias)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MultiHeadAttention(8, 3, 0.0), "heads: must divide units = 8, got 3; nearest: [24]"),
        (lambda: MultiHeadAttention(0, 2, 0.0), "heads: must divide units = 0, got 2"),
        (lambda: RelativeSelfAttention(8, 0, 0.0), "heads: must divide units = 8, got 0; nearest: 1"),
        (lambda: RelativeSelfAttention(9, 3, 0.0), "units: must be even, got 9; nearest: 10"),
        (lambda: MultiHeadAttention(8, 2, 1.5), "attention_dropout: a probability below 1, got 1.5"),
        (lambda: Residual(8, 1.0), "dropout: a probability below 1, got 1.0"),
        (lambda: Residual(8, 0.0, "before_"), "norm: .* got 'before_'; .*before"),
        (lambda: FeedForward(8, 0, 0.0), "feed_forward: width, must be at least 1, got 0"),
    ],
)
def test_mistakes_are_refused(build, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()
