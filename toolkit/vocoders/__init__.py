"""Vocoders by name. What exists is this list."""

from toolkit.vocoders.base import VOCODERS, Vocoder
from toolkit.vocoders.griffin_lim import GriffinLim
from toolkit.vocoders.hifigan import HiFiGAN
from toolkit.vocoders.parallel_wavegan import ParallelWaveGAN
from toolkit.vocoders.vocos import Vocos
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavernn import WaveRNN

__all__ = ["VOCODERS", "GriffinLim", "HiFiGAN", "ParallelWaveGAN", "Vocoder", "Vocos", "WaveNet", "WaveRNN"]
