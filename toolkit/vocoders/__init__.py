"""Vocoders by name. What exists is this list."""

from toolkit.vocoders.base import VOCODERS, Vocoder
from toolkit.vocoders.griffin_lim import GriffinLim
from toolkit.vocoders.wavenet import WaveNet

__all__ = ["VOCODERS", "GriffinLim", "Vocoder", "WaveNet"]
