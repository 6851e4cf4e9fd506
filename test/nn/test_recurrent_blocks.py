"""Zoneout cell and prenet against their definitions."""

import torch

from toolkit.nn.noise import Noise
from toolkit.nn.prenet import Prenet
from toolkit.nn.zoneout import ZoneoutLSTMCell


def test_zoneout_keeps_units_where_the_draw_says_so() -> None:
    cell = ZoneoutLSTMCell(3, 4, 0.3)
    plain = torch.nn.LSTMCell(3, 4)
    plain.load_state_dict(cell.state_dict())
    inputs, state = torch.randn(2, 3), (torch.randn(2, 4), torch.randn(2, 4))
    new, draws = plain(inputs, state), torch.rand(2, 8)
    hidden, memory = cell(inputs, state, draws)
    assert torch.equal(hidden, torch.where(draws[:, :4] < 0.3, state[0], new[0]))
    assert torch.equal(memory, torch.where(draws[:, 4:] < 0.3, state[1], new[1]))
    expected = cell(inputs, state)
    assert torch.allclose(expected[0], 0.3 * state[0] + 0.7 * new[0]) and torch.allclose(expected[1], 0.3 * state[1] + 0.7 * new[1])


def test_prenet_dropout_comes_from_noise_in_eval_mode_too() -> None:
    prenet = Prenet(4, (32, 16), 0.5).eval()
    frames = torch.rand(1, 6, 4)
    clean, noisy = prenet(frames, None, 0), prenet(frames, Noise.of_rows([1]), 0)
    assert not torch.equal(clean, noisy)
    assert torch.equal(noisy, prenet(frames, Noise.of_rows([1]), 0))
    assert torch.allclose(prenet(frames[:, 4:], Noise.of_rows([1]), 4), noisy[:, 4:])
