"""Spectral norm whose estimate moves once an update."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrize

M = TypeVar("M", bound=nn.Module)
FIRST_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value, which a power iteration estimates (Miyato et al. 2018, algorithm 1).

    Published code iterates in each forward pass of a training. Here the trainer does once an update (``refine``), so that neither
    micro-batches nor processes change the estimate.
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(weight.shape[0], dtype=weight.dtype), dim=0))
        for _ in range(FIRST_ITERATIONS):
            self.refine(weight)

    def forward(self, weight: Tensor) -> Tensor:
        sigma = torch.linalg.vector_norm((weight.flatten(1) * self.u[:, None]).sum(0))  # a product would be one of half precision
        divided: Tensor = weight / sigma
        return divided

    @torch.no_grad()
    def refine(self, weight: Tensor) -> None:
        """One power iteration: u becomes W v of length 1, v = W'u of length 1."""
        matrix = weight.flatten(1)
        self.u.copy_(F.normalize(matrix @ F.normalize(matrix.T @ self.u, dim=0), dim=0))


def spectral_norm(layer: M) -> M:
    """The layer, whose ``weight`` is held to a largest singular value of 1."""
    weight = layer.get_parameter("weight")
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight.detach()))
    return layer


def normed(module: nn.Module) -> Iterator[tuple[SpectralNorm, Tensor]]:
    """The spectral norms of a module, each with the weight that it divides."""
    for part in module.modules():
        if isinstance(part, parametrize.ParametrizationList) and isinstance(part[0], SpectralNorm):
            yield part[0], part.original
