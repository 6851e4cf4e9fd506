"""Encoders by name. What exists is this list."""

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.encoders.cbhg import CBHGEncoder
from toolkit.encoders.conv_blstm import ConvBLSTM
from toolkit.encoders.linguistic import LinguisticEncoder

__all__ = ["ENCODERS", "CBHGEncoder", "ConvBLSTM", "Encoder", "LinguisticEncoder"]
