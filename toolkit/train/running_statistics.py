"""Moves what norms estimate over a training once an update, whichever process saw which micro-batch."""

from __future__ import annotations

import torch
from torch import nn

from toolkit.nn.batch_norm import BatchNorm
from toolkit.nn.spectral_norm import normed
from toolkit.train.distributed import Processes


def layers(module: nn.Module) -> list[BatchNorm]:
    """The batch normalisations of a module, in the order of its definition."""
    return [part for part in module.modules() if isinstance(part, BatchNorm)]


def forget(module: nn.Module) -> None:
    """Drop the statistics of an update that is not applied."""
    for layer in layers(module):
        layer.pending.clear()


def fold(module: nn.Module, process: Processes, micro_batches: int) -> None:
    """Average the statistics of all micro-batches in index order and move each layer's running ones by the mean.

    A spectral norm has no statistics of data; its estimate is refined for the weight that the update made.

    Args:
        micro_batches: how many of them this process worked on; a layer may have seen each more than once.
    """
    for norm, weight in normed(module):
        norm.refine(weight)
    waiting = [layer for layer in layers(module) if layer.pending]
    if not waiting:
        return
    seen = [torch.stack(layer.pending).view(micro_batches, -1) for layer in waiting]
    everything = process.in_order(torch.cat(seen, 1))
    for layer, part in zip(waiting, torch.split(everything, [s.shape[1] for s in seen], 1), strict=True):
        layer.fold(part.reshape(-1, layer.pending[0].numel()).mean(0))
        layer.pending.clear()
