"""How attention weights may move from one decoder step to the next, one symbol at a time or past several, never back.

Weights are ``B S`` in float32 at least, ``mask`` is True on padding, energies are before any sigmoid or softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.attention_weights import masked_softmax


def shifted(weights: Tensor) -> Tensor:
    """Each weight one symbol on."""
    return F.pad(weights[:, :-1], (1, 0))


def reweighted(energies: Tensor, reached: Tensor, mask: Tensor, allowed: Tensor | None, least: float = 0.0) -> Tensor:
    """Softmax of the energies times what attention has ``reached``, scaled to a sum of 1 (Zhang et al. 2018).

    In one softmax, since the sum of the first cancels: no quotient of two small numbers. Where nothing that is allowed has been
    reached, the energies alone decide. With ``least`` no product that is allowed is below it, before they are scaled.
    """
    if least:
        products = masked_softmax(energies.to(reached.dtype), mask, allowed) * reached
        closed = mask if allowed is None else mask | ~allowed
        return F.normalize(products.clamp(min=least).masked_fill(closed, 0.0), p=1.0, dim=1)
    tiny = torch.finfo(reached.dtype).tiny
    return masked_softmax(energies.to(reached.dtype) + reached.clamp(min=tiny).log(), mask, allowed)


def last_symbol(mask: Tensor) -> Tensor:
    """Bool ``B S``, True at the last symbol of each row."""
    return ~mask & F.pad(mask[:, 1:], (0, 1), value=True)


def soft_monotonic(energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """Expected weights where attention goes on from where it was and stops at each symbol with p = sigmoid(energy).

    a_j = p_j sum_{k <= j} before_k prod_{k <= l < j} (1 - p_l) (Raffel et al. 2017, section 2.3), in the logarithm, so that
    neither products nor their quotients leave the range. At the last symbol p is 1, so that no weight is lost behind it.
    """
    energies = energies.to(before.dtype)
    passing = F.logsigmoid(-energies)
    until = passing.cumsum(1) - passing  # log prod_{l < j} (1 - p_l)
    arriving = until + torch.logcumsumexp(before.clamp(min=torch.finfo(before.dtype).tiny).log() - until, 1)
    stopping = torch.sigmoid(energies).masked_fill(last_symbol(mask), 1.0)
    return (stopping * arriving.exp()).masked_fill(mask, 0.0)


def hard_monotonic(energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """The first symbol from the attended one on whose p is above a half, or the last one; int64 ``B``."""
    places = torch.arange(mask.shape[1], device=mask.device)
    ahead = places >= before.argmax(1, keepdim=True)
    return (ahead & ((energies > 0) & ~mask | last_symbol(mask))).int().argmax(1)


def soft_stepwise(energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """Expected weights where attention stays with p = sigmoid(energy) or moves one symbol on (He et al. 2019, equation 8).

    a_j = before_j p_j + before_{j-1} (1 - p_{j-1}). At the last symbol p is 1, so that no weight is lost behind it.
    """
    staying = torch.sigmoid(energies.to(before.dtype)).masked_fill(last_symbol(mask), 1.0)
    return (before * staying + shifted(before * (1.0 - staying))).masked_fill(mask, 0.0)


def hard_stepwise(energies: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """The attended symbol where its p is at least a half or it is the last one, else the next one; int64 ``B``."""
    place = before.argmax(1, keepdim=True)
    stays = (energies >= 0) | last_symbol(mask)
    return (place + (~stays.gather(1, place)).long()).squeeze(1)


def pointer(places: Tensor, mask: Tensor, allowed: Tensor | None, like: Tensor) -> Tensor:
    """Weights ``B S`` that are 1 at the places int64 ``B``, or at the nearest one that is ``allowed``."""
    if allowed is not None:
        distance = (torch.arange(mask.shape[1], device=mask.device) - places[:, None]).abs()
        places = distance.masked_fill(mask | ~allowed, mask.shape[1]).argmin(1)
    return F.one_hot(places, mask.shape[1]).to(like.dtype)
