from torch import nn

from toolkit.nn.masks import padding_mask
from toolkit.vocoders import VOCODERS, Vocoder


@VOCODERS.register("frames")
class FrameVocoder(Vocoder):
    """Each frame becomes its samples by one linear layer: not a good one, but a whole one."""

    def __init__(self, condition_dim: int, hop: int) -> None:
        super().__init__()
        self.samples = nn.Linear(condition_dim, hop)

    def losses(self, batch, turn):
        frames = slice(batch.context, batch.context + batch.wave.shape[1] // self.samples.out_features)
        return {"error": (self.samples(batch.condition[:, frames]).flatten(1) - batch.wave).square().sum() / batch.counts.samples}

    def generate(self, condition, lengths, noise, speaker=None):
        wave = self.samples(condition).tanh().masked_fill(padding_mask(lengths, condition.shape[1])[..., None], 0.0)
        return wave.flatten(1)
