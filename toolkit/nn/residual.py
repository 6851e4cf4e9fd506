"""A block with its way around: layer norm, dropout, sum."""

from __future__ import annotations

from torch import Tensor, nn

from toolkit.errors import ConfigError, nearest
from toolkit.nn.dropout import Dropout, check_probability

NORMS = ("before", "after")


class Residual(nn.Module):
    """x + scale dropout(block(norm(x))), or norm(x + scale dropout(block(x))).

    Args:
        units: D.
        dropout: on what the block gives, in training.
        norm: ``before`` the block, which trains without warm-up (Xiong et al. 2020), or ``after`` the sum, as published by
            Vaswani et al. 2017, section 3.1.
        scale: of what the block gives.
    """

    def __init__(self, units: int, dropout: float, norm: str = "before", scale: float = 1.0) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ConfigError(f"norm: of a layer, before or after a block, got {norm!r}; {nearest(norm, NORMS)}")
        check_probability("dropout", dropout)
        self.norm, self.first, self.scale = nn.LayerNorm(units), norm == "before", scale
        self.dropout = Dropout(dropout)

    def enter(self, x: Tensor) -> Tensor:
        """What the block is given of ``B T D``."""
        entered: Tensor = self.norm(x) if self.first else x
        return entered

    def leave(self, x: Tensor, made: Tensor) -> Tensor:
        """The sum of x and of what the block ``made``, each ``B T D``."""
        x = x + self.scale * self.dropout(made)
        return x if self.first else self.norm(x)


class FeedForward(nn.Module):
    """Two linear layers with an activation between them (Vaswani et al. 2017, section 3.3).

    Args:
        units: D.
        hidden: width between the layers.
        dropout: after the activation, in training.
        activation: ReLU, or ``nn.SiLU``.
    """

    def __init__(self, units: int, hidden: int, dropout: float, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigError(f"feed_forward: width, must be at least 1, got {hidden}")
        self.layers = nn.Sequential(nn.Linear(units, hidden), activation(), Dropout(dropout), nn.Linear(hidden, units))

    def forward(self, x: Tensor) -> Tensor:
        """``B T D``."""
        made: Tensor = self.layers(x)
        return made
