import torch
from torch import nn

from toolkit.attentions import ATTENTIONS, Attention


@ATTENTIONS.register("sharp")
class SharpAttention(Attention):
    """Dot products of a projected query with the memory, sharpened."""

    def __init__(self, memory_dim: int, query_dim: int, *, sharpness: float = 2.0) -> None:
        super().__init__()
        self.query, self.scale = nn.Linear(query_dim, memory_dim, bias=False), sharpness / memory_dim**0.5

    def start(self, memory, mask, noise, hard=False):
        return memory, mask

    def forward(self, query, output, state, allowed=None):
        memory, mask = state[0], state[1] if allowed is None else state[1] | ~allowed
        energies = torch.einsum("bd,bsd->bs", self.query(query), memory) * self.scale
        weights = energies.masked_fill(mask, float("-inf")).softmax(1)
        return torch.einsum("bs,bsd->bd", weights, memory), weights, state
