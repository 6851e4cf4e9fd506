"""The task of the vocoder: mel -> waveform."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from toolkit.data.batches import Counts, WaveBatch
from toolkit.data.dataset import WaveData
from toolkit.data.statistics import load_statistics
from toolkit.errors import ConfigError
from toolkit.tasks.base import SystemTask
from toolkit.tasks.schema import System
from toolkit.train.protocol import Observation


class Mel2Wav(SystemTask):
    """Assembles the vocoder and its data from a configuration."""

    name = "mel2wav"
    sections = ("seed", "features", "extras", "trim", "level", "limits", "vocoder", "crops", "mel2wav")

    def __init__(self, system: System) -> None:
        super().__init__(system)
        features = system.features
        self.vocoder = system.vocoder.build(
            condition_dim=system.condition_dim, hop=features.hop, sample_rate=features.sample_rate, features=features
        )

    @classmethod
    def from_folder(cls, system: System, folder: Path) -> Mel2Wav:
        """The task with the statistics of the conditioning frames that stand in a folder as ``stats.npz``."""
        task = cls(system)
        if system.decoder.cls.makes_spectrum:
            task.vocoder.use_statistics(*load_statistics(folder / "stats.npz"))
        task.folder = folder
        return task

    folder: Path

    def data(self, folder: Path) -> WaveData:
        """Crops of a split: its waves with extracted frames, or with the ground-truth-aligned ones of ``gta/``."""
        if not self.vocoder.trainable:
            raise ConfigError(f"vocoder: {self.system.vocoder.name!r} is signal processing and is not trained; leave out this stage")
        gta = self.folder / "gta" / folder.name / "feats.scp"
        features = gta if self.system.crops.input == "gta" else folder / "feats.scp"
        vocoder = self.vocoder
        return WaveData(folder, features, self.system.features.hop, self.system.crops.frames, vocoder.context, vocoder.lookahead)

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        return self.vocoder.losses(batch, turn)

    @torch.no_grad()
    def observe(self, batch: WaveBatch) -> Observation:
        """Nothing beyond the losses: a sample-by-sample vocoder is too slow to be heard at each validation."""
        return Observation({}, {}, {})

    def made_up_batch(self, rows: int = 2, crop: int = 4) -> WaveBatch:
        """A batch of random numbers of the right shapes, to try a configuration before any data is touched."""
        features, vocoder, crop = self.system.features, self.vocoder, min(self.system.crops.frames, crop)
        samples = (vocoder.context + crop) * features.hop
        return WaveBatch(
            ids=[f"made-up-{i}" for i in range(rows)],
            condition=torch.randn(rows, vocoder.context + crop + vocoder.lookahead, self.system.condition_dim),
            wave=torch.rand(rows, samples) - 0.5,
            first=torch.zeros(rows, dtype=torch.int64),
            ends=torch.full((rows,), samples),
            context=vocoder.context,
            counts=Counts(rows, rows * crop, rows * crop * features.hop),
            key=(self.system.seed, 0, 0),
        )
