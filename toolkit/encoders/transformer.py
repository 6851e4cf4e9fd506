"""Convolutions and self-attention: the encoder of Transformer TTS."""

from __future__ import annotations

from torch import Tensor, nn

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.errors import ConfigError
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.relative_attention import self_attention
from toolkit.nn.residual import FeedForward, Residual
from toolkit.nn.symbol_embedding import SymbolEmbedding


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each with its residual (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, attention: nn.Module, units: int, feed_forward: int, dropout: float, norm: str) -> None:
        super().__init__()
        self.attention, self.around_attention = attention, Residual(units, dropout, norm)
        self.feed_forward, self.around_feed_forward = FeedForward(units, feed_forward, dropout), Residual(units, dropout, norm)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``B S D`` with mask ``B S`` (True on padding) -> ``B S D``."""
        x = self.around_attention.leave(x, self.attention(self.around_attention.enter(x), mask))
        return self.around_feed_forward.leave(x, self.feed_forward(self.around_feed_forward.enter(x)))


@ENCODERS.register("transformer")
class TransformerEncoder(Encoder):
    """Embedding, convolutions, positions, layers of self-attention and feed-forward (Li et al. 2019, Transformer TTS, section 3).

    Args:
        units: width D of the embedding, of every layer and of the memory; even.
        heads: of the self-attention, a divisor of ``units``.
        layers: of self-attention and feed-forward.
        feed_forward: width inside the feed-forward layers.
        dropout: after positions, attention, activations and feed-forward, in training.
        attention_dropout: on the attention's weights, in training.
        prenet_layers, prenet_kernel_size: convolutions over the embedding; 0 layers for none.
        prenet_dropout: after each of them, in training.
        positions: ``scaled`` by a trained alpha, as published; ``absolute``; ``relative`` as in a conformer.
        norm: layer norm ``before`` each block, or ``after`` its sum, as published, which wants a schedule with warm-up.
    """

    def __init__(
        self,
        num_symbols: int,
        *,
        units: int = 512,
        heads: int = 8,
        layers: int = 6,
        feed_forward: int = 2048,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        prenet_layers: int = 3,
        prenet_kernel_size: int = 5,
        prenet_dropout: float = 0.5,
        positions: str = "scaled",
        norm: str = "before",
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"layers: must be at least 1, got {layers}")
        self.out_dim = units
        self.prenet = SymbolEmbedding(num_symbols, units, prenet_layers, prenet_kernel_size, prenet_dropout, positions, dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(self_attention(units, heads, attention_dropout, positions), units, feed_forward, dropout, norm)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(units) if norm == "before" else nn.Identity()

    def forward(self, inputs: Tensor, lengths: Tensor, noise: Noise | None = None) -> Tensor:
        mask = padding_mask(lengths, inputs.shape[1])
        x: Tensor = self.prenet(inputs, mask)
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        return x.masked_fill(mask[..., None], 0.0)  # B S D
