"""Decoders by name. What exists is this list."""

from toolkit.decoders.base import DECODERS, Decoder
from toolkit.decoders.linguistic import LinguisticDecoder
from toolkit.decoders.tacotron1 import Tacotron1Decoder
from toolkit.decoders.tacotron2 import Tacotron2Decoder

__all__ = ["DECODERS", "Decoder", "LinguisticDecoder", "Tacotron1Decoder", "Tacotron2Decoder"]
