"""Global style tokens: padding, batch and equations (Wang et al. 2018, section 3.2)."""

import math

import pytest
import torch

from toolkit.nn.style_tokens import ReferenceEncoder, StyleTokens

LENGTHS = torch.tensor([21, 8, 1])


@pytest.fixture
def encoder() -> ReferenceEncoder:
    torch.manual_seed(0)
    encoder = ReferenceEncoder(5, (3, 4, 4), 6).double()
    for norm in encoder.norms:  # as after a training: not the identity
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(norm.bias)
    return encoder.eval()


@pytest.fixture
def style() -> StyleTokens:
    torch.manual_seed(0)
    return StyleTokens(5, 8, 3, 2, (3, 4), 6).double().eval()


def frames() -> torch.Tensor:
    return torch.randn(3, 21, 5, dtype=torch.float64)


def test_what_lies_behind_a_rows_end_and_beside_it_changes_nothing(encoder: ReferenceEncoder) -> None:
    x = frames()
    made = encoder(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder(x[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(made[row : row + 1], alone, rtol=0, atol=1e-12)
    other = x.clone()
    other[1, 8:], other[2, 1:] = 7.0, torch.nan
    torch.testing.assert_close(encoder(other, LENGTHS), made, rtol=0, atol=0)
    assert not torch.allclose(encoder(x + (torch.arange(21) == 7)[:, None], LENGTHS)[1], made[1])  # its last frame counts


def test_padding_counts_for_no_statistics_in_training(encoder: ReferenceEncoder) -> None:
    x, length = frames()[:1, :18], torch.tensor([18])
    encoder.train()
    encoder(x, length)
    alone = [norm.pending.pop() for norm in encoder.norms]
    encoder(torch.cat([x, torch.full((1, 13, 5), 9.0, dtype=torch.float64)], 1), length)
    for norm, statistics in zip(encoder.norms, alone, strict=True):
        torch.testing.assert_close(norm.pending.pop(), statistics, rtol=0, atol=1e-12)


def test_the_published_sizes() -> None:
    """Section 3.2.1: six layers, 32 to 128 channels; the last has 2 of 80 bands, so the GRU of 128 units reads 256 values."""
    encoder = ReferenceEncoder(80, (32, 32, 64, 64, 128, 128), 128)
    assert [conv.out_channels for conv in encoder.convolutions] == [32, 32, 64, 64, 128, 128]
    assert all(conv.stride == (2, 2) and conv.kernel_size == (3, 3) for conv in encoder.convolutions)
    assert encoder.gru.input_size == 256 and encoder.gru.hidden_size == 128


@torch.no_grad()
def test_the_style_of_a_reference_is_a_mixture_of_tokens(style: StyleTokens) -> None:
    """softmax(q k' / sqrt(C)) v over tanh(tokens) in each head, written out."""
    x, attention = frames(), style.attention
    queries = attention.query(style.reference(x, LENGTHS))
    bank = torch.tanh(style.tokens)
    expected = []
    for query in queries:
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            keys, values = attention.key(bank)[:, head], attention.value(bank)[:, head]
            energies = [float(query[head] @ key) / math.sqrt(4) for key in keys]
            total = sum(math.exp(energy) for energy in energies)
            heads.append(sum(math.exp(energy) / total * value for energy, value in zip(energies, values, strict=True)))
        expected.append(attention.join(torch.cat(heads)))
    torch.testing.assert_close(style(x, LENGTHS), torch.stack(expected), rtol=0, atol=1e-12)


def test_weights_choose_tokens(style: StyleTokens) -> None:
    one = torch.eye(3, dtype=torch.float64)
    bank = style.attention.value(torch.tanh(style.tokens))
    torch.testing.assert_close(style.mix(one), style.attention.join(bank), rtol=0, atol=1e-12)
    mixed = style.mix(torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64))
    torch.testing.assert_close(mixed, 0.2 * style.mix(one[:1]) + 0.5 * style.mix(one[1:2]) + 0.3 * style.mix(one[2:]), rtol=0, atol=1e-12)


def test_gradients_reach_everything(style: StyleTokens) -> None:
    style.train()(frames(), LENGTHS).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in style.parameters())
