"""Published checkpoints of other toolkits -> experiments of ours."""

from toolkit.infer.importing.base import IMPORTERS, Imported, Importer
from toolkit.infer.importing.espnet_tacotron2 import EspnetTacotron2Importer
from toolkit.infer.importing.hifigan import HiFiGANImporter
from toolkit.infer.importing.nvidia_tacotron2 import NvidiaTacotron2Importer
from toolkit.infer.importing.parallel_wavegan import ParallelWaveGANImporter
from toolkit.infer.importing.r9y9_wavenet import R9y9WaveNetImporter

__all__ = [
    "IMPORTERS",
    "EspnetTacotron2Importer",
    "HiFiGANImporter",
    "Imported",
    "Importer",
    "NvidiaTacotron2Importer",
    "ParallelWaveGANImporter",
    "R9y9WaveNetImporter",
]
