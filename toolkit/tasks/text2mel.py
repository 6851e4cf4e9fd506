"""The task of the feature predictor: text -> mel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from toolkit.data.batches import TextMelBatch
from toolkit.data.dataset import TextMelData
from toolkit.data.statistics import load_statistics
from toolkit.data.voices import Voice
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.models.conditioning import Conditions
from toolkit.models.feature_predictor import FeaturePredictor, Prediction
from toolkit.nn.noise import Noise, utterance_seed
from toolkit.tasks.base import SystemTask
from toolkit.tasks.conditions import Tables, batch_conditions, conditioned, loaded_tables, made_up_tables, voice_conditions
from toolkit.tasks.made_up import text_mel_batch
from toolkit.tasks.observing import observe
from toolkit.tasks.schema import System
from toolkit.text.frontend import TextFrontend
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.protocol import Observation


class Text2Mel(SystemTask):
    """Assembles the feature predictor, its data and its losses from a configuration."""

    name = "text2mel"
    sections = (
        "seed", "features", "extras", "trim", "level", "limits", "cleaner", "tokenizer", "normalise", "reduction",
        "gradual_reduction", "teacher_forcing", "encoder", "conditioning", "attention", "decoder", "postnet", "losses", "text2mel",
    )  # fmt: skip
    frontend: TextFrontend

    def __init__(self, system: System, vocabulary: Vocabulary, tables: Tables | None = None) -> None:  # None: no names known yet
        super().__init__(system)
        self.num_symbols = len(vocabulary)
        self.tables = made_up_tables(system.conditioning) if tables is None else tables
        self.model = FeaturePredictor(
            vocabulary.symbols, system.features, system.reduction_at(1), system.encoder, system.decoder, system.postnet, system.attention,
            conditioned(system.conditioning, self.tables, system.features.bins),
        )  # fmt: skip
        self.model.decoder.emit(system.reduction)
        system.check_extras(self.model.decoder.needs)
        self.terms = {part.name: term for part in system.losses if (term := part.build()).weight}

    @classmethod
    def from_folder(cls, system: System, folder: Path) -> Text2Mel:
        """The task with the symbols, names and statistics that stand in a folder: ``tokens.txt``, ``stats.npz``."""
        frontend = TextFrontend.load(folder, system.cleaner.build(), system.tokenizer.build())
        task = cls(system, frontend.vocabulary, loaded_tables(system.conditioning, folder))
        task.frontend = frontend
        if system.normalise == "per_bin":
            task.model.normaliser.set(*load_statistics(folder / "stats.npz"))
        return task

    def data(self, folder: Path) -> TextMelData:
        """The utterances of a split."""
        widths = self.system.conditioning.widths if self.system.conditioning else {}
        return TextMelData(folder, self.frontend, self.system.features.hop, self.model.decoder.needs, self.tables, widths.get("vector"))

    def begin(self, step: int) -> dict[str, float]:
        """The frames of a decoder step, where they change while training."""
        frames = self.system.reduction_at(step)
        self.model.decoder.emit(frames)
        return {"reduction": frames} if self.system.gradual_reduction else {}

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
        conditions = batch_conditions(self.system.conditioning, batch, features)
        return self.model(batch.tokens, batch.token_lengths, targets, conditions, noise, hard, teacher), targets

    def conditions(self, voices: Sequence[Voice]) -> Conditions:
        """How texts are to be spoken, a row for each. What the model was not trained on is refused, and what it lacks."""
        return voice_conditions(self.system.conditioning, self.tables, voices, self.model.normaliser)

    def force(self, batch: TextMelBatch) -> Prediction:
        """Teacher-forced prediction as ground-truth alignment takes it: each utterance with its own draws, attention as at synthesis."""
        noise = Noise.of_rows([utterance_seed(self.system.seed, key) for key in batch.ids], batch.mel.device)
        return self.predict(batch, noise, hard=True)[0]

    def generate(self, tokens: Tensor, lengths: Tensor, noise: Noise | None, conditions: Conditions | None = None) -> Prediction:
        """Free-running prediction from symbols ``B S``; bounded by the length of the text."""
        settings, features = self.system.synthesis, self.system.features
        limit = (lengths * settings.frames_per_symbol + features.sample_rate / features.hop).long()
        return self.model.generate(tokens, lengths, limit, StopAtProbability(settings.stop_threshold), conditions or Conditions(), noise)

    def observe(self, batch: TextMelBatch) -> Observation:
        """Alignments, frames and sound of the first utterance, and how sharp alignments are."""
        return observe(self, batch)

    def made_up_batch(self, utterances: int = 2, symbols: int = 7, frames: int = 13) -> TextMelBatch:
        """A batch of random numbers of the right shapes, to try a configuration before any data is touched."""
        return text_mel_batch(self, utterances, symbols, frames)
