"""The contract of vocoders."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from toolkit.data.batches import WaveBatch
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.registry import Registry


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


VOCODERS: Registry[Vocoder] = Registry("vocoder", Vocoder, wired=("condition_dim", "hop", "sample_rate", "features"))
