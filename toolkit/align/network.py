"""The monotonic-search aligner: two small encoders whose distance says which symbol is heard at a frame (Badlani et al. 2021).

"One TTS alignment to rule them all", section 2: scores are a softmax over the symbols of the sentence of minus the squared
distance between what is written and what is heard, times a prior that favours the diagonal; training maximises the sum over
all monotonic paths. Other than there, this sum knows symbols that may be silent, and has no blank; and neither encoder sees far:
with neighbours in view, a symbol would learn to be heard where the one before it is, as nothing in the sum speaks against that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.masks import padding_mask
from toolkit.nn.normaliser import Normaliser

FAR = -1e4  # log score of what is padding
NEVER = -1e9  # of what no path does


class AlignerNetwork(nn.Module):
    """Symbols and frames -> log probability of each symbol at each frame.

    Args:
        num_symbols: size of the vocabulary.
        bins: width of the frames.
        channels: width of the convolutions; the space of the distances is half as wide.
    """

    def __init__(self, num_symbols: int, bins: int, channels: int) -> None:
        super().__init__()
        self.normaliser = Normaliser(bins)
        self.embedding = nn.Embedding(num_symbols, channels, padding_idx=0)
        self.written = nn.ModuleList([nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, channels // 2, 1)])
        self.heard = nn.ModuleList(
            [nn.Conv1d(bins, channels, 3, padding=1), nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, channels // 2, 1)]
        )
        self.log_scale = nn.Parameter(torch.tensor(0.0))

    def forward(self, tokens: Tensor, token_lengths: Tensor, mel: Tensor, mel_lengths: Tensor) -> Tensor:
        """``B S`` and ``B T M`` (natural units) -> ``B T S``, softmax over a row's own symbols, -10000 on padding."""
        silent = padding_mask(token_lengths, tokens.shape[1])
        written = _through(self.written, self.embedding(tokens), silent)
        heard = _through(self.heard, self.normaliser(mel), padding_mask(mel_lengths, mel.shape[1]))
        squares = heard.square().sum(-1)[..., None] - 2 * heard @ written.transpose(1, 2) + written.square().sum(-1)[:, None]
        return (-self.log_scale.exp() * squares).masked_fill(silent[:, None], FAR).log_softmax(-1)


def _through(layers: nn.ModuleList, values: Tensor, mask: Tensor) -> Tensor:
    """Convolutions with ReLU between them over ``B N C``; padding stays 0, so that it changes nothing."""
    for index, layer in enumerate(layers):
        values = values.masked_fill(mask[..., None], 0.0)
        values = layer(values.transpose(1, 2)).transpose(1, 2)
        values = values.relu() if index + 1 < len(layers) else values
    return values


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


def forward_sum(scores: Tensor, skippable: Tensor, token_lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """Minus the log probability of all monotonic paths, a value a row ``B`` (section 2.1, equation 3).

    The paths are those of ``monotonic_path``. Rows that have none, as their frames are too few, give 0.

    Args:
        scores: ``B T S`` log scores; they are normalised over the symbols.
        skippable: bool ``B S``, True for symbols that may have no frame.
    """
    scores, (_, frames, symbols) = scores.log_softmax(-1), scores.shape
    places = torch.arange(symbols, device=scores.device)
    padding = padding_mask(token_lengths, symbols)
    silent = skippable | padding
    last_heard = torch.where(silent, -1, places).cummax(1).values
    between = (places - 1 - F.pad(last_heard[:, :-1], (1, 0), value=-1)).masked_fill(padding, 0)  # skippable ones right before each
    back = torch.arange(int(between.max()) + 1, -1, -1, device=scores.device)  # steps from the symbol before to this one
    closed = (back > between[..., None] + 1).float() * NEVER
    state = scores[:, 0] + (between != places).float() * NEVER
    states = [state]
    for t in range(1, frames):
        sources = F.pad(state, (len(back) - 1, 0), value=NEVER).unfold(1, len(back), 1) + closed
        state = sources.logsumexp(-1) + scores[:, t]
        states.append(state)
    heard_after = F.pad((~silent).flip(1).cumsum(1).flip(1)[:, 1:], (0, 1)) > 0
    last = torch.stack(states, 1)[torch.arange(len(scores), device=scores.device), mel_lengths - 1]
    total = last.masked_fill(heard_after | padding, NEVER).logsumexp(-1)
    return torch.where(total > NEVER / 2, -total, 0.0)
