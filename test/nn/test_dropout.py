"""Dropout of feed-forward layers."""

import torch

from toolkit.nn.dropout import Dropout


def test_share_and_scale() -> None:
    torch.manual_seed(1)
    x = torch.ones(301, 333)
    for probability in (0.5, 0.1):
        y = Dropout(probability)(x)
        dropped = float((y == 0).float().mean())
        assert abs(dropped - probability) < 0.01
        assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - probability)), rtol=1e-4)
        columns = (y == 0).float().mean(0)  # each of the four levels in a draw is as good as the others
        assert abs(float(columns[0::4].mean()) - float(columns[3::4].mean())) < 0.02


def test_gradient_goes_where_values_went() -> None:
    x = torch.randn(50, 7, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad == 0, y == 0)


def test_torch_seeds_it() -> None:
    x, dropout = torch.ones(9, 9), Dropout(0.5)
    torch.manual_seed(3)
    first = dropout(x)
    assert not torch.equal(dropout(x), first)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)


def test_nothing_and_everything() -> None:
    x = torch.randn(5)
    assert Dropout(0.0)(x) is x and Dropout(0.5).eval()(x) is x
    assert not Dropout(1.0)(x).any()
