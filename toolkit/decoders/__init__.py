"""Decoders by name. What exists is this list."""

from toolkit.decoders.base import DECODERS, Decoder
from toolkit.decoders.tacotron2 import Tacotron2Decoder

__all__ = ["DECODERS", "Decoder", "Tacotron2Decoder"]
