"""Encoders by name. What exists is this list."""

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.encoders.cbhg import CBHGEncoder
from toolkit.encoders.conformer import ConformerEncoder
from toolkit.encoders.conv_blstm import ConvBLSTM
from toolkit.encoders.linguistic import LinguisticEncoder
from toolkit.encoders.transformer import TransformerEncoder

__all__ = ["ENCODERS", "CBHGEncoder", "ConformerEncoder", "ConvBLSTM", "Encoder", "LinguisticEncoder", "TransformerEncoder"]
