"""A trained experiment and some recordings of another voice -> a folder in which fine-tuning can begin.

Text and features are read as the trained voice reads them: with its symbols, its settings of the mel, its statistics. Its weights
are where training begins, with fewer steps and a lower learning rate.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.audio.mel import MelSettings
from toolkit.config import override, to_yaml
from toolkit.data import kaldi
from toolkit.data.corpus import prepare
from toolkit.data.extraction import extract
from toolkit.data.names import read_kind
from toolkit.data.problems import raise_all
from toolkit.data.shards import Extraction
from toolkit.data.splitting import Split, write_split
from toolkit.data.validation import validate
from toolkit.data.writing import copy, write_text
from toolkit.errors import CheckpointError, ConfigError
from toolkit.tasks.conditions import named
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.base import TextError
from toolkit.text.frontend import LEXICON, TOKENS, TextFrontend
from toolkit.text.lexicon import LexiconError
from toolkit.train.checkpoint import Checkpoints

STEPS_A_MINUTE, FEWEST = 100, 300  # updates for each minute of recordings; never more than the trained voice had
READING = (TOKENS, "stats.npz", "bpe.model", LEXICON)  # of the trained voice: what turns texts and mels into its numbers
KEPT = ("features", "level", "normalise", "tokenizer", "tokenizer_conf")  # settings that its weights and numbers belong to
IDENTITY = "identity.json"
SLOWER = 0.2  # the learning rate is this share of the trained voice's
WARM_UP, VALIDATIONS = 50, 5


class NewVoice(NamedTuple):
    """What was made."""

    summary: str  # of the recordings
    split: Split
    warnings: list[str]
    command: str  # that trains


def new_voice(
    base: Path, folder: Path, audio: Path, reading: Mapping[str, Any], settings: Sequence[str], jobs: int, report: Callable[[str], None]
) -> NewVoice:
    """Prepare, check and extract recordings, and write the configuration of their training. The same call goes on where it was stopped.

    Args:
        base: the trained experiment.
        folder: gets ``data/`` (recordings), ``features/``, ``dump/`` (train, dev, eval), ``config.yaml`` and ``exp/``.
        audio: corpus of the new voice, with its texts.
        reading: how that is read, as ``corpus.prepare`` takes it.
        settings: assignments ``a.b=c`` for the new configuration, none of what ``KEPT`` names.

    Raises:
        CheckpointError: nothing is trained in ``base``.
        ConfigError: the new voice is trained already, or a setting is wrong.
        DataError: all that is wrong with the recordings; texts with symbols that the trained voice does not know.
    """
    if not (base / "config.yaml").is_file() or Checkpoints(base / Text2Mel.name).newest() is None:
        raise CheckpointError(f"--from: nothing trained there, got {base}; train an experiment first, or name another")
    if any((folder / "exp").glob(f"{Text2Mel.name}/checkpoints/step-*")):
        raise ConfigError(f"{folder}: this voice is trained already, or its training has begun; choose another name")
    kept = [assignment for assignment in settings if re.split("[.=]", assignment)[0] in KEPT]
    if kept:
        raise ConfigError(f"--set: a new voice has {', '.join(KEPT)} of the trained one, got {kept[0]}; leave that out")
    system = load_system(base / "config.yaml", settings)
    corpus = prepare(audio, folder / "data", **reading)
    checked = validate(folder / "data")
    raise_all(checked.errors)
    for kind in named(system.conditioning):
        read_kind(kind, folder / "data")
    closed = _keep_to_grammar(base, system, folder / "data" / "text")
    extract(folder / "data", folder / "features", Extraction(system.features, system.trim, system.level, system.extras), jobs, report)
    split = write_split(folder / "features", folder / "dump", system.limits)
    copy(folder / "features" / "features.json", folder / "dump" / "features.json")
    for name in READING:
        if (base / name).is_file() and (closed or name != LEXICON):
            copy(base / name, folder / "dump" / name)
        else:
            (folder / "dump" / name).unlink(missing_ok=True)
    minutes = sum(float(seconds) for seconds in kaldi.read_map(folder / "dump" / "train" / "utt2dur").values()) / 60
    config = {"extends": os.path.relpath((base / "config.yaml").resolve(), folder.resolve()), Text2Mel.name: training(system, minutes)}
    write_text(folder / "config.yaml", to_yaml(override(config, settings)))
    load_system(folder / "config.yaml")
    _bring_vocoder(base, folder / "exp")
    warnings = [*corpus.warnings, *_lower(corpus.rates, system.features), *checked.warnings]
    return NewVoice(checked.summary, split, warnings, _command(system, base, folder))


def training(system: System, minutes: float) -> dict[str, Any]:
    """The section of a training on so many minutes that begins from trained weights: fewer steps, a lower learning rate."""
    steps = max(FEWEST, round(STEPS_A_MINUTE * minutes))
    steps = min(steps, system.text2mel.max_steps)
    often = max(1, steps // VALIDATIONS)
    return {
        "max_steps": steps,
        "max_minutes": None,
        "optimiser_conf": {"learning_rate": system.text2mel.optimiser.build().learning_rate * SLOWER},
        "schedule": "cosine",
        "schedule_conf": {"warm_up_steps": min(WARM_UP, often)},
        "validate_every": often,
        "save_every": often,
    }


def _keep_to_grammar(base: Path, system: System, texts: Path) -> bool:
    """Refuse texts that the trained voice cannot read; say whether all of them keep to its closed grammar, where it has one."""
    frontend = TextFrontend.load(base, system.cleaner.build(), system.tokenizer.build())
    closed, reads_all = frontend.lexicon is not None, replace(frontend, lexicon=None)
    problems = []
    for key, text in kaldi.read_map(texts).items():
        try:
            reads_all(text)
            frontend.symbols(text)
        except LexiconError:
            closed = False
        except TextError as error:
            problems.append(f"{texts}: {key}: {error}")
    raise_all(problems)
    return closed


def _lower(rates: Counter[int], features: MelSettings) -> list[str]:
    """A warning about recordings that lack the highest frequencies of the trained voice."""
    poor = {rate: count for rate, count in sorted(rates.items()) if rate < min(features.sample_rate, 2 * features.f_max)}
    return [
        f"{count} recordings have {rate} Hz, and the trained voice has sound up to {features.f_max:g} Hz" for rate, count in poor.items()
    ]


def _bring_vocoder(base: Path, experiment: Path) -> None:
    """A copy of the trained vocoder, which speaks for the new voice too, and from which one of its own can go on."""
    source, target = base / Mel2Wav.name, experiment / Mel2Wav.name
    if not (source / "checkpoints").is_dir() or target.exists():
        return
    experiment.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".tmp", dir=experiment) as temporary:
        made = Path(temporary) / target.name
        shutil.copytree(source / "checkpoints", made / "checkpoints")
        if (source / IDENTITY).is_file():
            copy(source / IDENTITY, made / IDENTITY)
        os.replace(made, target)


def _command(system: System, base: Path, folder: Path) -> str:
    """What trains, as one would type it."""
    given = ["--config", str(folder / "config.yaml"), "--data", str(folder / "dump")]
    without = ":::conditioning.tables" if named(system.conditioning) else ""  # whose rows are other speakers'
    train = ["toolkit", "train", Text2Mel.name, *given, "--exp", str(folder / "exp"), "--init-param", f"{base}{without}"]
    align = ["toolkit", "align", *given, "--if-needed"]
    return " && ".join(shlex.join(words) for words in ([align] if "durations" in system.decoder.cls.needs else []) + [train])
