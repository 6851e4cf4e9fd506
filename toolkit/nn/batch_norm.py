"""Batch normalisation over valid positions, with running statistics that move once an update."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) of ``B C T`` in which padding does not count.

    In training the statistics are those of the valid positions of one micro-batch. They are kept in ``pending``, and the
    trainer moves the running ones once an update by the mean over all micro-batches (``toolkit.train.running_statistics``),
    so that neither padding nor the number of processes changes them. One that is ``frozen`` uses its running statistics in
    training too, and they stay.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.frozen = False
        self.pending: list[Tensor] = []  # each 2 C: mean, then unbiased variance

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``B C T`` with mask ``B T`` (True on padding, None for no padding) -> ``B C T``, 0 on padding."""
        if self.frozen or not self.training:
            out = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.epsilon)
            return out if mask is None else out.masked_fill(mask[:, None], 0.0)
        if mask is None or not bool(mask.any()):
            return self._normalise(x)
        batch, channels, time = x.shape
        valid = (~mask).reshape(-1).nonzero().squeeze(1)
        rows = x.transpose(1, 2).reshape(batch * time, channels)
        normalised = self._normalise(rows.index_select(0, valid))
        out = normalised.new_zeros(batch * time, channels).index_copy(0, valid, normalised)
        return out.view(batch, time, channels).transpose(1, 2)

    def _normalise(self, x: Tensor) -> Tensor:
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        # a momentum of 1 hands back the statistics of this input: its mean and unbiased variance
        out = F.batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.epsilon)
        self.pending.append(torch.cat([mean, var]))
        return out

    def fold(self, statistics: Tensor) -> None:
        """Move the running statistics once towards ``statistics`` (2 C: mean, variance)."""
        mean, var = statistics.to(self.running_mean.dtype).chunk(2)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var, self.momentum)
