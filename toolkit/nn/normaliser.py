"""Mean and variance normalisation that travels with the weights."""

import torch
from torch import Tensor, nn


class Normaliser(nn.Module):
    """Per-bin shift and scale of frames. The identity until ``set`` is called; stored with the weights as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Take statistics of the training set, each of ``size`` bins."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, frames: Tensor) -> Tensor:
        """Natural units ``... size`` -> normalised."""
        return (frames - self.mean) / self.std

    def inverse(self, frames: Tensor) -> Tensor:
        """Normalised ``... size`` -> natural units."""
        return frames * self.std + self.mean
