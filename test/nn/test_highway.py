"""Highway layers: the equation by hand, and its two ends."""

import torch

from toolkit.nn.highway import Highway


def test_the_equation_by_hand() -> None:
    torch.manual_seed(0)
    layer, x = Highway(3).double(), torch.randn(2, 4, 3, dtype=torch.float64)
    transform, gate = layer.both.weight.chunk(2)
    transform_bias, gate_bias = layer.both.bias.chunk(2)
    hidden = torch.clamp(x @ transform.T + transform_bias, min=0)
    share = 1 / (1 + torch.exp(-(x @ gate.T + gate_bias)))
    torch.testing.assert_close(layer(x), hidden * share + x * (1 - share))


def test_closed_gates_let_the_input_pass_and_open_ones_the_layer() -> None:
    torch.manual_seed(0)
    layer, x = Highway(3), torch.randn(5, 3)
    with torch.no_grad():
        layer.both.bias[3:] = -200.0
        torch.testing.assert_close(layer(x), x)
        layer.both.bias[3:] = 200.0
        torch.testing.assert_close(layer(x), torch.relu(layer.both(x)[:, :3]))


def test_at_the_start_most_of_the_input_passes() -> None:
    torch.manual_seed(0)
    layer = Highway(64)
    torch.nn.init.zeros_(layer.both.weight)
    x = torch.randn(10, 64)
    torch.testing.assert_close(
        layer(x), x * torch.sigmoid(torch.tensor(1.0)) + torch.relu(layer.both.bias[:64]) * torch.sigmoid(torch.tensor(-1.0))
    )
