"""The mu-law of ITU-T G.711 with mu = 255: 256 classes, narrow near 0 and wide near full scale (van den Oord et al. 2016, section 2.2)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

CLASSES = 256
MU = CLASSES - 1


def encode(wave: Tensor) -> Tensor:
    """Samples in [-1, 1] -> classes 0 .. 255, int64. 0 has the middle of class 128, so that silence is exact."""
    companded = torch.sign(wave) * torch.log1p(MU * wave.abs().clamp(max=1.0)) / math.log1p(MU)
    return (companded * (CLASSES / 2)).round().long().clamp(-CLASSES // 2, CLASSES // 2 - 1) + CLASSES // 2


def decode(classes: Tensor) -> Tensor:
    """Classes -> the middle of each, in [-1, 1)."""
    steps = (classes - CLASSES // 2).to(torch.get_default_dtype())
    return torch.sign(steps) * torch.expm1(steps.abs() * (2 / CLASSES) * math.log1p(MU)) / MU


@lru_cache(maxsize=1)
def levels() -> Tensor:
    """How many levels of a 16-bit file each class has, int64, 256 values whose sum is 65536."""
    return torch.bincount(encode(torch.arange(-(2**15), 2**15, dtype=torch.float64) / 2**15), minlength=CLASSES)
