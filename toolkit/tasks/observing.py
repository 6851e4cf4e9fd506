"""What the feature predictor shows of itself at a validation: pictures, sound and numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.data.batches import TextMelBatch
from toolkit.models.feature_predictor import Prediction
from toolkit.models.losses import group_lengths
from toolkit.nn.alignment_measures import diagonality, focus
from toolkit.nn.noise import Noise
from toolkit.tasks.conditions import batch_conditions
from toolkit.train import pictures
from toolkit.train.protocol import Observation
from toolkit.vocoders.griffin_lim import GriffinLim

if TYPE_CHECKING:
    from toolkit.tasks.text2mel import Text2Mel


@torch.no_grad()
def observe(task: Text2Mel, batch: TextMelBatch) -> Observation:
    """Alignments, frames and sound of the first utterance, teacher-forced and free-running, and how sharp alignments are."""
    noise = Noise.of_rows(range(len(batch.ids)), batch.mel.device)
    prediction, targets = task.predict(batch, noise, hard=True)
    numbers, images = dict[str, float](), dict[str, Callable[[], pictures.Image]]()
    hop = task.system.features.hop / task.system.features.sample_rate
    symbols, frames = int(batch.token_lengths[0]), int(batch.mel_lengths[0])
    output = prediction.output
    if output.weights is not None:
        groups, _ = group_lengths(prediction, targets)
        numbers["focus"] = float(focus(output.weights, groups, batch.token_lengths).mean())
        numbers["diagonality"] = float(diagonality(output.weights, groups, batch.token_lengths).mean())
        images["alignment_forced"] = partial(pictures.alignment, output.weights[0, : int(groups[0]), :symbols].cpu().numpy())
    conditions = batch_conditions(task.system.conditioning, batch, task.model.normaliser(batch.mel)).first()
    free = task.generate(batch.tokens[:1], batch.token_lengths[:1], Noise.of_rows([0], batch.mel.device), conditions)
    if free.output.weights is not None:
        images["alignment_free"] = partial(pictures.alignment, free.output.weights[0, :, :symbols].cpu().numpy())
    images["stop"] = partial(pictures.stop_curve, torch.sigmoid(free.output.stop_logits[0]).cpu().numpy())
    numbers["free_running_frames"] = float(free.output.lengths[0])
    if not task.model.decoder.makes_spectrum:
        return Observation(numbers, images, {})
    true = targets.mel if targets.features is None else targets.features
    images["mel"] = partial(pictures.mels, true[0, :frames].cpu().numpy(), prediction.mel[0, :frames].cpu().numpy(), hop)
    return Observation(numbers, images, {"free_running": (_heard(task, free), task.system.features.sample_rate)})


def _heard(task: Text2Mel, prediction: Prediction) -> NDArray[np.float32]:
    """The first row through Griffin-Lim, samples ``N``."""
    features, lengths = task.system.features, prediction.output.lengths[:1]
    mel = task.model.normaliser.inverse(prediction.mel[:1, : int(lengths)])
    heard: NDArray[np.float32] = GriffinLim(features, iterations=30).generate(mel, lengths, None)[0].cpu().numpy()
    return heard
