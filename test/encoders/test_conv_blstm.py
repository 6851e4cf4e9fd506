"""Zoneout on the encoder's LSTM, and the order of batch norm and activation."""

import pytest
import torch
from torch import Tensor, nn

from toolkit.encoders import ENCODERS, Encoder
from toolkit.errors import ConfigError
from toolkit.nn.conv_norm import ConvNorm
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.packing import over_lengths
from toolkit.nn.zoneout import bidirectional
from toolkit.testing import SYMBOLS, check

LENGTHS = torch.tensor([7, 4, 1])
SIZES = {"embedding": 8, "channels": 8, "lstm": 8, "dropout": 0.0}


@pytest.fixture
def lstm() -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(5, 4, batch_first=True, bidirectional=True).double()


def encoder(zoneout: float, **knobs: object) -> Encoder:
    torch.manual_seed(0)
    return ENCODERS.part("conv_blstm", zoneout=zoneout, **SIZES, **knobs).build(num_symbols=len(SYMBOLS), symbols=SYMBOLS).double()


def tokens() -> Tensor:
    torch.manual_seed(1)
    return torch.randint(2, 9, (3, 7)).masked_fill(padding_mask(LENGTHS), 0)


@pytest.mark.parametrize("uniform", [None, torch.ones(3, 7, 16)])
def test_without_zoneout_it_is_torchs_lstm(lstm: nn.LSTM, uniform: Tensor | None) -> None:
    features = torch.randn(3, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(bidirectional(lstm, features, LENGTHS, 0.0, uniform), over_lengths(lstm, features, LENGTHS))


def test_a_unit_that_is_drawn_keeps_its_value(lstm: nn.LSTM) -> None:
    """Krueger et al. 2017, equation 3, by torch's cell: h and c of unit 2 of the backward direction at its second step."""
    features, uniform = torch.randn(1, 3, 5, dtype=torch.float64), torch.ones(1, 3, 16)
    uniform[0, 1, 8 + 2] = uniform[0, 1, 12 + 2] = 0.0
    cell = nn.LSTMCell(5, 4).double()
    cell.load_state_dict({name.removesuffix("_l0_reverse"): v for name, v in lstm.state_dict().items() if name.endswith("_reverse")})
    state = (torch.zeros(1, 4, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64))
    expected = []
    for step, frame in enumerate((2, 1, 0)):
        new = cell(features[:, frame], state)
        kept = torch.tensor([[False, False, step == 1, False]])
        state = (torch.where(kept, state[0], new[0]), torch.where(kept, state[1], new[1]))
        expected.insert(0, state[0])
    out = bidirectional(lstm, features, torch.tensor([3]), 0.1, uniform)
    torch.testing.assert_close(out[0, :, 4:], torch.cat(expected))
    torch.testing.assert_close(out[0, :, :4], lstm(features)[0][0, :, :4])


def test_the_expectation_lies_between(lstm: nn.LSTM) -> None:
    features = torch.randn(1, 1, 5, dtype=torch.float64)
    half = bidirectional(lstm, features, torch.tensor([1]), 0.5)
    torch.testing.assert_close(half, 0.5 * lstm(features)[0])  # the value before the first step is 0


@pytest.mark.parametrize("knobs", [{"zoneout": 0.1}, {"norm": "after"}, {"zoneout": 0.3, "norm": "after"}])
def test_variants_keep_the_contract(knobs: dict[str, float | str]) -> None:
    check(ENCODERS.part("conv_blstm", embedding=8, channels=8, lstm=8, **knobs))


def test_the_weights_are_the_same_at_any_zoneout() -> None:
    without, with_zoneout = encoder(0.0), encoder(0.1)
    assert list(without.state_dict()) == list(with_zoneout.state_dict())
    with_zoneout.load_state_dict(without.state_dict())
    torch.testing.assert_close(encoder(1e-9).eval()(tokens(), LENGTHS), without.eval()(tokens(), LENGTHS))


def test_draws_are_those_of_the_noise_and_only_in_training() -> None:
    net = encoder(0.5)
    first, again, other = (net(tokens(), LENGTHS, Noise.of_micro_batch(1, step, 0)) for step in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    expectation = net(tokens(), LENGTHS, None)
    assert not torch.equal(expectation, first)
    net.eval()
    with_noise, without = net(tokens(), LENGTHS, Noise.of_rows([1, 2, 3])), net(tokens(), LENGTHS)
    assert torch.equal(with_noise, without)


def test_draws_of_a_row_do_not_depend_on_padding() -> None:
    net = encoder(0.5)
    for convolution in net.convolutions:
        convolution.eval()  # batch norm would tell the rows of each other
    whole = net(tokens(), LENGTHS, Noise.of_micro_batch(1, 1, 0))
    wider = net(nn.functional.pad(tokens(), (0, 3)), LENGTHS, Noise.of_micro_batch(1, 1, 0))
    torch.testing.assert_close(wider[:, :7], whole)
    assert not wider[:, 7:].any() and not whole[1, 4:].any()


def test_the_order_of_norm_and_activation() -> None:
    """Tacotron 2, section 2.2: batch normalization, then ReLU; an option turns them round."""
    torch.manual_seed(0)
    x, mask = 3 * torch.randn(4, 3, 20), torch.zeros(4, 20, dtype=torch.bool)
    before, after = (ConvNorm(3, 6, 3, torch.relu, 0.0, norm)(x, mask) for norm in ("before", "after"))
    assert before.min() == 0.0 and after.min() < 0.0
    assert after.mean((0, 2)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("knobs", "message"), [({"zoneout": 1.0}, "zoneout: a probability below 1, got 1"), ({"norm": "both"}, "got 'both'")]
)
def test_mistakes_are_refused(knobs: dict[str, float | str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ENCODERS.part("conv_blstm", **knobs).build(num_symbols=5, symbols=SYMBOLS[:5])
