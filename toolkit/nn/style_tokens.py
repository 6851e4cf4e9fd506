"""Global style tokens: a bank of vectors; the style of an utterance is a mixture of them (Wang et al. 2018, arXiv 1803.09017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toolkit.nn.batch_norm import BatchNorm
from toolkit.nn.masks import padding_mask
from toolkit.nn.multi_head_attention import MultiHeadAttention
from toolkit.nn.packing import over_lengths

DEVIATION = 0.5  # of the first tokens; tanh is nearly straight there


class ReferenceEncoder(nn.Module):
    """Frames of an utterance -> one vector (section 3.2.1).

    2-D convolutions of kernel 3 and stride 2 over time and frequency, each with batch norm and ReLU, then a GRU over time, whose
    state after the last valid step is the result. What lies behind a row's end changes nothing.

    Args:
        bins: M of the frames.
        channels: of each convolution.
        units: of the GRU.
    """

    def __init__(self, bins: int, channels: Sequence[int], units: int) -> None:
        super().__init__()
        pairs = list(zip((1, *channels), channels, strict=False))
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False) for before, after in pairs)
        self.norms = nn.ModuleList(BatchNorm(after) for after in channels)
        for _ in channels:
            bins = (bins + 1) // 2  # what a stride of 2 leaves
        self.gru = nn.GRU(bins * channels[-1], units, batch_first=True)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """``B T M``, lengths ``B`` of at least 1 -> ``B units``."""
        x = frames.masked_fill(padding_mask(lengths, frames.shape[1])[..., None], 0.0)[:, None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x, lengths = convolution(x), (lengths + 1) // 2
            mask = padding_mask(lengths, x.shape[2]).repeat_interleave(x.shape[3], 1)
            x = torch.relu(norm(x.flatten(2), mask)).view(x.shape)  # 0 on padding, as the next one expects
        states = over_lengths(self.gru, x.transpose(1, 2).flatten(2), lengths)
        return states[torch.arange(len(states), device=states.device), lengths - 1]


class StyleTokens(nn.Module):
    """Frames of a reference, or weights of tokens -> the style of an utterance (section 3.2.2).

    The vector of the reference is the query of an attention in several heads over tanh(tokens). In training the reference is the
    utterance itself, so that the tokens learn, without labels, what its text leaves open.

    Args:
        bins: M of the frames.
        dim: D of the style.
        tokens: K, how many there are, each of ``dim / heads`` values.
        heads: of the attention, a divisor of ``dim``.
        channels, units: of the reference encoder.
    """

    def __init__(self, bins: int, dim: int, tokens: int, heads: int, channels: Sequence[int], units: int) -> None:
        super().__init__()
        self.reference = ReferenceEncoder(bins, channels, units)
        self.attention = MultiHeadAttention(dim, heads, 0.0, memory_dim=dim // heads, query_dim=units)
        self.tokens = nn.Parameter(DEVIATION * torch.randn(tokens, dim // heads))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """The style of a reference ``B T M`` -> ``B D``."""
        bank = torch.tanh(self.tokens).expand(len(frames), -1, -1)
        query = self.reference(frames, lengths)[:, None]
        return self.attention.attend(query, self.attention.known(bank)).squeeze(1)

    def mix(self, weights: Tensor) -> Tensor:
        """The style that weights ``B K`` of the tokens make, the same in all heads, without a reference -> ``B D``."""
        values = self.attention.known(torch.tanh(self.tokens)[None]).values
        return self.attention.joined(weights[:, None, None] @ values).squeeze(1)
