"""What a predictor is conditioned on: names in the training data, lists of them in an experiment, tensors for a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from toolkit.data.batches import TextMelBatch
from toolkit.data.names import Names, file_of
from toolkit.data.voices import Voice
from toolkit.errors import ConfigError, DataError
from toolkit.models.conditioning import Conditioning, ConditioningSettings, Conditions
from toolkit.nn.normaliser import Normaliser

Tables = Mapping[str, Names]
NAMED = ("speaker", "language")
MADE_UP = 8  # names of each kind, where none are known yet


def named(settings: ConditioningSettings | None) -> list[str]:
    """Of what a model has a list of names."""
    return [] if settings is None else [kind for kind in NAMED if kind in settings.widths]


def made_up_tables(settings: ConditioningSettings | None) -> Tables:
    """Names that stand for those of data that are not known yet."""
    return {kind: Names(kind, [f"{kind}{number}" for number in range(MADE_UP)]) for kind in named(settings)}


def found_tables(settings: ConditioningSettings | None, data: Path) -> Tables:
    """The names in the training data of a folder of features."""
    return {kind: Names.found(kind, data / "train") for kind in named(settings)}


def loaded_tables(settings: ConditioningSettings | None, experiment: Path) -> Tables:
    """The names that an experiment was trained with."""
    return {kind: Names.load(kind, experiment) for kind in named(settings)}


def keep_tables(tables: Tables, experiment: Path, anew: bool) -> None:
    """Write the lists into an experiment, or refuse others than it has, since its ids belong to those.

    Args:
        anew: the predictor's training begins anew, so that older lists are of no use.
    """
    for kind, table in tables.items():
        path = experiment / file_of(kind)
        if path.is_file() and not anew and Names.load(kind, experiment) != table:
            before, now = Names.load(kind, experiment).names, table.names
            change = [f"without {name}" for name in before if name not in now] + [f"with {name}" for name in now if name not in before]
            what = ", ".join(change[:3]) or "in another order"
            raise DataError(f"{path}: begun with other {kind}s than the data have now, got them {what}; train in another --exp")
        table.save(experiment)


def described(settings: ConditioningSettings, tables: Tables) -> str:
    """A line for the training card."""
    words = []
    for kind, width in settings.widths.items():
        count = f"{len(tables[kind])} {kind}s" if kind in tables else kind
        more = "" if kind != "style" or settings.style is None else f", {settings.style.tokens} tokens, {settings.style.heads} heads"
        words.append(f"{count} ({width} values{more})")
    return f"{', '.join(words)}; {'beside' if settings.merge == 'concat' else 'added to'} the memory"


def conditioned(settings: ConditioningSettings | None, tables: Tables, bins: int) -> Callable[[int], Conditioning]:
    """What builds the conditioning, once the width of the memory is known."""
    return partial(Conditioning, settings=settings, bins=bins, sizes={kind: len(table) for kind, table in tables.items()})


def batch_conditions(settings: ConditioningSettings | None, batch: TextMelBatch, frames: Tensor) -> Conditions:
    """What a batch says of its utterances. The style is that of each utterance itself, of its normalised frames ``B T M``."""
    conditions = Conditions(batch.speaker, batch.language, batch.vector)
    if settings is None or settings.style is None:
        return conditions
    return conditions._replace(reference=frames, reference_lengths=batch.mel_lengths)


def voice_conditions(settings: ConditioningSettings | None, tables: Tables, voices: Sequence[Voice], normaliser: Normaliser) -> Conditions:
    """Tensors of how texts are to be spoken, a row for each. Without a reference or weights all style tokens weigh the same.

    Raises:
        ConfigError: a voice asks for what the model was not trained on, or leaves open what it cannot do without.
    """
    _refuse_surplus(settings, voices)
    if settings is None:
        return Conditions()
    device = normaliser.mean.device
    made: dict[str, Any] = {
        kind: torch.tensor([table.id(getattr(voice, kind)) for voice in voices], device=device) for kind, table in tables.items()
    }
    if settings.vector is not None:
        made["vector"] = _vectors(settings.vector.dim, voices).to(device)
    if settings.style is not None:
        made |= _styles(settings.style.tokens, voices, normaliser)
    return Conditions(**made)


def _refuse_surplus(settings: ConditioningSettings | None, voices: Sequence[Voice]) -> None:
    known = {} if settings is None else settings.widths
    for voice in voices:
        for name, value in voice._asdict().items():
            kind = "style" if name == "reference" else name
            if value is not None and kind not in known:
                said = f", got {value!r}" if isinstance(value, str) else ""
                raise ConfigError(f"{name}: this model is not conditioned on a {kind}{said}; it is on: {', '.join(known) or 'nothing'}")


def _vectors(size: int, voices: Sequence[Voice]) -> Tensor:
    vectors = [voice.vector for voice in voices if voice.vector is not None]
    if len(vectors) < len(voices):
        raise ConfigError(f"speaker vector: this model needs one of {size} values, got none; give --speaker-vector FILE.npy")
    wrong = next((vector for vector in vectors if vector.shape != (size,)), None)
    if wrong is not None:
        raise ConfigError(f"speaker vector: this model needs one of {size} values, got {len(wrong)}")
    return torch.stack([torch.from_numpy(vector) for vector in vectors])


def _styles(tokens: int, voices: Sequence[Voice], normaliser: Normaliser) -> dict[str, Tensor]:
    """References of all rows, or weights of all."""
    device = normaliser.mean.device
    if any(voice.reference is not None and voice.style is not None for voice in voices):
        raise ConfigError("style: a reference or weights of tokens, got both; give one of them")
    references = [voice.reference for voice in voices if voice.reference is not None]
    if references:
        if len(references) < len(voices):
            raise ConfigError(f"reference: each text of a batch has one or none has, got {len(references)} of {len(voices)}")
        frames = [normaliser(torch.from_numpy(reference).to(device)) for reference in references]
        lengths = torch.tensor([len(each) for each in frames], device=device)
        return {"reference": pad_sequence(frames, batch_first=True), "reference_lengths": lengths}
    weights = [voice.style or (1 / tokens,) * tokens for voice in voices]
    wrong = next((row for row in weights if len(row) != tokens), None)
    if wrong is not None:
        raise ConfigError(f"style: this model has {tokens} tokens, a weight for each, got {len(wrong)}")
    return {"style": torch.tensor(weights, device=device)}
