"""Encoders by name. What exists is this list."""

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.encoders.conv_blstm import ConvBLSTM

__all__ = ["ENCODERS", "ConvBLSTM", "Encoder"]
