"""Products of a few rows with one large weight matrix, many times over.

Plain twin: ``torch.nn.functional.linear``. On a CPU the matrix is laid out once in the blocks that oneDNN's product reads
in order; ``linear`` would do so in every call, which for 16 rows takes longer than the product.

::

    weight N x K          blocks of the packed matrix, read front to back
    +---------+           +----+----+----+
    |         |           |K x n outputs | n outputs | ...        x: rows x K  ->  rows x N
    +---------+           +----+----+----+
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


class Product:
    """``x @ weight.T``.

    Args:
        weight: ``N K``.
        rows: of the x that will come, most of the time.
        low: data type of the factors and of the result where it is not float32.
    """

    def __init__(self, weight: Tensor, rows: int, low: torch.dtype | None = None) -> None:
        self.low = low
        weight = weight if low is None else weight.to(low)
        self.packed = can_pack(weight)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows) if self.packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        """``rows K`` -> ``rows N``, in ``low`` or float32."""
        x = x if self.low is None else x.to(self.low)
        if not self.packed:
            return F.linear(x, self.weight)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], "")
        return product


def can_pack(weight: Tensor) -> bool:
    """Whether oneDNN is there with a fast product of this data type."""
    if weight.device.type != "cpu" or not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


def transposed_product(left: Tensor, right: Tensor, total: Tensor) -> None:
    """``total += left.T @ right`` for ``rows N`` and ``rows K``; factors of lower precision are summed in that of ``total``."""
    if left.dtype == total.dtype:
        total.addmm_(left.t(), right)
    else:
        total += left.t() @ right
