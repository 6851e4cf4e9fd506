"""Published checkpoints of other toolkits -> experiments of ours."""

from toolkit.infer.importing.base import IMPORTERS, Imported, Importer
from toolkit.infer.importing.hifigan import HiFiGANImporter
from toolkit.infer.importing.nvidia_tacotron2 import NvidiaTacotron2Importer
from toolkit.infer.importing.parallel_wavegan import ParallelWaveGANImporter

__all__ = ["IMPORTERS", "HiFiGANImporter", "Imported", "Importer", "NvidiaTacotron2Importer", "ParallelWaveGANImporter"]
