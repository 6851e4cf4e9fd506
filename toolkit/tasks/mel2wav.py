"""The task of the vocoder: mel -> waveform."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from toolkit.data.batches import Counts, WaveBatch
from toolkit.data.dataset import WaveData
from toolkit.data.statistics import load_statistics
from toolkit.errors import ConfigError
from toolkit.models.adversary import Adversary
from toolkit.tasks.base import SystemTask
from toolkit.tasks.schema import System
from toolkit.train.protocol import Observation
from toolkit.vocoders.base import ParallelVocoder


class Mel2Wav(SystemTask):
    """Assembles the vocoder and its data from a configuration, and the discriminators of an adversarial one.

    Args:
        judged: whether discriminators are built; synthesis has no use for them.
    """

    name = "mel2wav"
    training_only = "adversary."  # weights whose names begin so
    sections = ("seed", "features", "extras", "trim", "level", "limits", "vocoder", "crops", "mel2wav")

    def __init__(self, system: System, judged: bool = True) -> None:
        super().__init__(system)
        features = system.features
        self.vocoder = system.vocoder.build(
            condition_dim=system.condition_dim, hop=features.hop, sample_rate=features.sample_rate, features=features
        )
        self.adversary: Adversary | None = None
        if judged and system.discriminators and isinstance(self.vocoder, ParallelVocoder):
            built = {part.name: part.build(sample_rate=features.sample_rate) for part in system.discriminators}
            self.adversary = Adversary(built, self.vocoder.adversarial)

    @classmethod
    def from_folder(cls, system: System, folder: Path, judged: bool = True) -> Mel2Wav:
        """The task with the statistics of the conditioning frames that stand in a folder as ``stats.npz``."""
        task = cls(system, judged)
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

    def turns(self, step: int) -> tuple[str, ...]:
        """One optimiser; where there are discriminators the vocoder's, and before it theirs from the step on that they join at."""
        if self.adversary is None:
            return ("main",)
        return ("discriminator", "generator") if step > (self.adversary.settings.from_step or 0) else ("generator",)

    def parameters_of(self, turn: str) -> Iterable[tuple[str, nn.Parameter]]:
        parts = {"discriminator": ("adversary.",), "generator": ("vocoder.",)}.get(turn, ("",))
        return [(name, parameter) for name, parameter in self.named_parameters() if name.startswith(parts)]

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        """The vocoder's own; in training what discriminators add, or their own, by turns. Each turn makes the waves anew."""
        vocoder = self.vocoder
        if self.adversary is None or not self.training or turn == "main" or not isinstance(vocoder, ParallelVocoder):
            return vocoder.losses(batch, turn)
        if turn == "discriminator":
            with torch.no_grad():
                made, true = vocoder.crops(batch)
            return self.adversary.own_losses(made, true, batch.counts.utterances)
        made, true = vocoder.crops(batch)
        losses = vocoder.distance_losses(made, true, batch)
        if "discriminator" in self.turns(batch.key[1]):
            losses |= self.adversary.vocoder_losses(made, true, batch.counts.utterances)
        return losses

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
            key=(self.system.seed, self.settings.max_steps, 0),
        )
