"""Random numbers in the shape of a batch, to try a configuration before any data is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from toolkit.data.batches import Counts, TextMelBatch

if TYPE_CHECKING:
    from toolkit.tasks.text2mel import Text2Mel


def text_mel_batch(task: Text2Mel, utterances: int, symbols: int, frames: int) -> TextMelBatch:
    """What the decoder needs and the model is conditioned on is there too; a style is that of the frames."""
    system, asked = task.system, task.system.conditioning
    mel = torch.randn(utterances, frames, system.features.bins)
    durations = torch.full((utterances, symbols), frames // symbols)
    durations[:, 0] += frames - frames // symbols * symbols
    more = {"durations": durations, "f0": torch.full((utterances, frames), 120.0), "energy": torch.ones(utterances, frames)}
    conditions = {kind: torch.randint(0, len(table), (utterances,)) for kind, table in task.tables.items()}
    if asked is not None and asked.vector is not None:
        conditions["vector"] = torch.randn(utterances, asked.vector.dim)
    return TextMelBatch(
        ids=[f"made-up-{i}" for i in range(utterances)],
        tokens=torch.randint(1, task.num_symbols, (utterances, symbols)),
        token_lengths=torch.full((utterances,), symbols),
        mel=mel,
        mel_lengths=torch.full((utterances,), frames),
        counts=Counts(utterances, utterances * frames, utterances * frames * system.features.hop),
        key=(system.seed, 0, 0),
        **{name: more[name] for name in task.model.decoder.needs},
        **conditions,
    )
