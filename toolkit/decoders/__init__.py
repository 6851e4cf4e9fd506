"""Decoders by name. What exists is this list."""

from toolkit.decoders.base import DECODERS, Decoder
from toolkit.decoders.linguistic import LinguisticDecoder
from toolkit.decoders.non_attentive import NonAttentiveDecoder
from toolkit.decoders.tacotron1 import Tacotron1Decoder
from toolkit.decoders.tacotron2 import Tacotron2Decoder
from toolkit.decoders.transformer import TransformerDecoder

__all__ = ["DECODERS", "Decoder", "LinguisticDecoder", "NonAttentiveDecoder", "Tacotron1Decoder", "Tacotron2Decoder", "TransformerDecoder"]
