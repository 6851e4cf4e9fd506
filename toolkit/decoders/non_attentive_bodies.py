"""What turns upsampled symbols into frames, all frames at once: ``B T W`` with mask ``B T`` -> ``B T W``."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from torch import Tensor, nn

from toolkit.errors import ConfigError, nearest
from toolkit.nn.conv_layer import ConvLayer
from toolkit.nn.multi_head_attention import SelfAttention
from toolkit.nn.packing import over_lengths
from toolkit.nn.positions import Positions
from toolkit.nn.residual import Residual


class BodySizes(NamedTuple):
    """How large a body is; not each has all of these."""

    layers: int
    width: int
    kernel_size: int
    heads: int
    feed_forward: int
    dropout: float


class ConvBody(nn.Module):
    """Convolutions, each with its way around. A frame knows ``layers (kernel_size - 1) / 2`` frames on both sides."""

    def __init__(self, sizes: BodySizes) -> None:
        super().__init__()
        width, dropout = sizes.width, sizes.dropout
        self.layers = nn.ModuleList(ConvLayer(width, width, sizes.kernel_size, dropout) for _ in range(sizes.layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x, mask)
        return x


class LSTMBody(nn.Module):
    """Bidirectional LSTM layers. A frame knows all others."""

    def __init__(self, sizes: BodySizes) -> None:
        super().__init__()
        if sizes.width % 2:
            raise ConfigError(f"width: units of both directions, must be even, got {sizes.width}; nearest: {sizes.width + 1}")
        between = sizes.dropout if sizes.layers > 1 else 0.0
        self.lstm = nn.LSTM(sizes.width, sizes.width // 2, sizes.layers, batch_first=True, bidirectional=True, dropout=between)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return over_lengths(self.lstm, x, (~mask).sum(1))


class TransformerBody(nn.Module):
    """Feed-forward Transformer blocks (FastSpeech, Ren et al. 2019, section 3.1). A frame knows all others.

    Positions are absolute sinusoids. Layer norms stand before the blocks, which trains without warm-up; published is after them.
    """

    def __init__(self, sizes: BodySizes) -> None:
        super().__init__()
        self.positions = Positions(sizes.width, "absolute", sizes.dropout)
        self.layers = nn.ModuleList(TransformerBlock(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.positions(x)
        for layer in self.layers:
            x = layer(x, mask)
        return cast(Tensor, self.norm(x))


class TransformerBlock(nn.Module):
    """Self-attention, then a convolution with ReLU and a linear layer; each with its way around."""

    def __init__(self, sizes: BodySizes) -> None:
        super().__init__()
        width, dropout = sizes.width, sizes.dropout
        self.attention, self.around_attention = SelfAttention(width, sizes.heads, dropout), Residual(width, dropout)
        self.conv = nn.Conv1d(width, sizes.feed_forward, sizes.kernel_size, padding=sizes.kernel_size // 2)
        self.last, self.around_conv = nn.Linear(sizes.feed_forward, width), Residual(width, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.around_attention.leave(x, self.attention(self.around_attention.enter(x), mask))
        entered = self.around_conv.enter(x).masked_fill(mask[..., None], 0.0)
        hidden = self.conv(entered.transpose(1, 2)).relu().transpose(1, 2)
        return self.around_conv.leave(x, self.last(hidden))


BODIES: dict[str, Callable[[BodySizes], nn.Module]] = {"conv": ConvBody, "lstm": LSTMBody, "transformer": TransformerBody}


def body_of(name: str, sizes: BodySizes) -> nn.Module:
    """The body of that name.

    Raises:
        ConfigError: there is none, or a size makes no sense.
    """
    if name not in BODIES:
        raise ConfigError(f"body: unknown, got {name!r}; {nearest(name, tuple(BODIES))}")
    for size in ("layers", "width", "feed_forward"):
        if sizes._asdict()[size] < 1:
            raise ConfigError(f"{size}: must be at least 1, got {sizes._asdict()[size]}")
    if sizes.kernel_size < 1 or sizes.kernel_size % 2 == 0:
        raise ConfigError(f"kernel_size: must be odd, got {sizes.kernel_size}; nearest: {sizes.kernel_size + 1}")
    return BODIES[name](sizes)
