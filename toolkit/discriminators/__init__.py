"""Discriminators by name: what tells made waves from recordings while an adversarial vocoder is trained."""

from toolkit.discriminators.base import DISCRIMINATORS, Discriminator, Judgement
from toolkit.discriminators.multi_period import MultiPeriod
from toolkit.discriminators.multi_resolution import MultiResolution
from toolkit.discriminators.multi_scale import MultiScale
from toolkit.discriminators.parallel_wavegan import ParallelWaveGANDiscriminator

__all__ = ["DISCRIMINATORS", "Discriminator", "Judgement", "MultiPeriod", "MultiResolution", "MultiScale", "ParallelWaveGANDiscriminator"]
