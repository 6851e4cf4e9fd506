"""The contract of vocoders, and what those have in common that make all samples at once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from toolkit.data.batches import WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.execution import Execution, torch_threads
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.nn.normaliser import Normaliser
from toolkit.registry import Registry

CRITERIA = ("least_squares", "hinge")


class Vocoder(nn.Module):
    """Conditioning frames -> waveform.

    Wired: ``condition_dim`` (F), ``hop`` in samples, ``sample_rate`` in Hz, ``features`` (the mel definition, for parts
    that invert it). Attributes: ``lookahead`` and ``context`` are how many later and earlier frames a sample depends on;
    ``trainable`` is False for signal processing; ``execution`` says how ``generate`` and ``stream`` run, who synthesizes sets it.
    """

    lookahead: int = 0
    context: int = 0
    trainable: bool = True
    execution: Execution = Execution()

    def use_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Take mean and deviation ``F`` of the conditioning frames. A part that does not normalise has no use for them."""

    def path(self) -> str:
        """Which code ``generate`` would run here and now: ``torch``, with a reason if there is one, or ``native`` and what."""
        return "torch"

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        """Sums over the batch divided by the counts of the global batch; the trainer adds them up and descends."""
        raise NotImplementedError

    def generate(self, condition: Tensor, lengths: Tensor, noise: Noise | None, speaker: Tensor | None = None) -> Tensor:
        """``condition`` ``B T F`` in natural units, ``lengths`` frames ``B`` -> wave ``B N``, N = T x hop, 0 past the length."""
        raise NotImplementedError

    def stream(self, chunks: Iterable[Tensor], noise: Noise | None) -> Iterator[Tensor]:
        """Chunks of conditioning ``1 T F`` -> waves ``1 N``, together equal to ``generate`` of the whole."""
        raise NotImplementedError


class Adversarial(NamedTuple):
    """How a vocoder is trained against discriminators, beside its distances from recordings.

    A judgement's loss is the mean over its values of (1 - s)^2 of a recording and s^2 of a made wave, s the score, and for the
    vocoder (1 - s)^2 (``least_squares``, Mao et al. 2017); or max(0, 1 - s), max(0, 1 + s) and max(0, 1 - s) (``hinge``).
    """

    from_step: int | None  # the last update without discriminators; None: they never come
    weight: float  # of the judgements in the vocoder's loss
    feature_weight: float  # of the mean absolute differences of their features, summed over layers
    criterion: str  # least_squares | hinge

    def checked(self) -> "Adversarial":
        """The same, or a ``ConfigError``."""
        if self.criterion not in CRITERIA:
            raise ConfigError(f"criterion: of judgements, got {self.criterion!r}; known: {', '.join(CRITERIA)}")
        if min(self.weight, self.feature_weight) < 0:
            raise ConfigError(f"adversarial_weight, feature_weight: at least 0, got {self.weight:g} and {self.feature_weight:g}")
        if self.from_step is not None and self.from_step < 0:
            raise ConfigError(f"adversarial_from: updates before discriminators, at least 0 or null for never, got {self.from_step}")
        return self


class ParallelVocoder(Vocoder):
    """A vocoder that makes all samples at once from the frames around them. A part gives ``forward`` and ``distances``.

    It also sets ``hop``, ``context`` and ``lookahead`` (together its receptive field), ``normaliser``, ``adversarial``, and
    ``hold_edges``: beyond its ends an utterance goes on with its first and last frame, as in training; False: there is
    nothing, and each layer sees zeros, as it is where networks were trained on crops alone.
    """

    published_with: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # discriminators and their settings
    hop: int
    normaliser: Normaliser
    adversarial: Adversarial
    hold_edges: bool = True

    def forward(self, frames: Tensor, draws: Tensor | None) -> Tensor:
        """Normalised ``B T F``, and ``B T*hop 1`` of ``draws`` where the part asks for them -> waves ``B T*hop``."""
        raise NotImplementedError

    def distances(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Waves ``B N`` -> weighted distances by name, each ``B``."""
        raise NotImplementedError

    def draws(self, noise: Noise | None, position: int, frames: int, like: Tensor) -> Tensor | None:
        """What is drawn for ``frames`` from frame ``position`` on; most parts draw nothing."""
        return None

    def use_statistics(self, mean: Tensor, std: Tensor) -> None:
        self.normaliser.set(mean, std)

    def crops(self, batch: WaveBatch) -> tuple[Tensor, Tensor]:
        """The scored samples as made here and as recorded, each ``B crop*hop``, zero past an utterance's end."""
        noise = Noise.of_micro_batch(*batch.key, batch.condition.device)
        made = self(self.normaliser(batch.condition), self.draws(noise, 0, batch.condition.shape[1], batch.condition))
        scored = slice(batch.context * self.hop, batch.wave.shape[1])
        past = padding_mask(batch.ends - scored.start, scored.stop - scored.start)
        return made[:, scored].masked_fill(past, 0.0), batch.wave[:, scored]

    def distance_losses(self, made: Tensor, true: Tensor, batch: WaveBatch) -> dict[str, Tensor]:
        """Each distance summed over rows and divided by the utterances of the global batch: a crop is a vote, however long."""
        return {name: value.sum() / batch.counts.utterances for name, value in self.distances(made, true).items()}

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        """The distances alone; what discriminators say is added by who trains with them."""
        return self.distance_losses(*self.crops(batch), batch)

    @torch.inference_mode()
    def generate(self, condition: Tensor, lengths: Tensor, noise: Noise | None, speaker: Tensor | None = None) -> Tensor:
        """Rows are made one after the other: one fills a device, and many long ones would fill its memory."""
        wave = condition.new_zeros(condition.shape[0], condition.shape[1] * self.hop)
        for row, length in enumerate(lengths.tolist()):
            if length:
                own = None if noise is None else Noise([noise.streams[row]], False, noise.device)
                held, before, position = self._begun(condition[row : row + 1, :length])
                held, after = self._ended(held)
                wave[row, : length * self.hop] = self._speak(held, before, after, position, own)[0]
        return wave

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], noise: Noise | None) -> Iterator[Tensor]:
        """Speaks as far as the frames that came allow, each time with ``context`` frames before."""
        held: Tensor | None = None
        before = position = 0
        for chunk in chunks:
            held, before, position = self._begun(chunk) if held is None else (torch.cat([held, chunk], 1), before, position)
            ready = held.shape[1] - before - self.lookahead
            if ready > 0:
                yield self._speak(held, before, self.lookahead, position, noise)
                old = max(0, before + ready - self.context)
                held, before, position = held[:, old:], before + ready - old, position + old
        if held is not None and held.shape[1] > before:
            held, after = self._ended(held)
            yield self._speak(held, before, after, position, noise)

    def _begun(self, frames: Tensor) -> tuple[Tensor, int, int]:
        """With what goes before an utterance: frames, how many are not of it, and the position of the first."""
        if not self.hold_edges:
            return frames, 0, self.context
        return torch.cat([frames[:, :1].expand(-1, self.context, -1), frames], 1), self.context, 0

    def _ended(self, frames: Tensor) -> tuple[Tensor, int]:
        """With what comes after an utterance, and how many frames that is."""
        after = self.lookahead if self.hold_edges else 0
        return torch.cat([frames, frames[:, -1:].expand(-1, after, -1)], 1), after

    def _speak(self, frames: Tensor, before: int, after: int, position: int, noise: Noise | None) -> Tensor:
        """The samples of the frames between those before and after."""
        with torch_threads(self.execution.workers):
            wave: Tensor = self(self.normaliser(frames), self.draws(noise, position, frames.shape[1], frames))
        return wave[:, before * self.hop : (frames.shape[1] - after) * self.hop].clamp(-1.0, 1.0)


VOCODERS: Registry[Vocoder] = Registry("vocoder", Vocoder, wired=("condition_dim", "hop", "sample_rate", "features"))
