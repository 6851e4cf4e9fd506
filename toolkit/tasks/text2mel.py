"""The task of the feature predictor: text -> mel."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from toolkit.data.batches import Counts, TextMelBatch
from toolkit.data.dataset import TextMelData
from toolkit.data.statistics import load_statistics
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.models.conditioning import Conditions
from toolkit.models.feature_predictor import FeaturePredictor, Prediction
from toolkit.nn.noise import Noise, seed_of
from toolkit.tasks.base import SystemTask
from toolkit.tasks.observing import observe
from toolkit.tasks.schema import System
from toolkit.text.frontend import TextFrontend
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.protocol import Observation


def utterance_seed(seed: int, key: str) -> int:
    """The seed of an utterance's random draws, whatever batch it stands in."""
    return seed_of(seed, "utterance", key)


class Text2Mel(SystemTask):
    """Assembles the feature predictor, its data and its losses from a configuration."""

    name = "text2mel"
    sections = (
        "seed", "features", "extras", "trim", "level", "limits", "cleaner", "tokenizer", "normalise", "reduction", "teacher_forcing",
        "encoder", "attention", "decoder", "postnet", "losses", "text2mel",
    )  # fmt: skip

    def __init__(self, system: System, vocabulary: Vocabulary) -> None:
        super().__init__(system)
        self.num_symbols = len(vocabulary)
        self.model = FeaturePredictor(
            vocabulary.symbols, system.features, system.reduction, system.encoder, system.decoder, system.postnet, system.attention
        )
        terms = {part.name: part.build() for part in system.losses}
        self.terms = {name: term for name, term in terms.items() if term.weight}

    @classmethod
    def from_folder(cls, system: System, folder: Path) -> Text2Mel:
        """The task with the symbols and statistics that stand in a folder: ``tokens.txt``, ``stats.npz``."""
        frontend = TextFrontend.load(folder, system.cleaner.build(), system.tokenizer.build())
        task = cls(system, frontend.vocabulary)
        task.frontend = frontend
        if system.normalise == "per_bin":
            task.model.normaliser.set(*load_statistics(folder / "stats.npz"))
        return task

    frontend: TextFrontend

    def data(self, folder: Path) -> TextMelData:
        """The utterances of a split."""
        return TextMelData(folder, self.frontend, self.system.features.hop, self.model.decoder.needs)

    def losses(self, batch: TextMelBatch, turn: str) -> dict[str, Tensor]:
        """Every term, weighted: sums over the micro-batch divided by the counts of the global batch."""
        noise = Noise.of_micro_batch(*batch.key, device=batch.mel.device)
        forcing = self.system.teacher_forcing
        teacher = forcing.share(batch.key[1]) if forcing is not None and self.training else 1.0
        prediction, targets = self.predict(batch, noise, teacher=teacher)
        losses = {name: term.weight * term(prediction, targets, batch.token_lengths, batch.counts) for name, term in self.terms.items()}
        own = self.model.decoder.losses(prediction.output, targets)
        return losses | {name: value / batch.counts.frames for name, value in own.items()}

    def predict(self, batch: TextMelBatch, noise: Noise | None, hard: bool = False, teacher: float = 1.0) -> tuple[Prediction, Targets]:
        """Teacher-forced prediction of a batch, and the targets it is compared with, both normalised.

        Frames that a postnet turns into other features stay in natural units.
        """
        features, frames = self.model.normaliser(batch.mel), self.model.postnet.frames_of(batch.mel)
        first, refined = (features, None) if frames is batch.mel else (frames, features)
        targets = Targets(first, batch.mel_lengths, batch.durations, batch.f0, batch.energy, refined)
        conditions = Conditions(batch.speaker, batch.language, batch.vector)
        return self.model(batch.tokens, batch.token_lengths, targets, conditions, noise, hard, teacher), targets

    def force(self, batch: TextMelBatch) -> Prediction:
        """Teacher-forced prediction as ground-truth alignment takes it: each utterance with its own draws, attention as at synthesis."""
        noise = Noise.of_rows([utterance_seed(self.system.seed, key) for key in batch.ids], batch.mel.device)
        return self.predict(batch, noise, hard=True)[0]

    def generate(self, tokens: Tensor, lengths: Tensor, noise: Noise | None) -> Prediction:
        """Free-running prediction from symbols ``B S``; bounded by the length of the text."""
        settings, features = self.system.synthesis, self.system.features
        limit = (lengths * settings.frames_per_symbol + features.sample_rate / features.hop).long()
        return self.model.generate(tokens, lengths, limit, StopAtProbability(settings.stop_threshold), Conditions(), noise)

    def observe(self, batch: TextMelBatch) -> Observation:
        """Alignments, frames and sound of the first utterance, and how sharp alignments are."""
        return observe(self, batch)

    def made_up_batch(self, utterances: int = 2, symbols: int = 7, frames: int = 13) -> TextMelBatch:
        """A batch of random numbers of the right shapes, to try a configuration before any data is touched."""
        mel = torch.randn(utterances, frames, self.system.features.bins)
        durations = torch.full((utterances, symbols), frames // symbols)
        durations[:, 0] += frames - frames // symbols * symbols
        more = {"durations": durations, "f0": torch.full((utterances, frames), 120.0)}
        return TextMelBatch(
            ids=[f"made-up-{i}" for i in range(utterances)],
            tokens=torch.randint(1, self.num_symbols, (utterances, symbols)),
            token_lengths=torch.full((utterances,), symbols),
            mel=mel,
            mel_lengths=torch.full((utterances,), frames),
            counts=Counts(utterances, utterances * frames, utterances * frames * self.system.features.hop),
            key=(self.system.seed, 0, 0),
            **{name: more[name] for name in self.model.decoder.needs},
        )
