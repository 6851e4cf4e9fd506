"""The encoder of Tacotron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.nn.cbhg import CBHG
from toolkit.nn.dropout import Dropout
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise


@ENCODERS.register("cbhg")
class CBHGEncoder(Encoder):
    """Embedding, a bottleneck with dropout and a CBHG (Wang et al. 2017, Tacotron, section 3.2, table 1).

    Args:
        embedding: width of the symbol embedding.
        prenet: widths of the bottleneck's ReLU layers.
        dropout: after each of them, in training.
        banks, channels: the convolution bank, kernels of 1 to ``banks`` steps.
        projection: channels of the first convolution after it; the second has as many as the bottleneck's last layer.
        highways, highway: number and width of the highway layers.
        gru: units of each direction; the memory has twice as many.
    """

    def __init__(
        self,
        num_symbols: int,
        *,
        embedding: int = 256,
        prenet: tuple[int, ...] = (256, 128),
        dropout: float = 0.5,
        banks: int = 16,
        channels: int = 128,
        projection: int = 128,
        highways: int = 4,
        highway: int = 128,
        gru: int = 128,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, embedding, padding_idx=0)
        widths = [embedding, *prenet]
        self.prenet = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.dropout = Dropout(dropout)
        self.cbhg = CBHG(widths[-1], banks, channels, projection, highways, highway, gru)
        self.out_dim = self.cbhg.out_dim

    def forward(self, inputs: Tensor, lengths: Tensor, noise: Noise | None = None) -> Tensor:
        features = self.embedding(inputs)
        for layer in self.prenet:
            features = self.dropout(torch.relu(layer(features)))
        memory: Tensor = self.cbhg(features, padding_mask(lengths, inputs.shape[1]))
        return memory  # B S D
