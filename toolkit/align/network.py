"""The monotonic-search aligner: what each symbol of a sentence sounds like, found by the sum over all monotonic paths.

The objective and the prior are those of Badlani et al. 2021, "One TTS alignment to rule them all", section 2, with three
differences. Scores are densities of the frames themselves (a Gaussian a symbol, as in the search of Glow-TTS) and not a softmax of
distances between learned encodings: the sum says nothing against a softmax that hears each symbol where its neighbour is. The paths
know symbols that may have no frame. And such a symbol sounds the same everywhere, so that a space is silence, and nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.nn.masks import padding_mask
from toolkit.nn.normaliser import Normaliser

FAR = -1e4  # log score of what is padding
EVIDENCE = 8.0  # of how many independent bins a frame is worth: neighbouring bins say the same


class AlignerNetwork(nn.Module):
    """Symbols and frames -> log score of each symbol at each frame.

    Args:
        skippable: bool, by id: the symbols that may have no frame, padding among them. They have one spectrum each, without context.
        bins: width of the frames.
        channels: width of the convolutions over the symbols.
    """

    skippable: Tensor

    def __init__(self, skippable: Tensor, bins: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("skippable", skippable, persistent=False)
        self.normaliser = Normaliser(bins)
        self.embedding = nn.Embedding(len(skippable), channels)
        self.context = nn.ModuleList(nn.Conv1d(channels, channels, 3, padding=1) for _ in range(2))
        self.spectrum = nn.Linear(channels, bins)
        self.silence = nn.Embedding(len(skippable), bins)
        self.log_std = nn.Parameter(torch.zeros(bins))
        nn.init.zeros_(self.silence.weight)

    def forward(self, tokens: Tensor, token_lengths: Tensor, mel: Tensor) -> Tensor:
        """``B S`` and ``B T M`` (natural units) -> ``B T S``, -10000 on padding."""
        unheard = self.skippable[tokens][..., None]
        encoded = self.embedding(tokens)
        for layer in self.context:
            encoded = layer(encoded.masked_fill(unheard, 0.0).transpose(1, 2)).transpose(1, 2).relu()
        means = torch.where(unheard, self.silence(tokens), self.spectrum(encoded)) / self.log_std.exp()
        frames = self.normaliser(mel) / self.log_std.exp()
        squares = frames.square().sum(-1)[..., None] - 2 * frames @ means.transpose(1, 2) + means.square().sum(-1)[:, None]
        scores = -(0.5 * squares + self.log_std.sum()) * (EVIDENCE / len(self.log_std))
        masked: Tensor = scores.masked_fill(padding_mask(token_lengths, tokens.shape[1])[:, None], FAR)
        return masked


def diagonal_prior(token_lengths: Tensor, mel_lengths: Tensor, symbols: int, frames: int) -> Tensor:
    """Log of the beta-binomial prior ``B T S`` (section 2.3, omega 1): frame t of T expects symbol t S / T, -10000 on padding.

    P(s | t) = BetaBinomial(s; S - 1, alpha = t, beta = T - t + 1), t from 1.
    """
    count = (token_lengths - 1).double()[:, None, None]
    total = mel_lengths.double()[:, None, None]
    s = torch.arange(symbols, device=token_lengths.device).double()[None, None]
    t = torch.arange(1, frames + 1, device=token_lengths.device).double()[None, :, None].minimum(total)
    inside = s <= count
    s = s.minimum(count)
    choose = torch.lgamma(count + 1) - torch.lgamma(s + 1) - torch.lgamma(count - s + 1)
    with_counts = torch.lgamma(s + t) + torch.lgamma(count - s + total - t + 1) - torch.lgamma(count + total + 1)
    without = torch.lgamma(t) + torch.lgamma(total - t + 1) - torch.lgamma(total + 1)
    return (choose + with_counts - without).float().masked_fill(~inside, FAR)
