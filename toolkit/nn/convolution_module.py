"""The convolution module of conformers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.errors import ConfigError, nearest
from toolkit.nn.batch_norm import BatchNorm

NORMS = ("batch", "layer")


class ConvolutionModule(nn.Module):
    """1x1 to twice the width, GLU, depthwise convolution, norm, Swish, 1x1 (Gulati et al. 2020, section 2.2, figure 2).

    The layer norm before it and the dropout after it are those of its residual.

    Args:
        units: D.
        kernel_size: of the depthwise convolution, odd.
        norm: ``batch``, as published, over valid positions; or ``layer``, for which neither the other utterances of a batch nor
            running statistics matter.
    """

    def __init__(self, units: int, kernel_size: int, norm: str) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: must be odd, got {kernel_size}; nearest: {max(1, kernel_size + 1)}")
        if norm not in NORMS:
            raise ConfigError(f"convolution_norm: unknown, got {norm!r}; {nearest(norm, NORMS)}")
        self.gates = nn.Linear(units, 2 * units)
        self.depthwise = nn.Conv1d(units, units, kernel_size, padding=kernel_size // 2, groups=units)
        self.norm = BatchNorm(units) if norm == "batch" else nn.LayerNorm(units)
        self.join = nn.Linear(units, units)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``B T D`` with mask ``B T`` (True on padding) -> ``B T D``."""
        gated = F.glu(self.gates(x), 2).masked_fill(mask[..., None], 0.0).transpose(1, 2)  # a neighbour's padding is silence
        mixed = self.depthwise(gated)  # B D T
        normed = self.norm(mixed, mask).transpose(1, 2) if isinstance(self.norm, BatchNorm) else self.norm(mixed.transpose(1, 2))
        made: Tensor = self.join(F.silu(normed))
        return made
