"""Self-attention for what is far apart, convolutions for what is near: the conformer."""

from __future__ import annotations

from torch import Tensor, nn

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.errors import ConfigError
from toolkit.nn.convolution_module import ConvolutionModule
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.relative_attention import self_attention
from toolkit.nn.residual import FeedForward, Residual
from toolkit.nn.symbol_embedding import SymbolEmbedding

HALF = 0.5  # of each of the two feed-forward modules


class ConformerBlock(nn.Module):
    """Half a feed-forward, self-attention, convolution, half a feed-forward, layer norm (Gulati et al. 2020, section 2.4)."""

    def __init__(
        self, attention: nn.Module, units: int, feed_forward: int, kernel_size: int, convolution_norm: str, dropout: float
    ) -> None:
        super().__init__()
        self.first, self.around_first = FeedForward(units, feed_forward, dropout, nn.SiLU), Residual(units, dropout, scale=HALF)
        self.attention, self.around_attention = attention, Residual(units, dropout)
        self.convolution, self.around_convolution = ConvolutionModule(units, kernel_size, convolution_norm), Residual(units, dropout)
        self.second, self.around_second = FeedForward(units, feed_forward, dropout, nn.SiLU), Residual(units, dropout, scale=HALF)
        self.norm = nn.LayerNorm(units)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``B S D`` with mask ``B S`` (True on padding) -> ``B S D``."""
        x = self.around_first.leave(x, self.first(self.around_first.enter(x)))
        x = self.around_attention.leave(x, self.attention(self.around_attention.enter(x), mask))
        x = self.around_convolution.leave(x, self.convolution(self.around_convolution.enter(x), mask))
        x = self.around_second.leave(x, self.second(self.around_second.enter(x)))
        normed: Tensor = self.norm(x)
        return normed


@ENCODERS.register("conformer")
class ConformerEncoder(Encoder):
    """Embedding and conformer blocks (Gulati et al. 2020, Conformer, section 2), for symbols in place of subsampled spectra.

    Args:
        units: width D of the embedding, of every block and of the memory; even.
        heads: of the self-attention, a divisor of ``units``.
        layers: number of blocks.
        feed_forward: width inside the feed-forward modules.
        kernel_size: of the depthwise convolutions, odd; the source has 31 for spectra, text needs less.
        convolution_norm: after them, ``batch`` norm over valid symbols, as published, or ``layer`` norm.
        dropout: after positions and every module, in training.
        attention_dropout: on the attention's weights, in training.
        prenet_layers, prenet_kernel_size, prenet_dropout: convolutions over the embedding, as in encoder ``transformer``; none.
        positions: ``relative``, as published, or added: ``scaled`` by a trained alpha or ``absolute``.
    """

    def __init__(
        self,
        num_symbols: int,
        *,
        units: int = 384,
        heads: int = 4,
        layers: int = 4,
        feed_forward: int = 1536,
        kernel_size: int = 7,
        convolution_norm: str = "batch",
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        prenet_layers: int = 0,
        prenet_kernel_size: int = 5,
        prenet_dropout: float = 0.5,
        positions: str = "relative",
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"layers: must be at least 1, got {layers}")
        self.out_dim = units
        self.prenet = SymbolEmbedding(num_symbols, units, prenet_layers, prenet_kernel_size, prenet_dropout, positions, dropout)
        self.blocks = nn.ModuleList(
            ConformerBlock(
                self_attention(units, heads, attention_dropout, positions), units, feed_forward, kernel_size, convolution_norm, dropout
            )
            for _ in range(layers)
        )

    def forward(self, inputs: Tensor, lengths: Tensor, noise: Noise | None = None) -> Tensor:
        mask = padding_mask(lengths, inputs.shape[1])
        x: Tensor = self.prenet(inputs, mask)
        for block in self.blocks:
            x = block(x, mask)
        return x.masked_fill(mask[..., None], 0.0)  # B S D
