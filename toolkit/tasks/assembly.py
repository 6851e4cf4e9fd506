"""The tasks by name, and the folder that a training starts from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from toolkit.audio.mel import MelSettings
from toolkit.data.extraction import check_features
from toolkit.data.kaldi import read_map
from toolkit.data.writing import copy, write_text
from toolkit.errors import DataError
from toolkit.tasks.card import as_markdown, training_card
from toolkit.tasks.conditions import described, found_tables, keep_tables
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System, as_saved
from toolkit.tasks.text2mel import Text2Mel
from toolkit.train.distributed import Processes
from toolkit.train.ownership import check_identity

TASKS: dict[str, type[Text2Mel] | type[Mel2Wav]] = {"text2mel": Text2Mel, "mel2wav": Mel2Wav}
NEEDED, OPTIONAL = ("tokens.txt", "stats.npz", "features.json"), ("lexicon.txt", "bpe.model")


def lay_out(system: System, task: str, data: Path, experiment: Path, fork: Path | None, resume: str, processes: Processes) -> Path:
    """Write the resolved configuration, what the networks need to know of the data, and the training card.

    Args:
        fork: a new experiment that starts as a copy of this one, for changed settings.

    Returns:
        The folder to train in.

    Raises:
        DataError: the data lack what an earlier stage makes, have other speakers or languages than the experiment began with, or
            their features are made by another definition.
        ConfigError: the experiment was begun with other settings and is to be resumed.
    """
    missing = [name for name in NEEDED if not (data / name).is_file()]
    if missing:
        raise DataError(f"{data}: lacks {', '.join(missing)}; run the stages before this one")
    check_features(data / "features.json", system.features)
    folder = fork or experiment
    if processes.main:
        if fork is not None and not fork.exists():
            shutil.copytree(experiment, fork)
            (fork / task / "identity.json").unlink(missing_ok=True)
        elif resume == "auto":
            check_identity(folder / task, TASKS[task].identity(system))
        begun = any((folder / Text2Mel.name).glob("checkpoints/step-*"))
        keep_tables(found_tables(system.conditioning, data), folder, not begun or (resume == "never" and task == Text2Mel.name))
        for name in (*NEEDED, *OPTIONAL):
            if (data / name).is_file():
                copy(data / name, folder / name)
        write_text(folder / "config.yaml", as_saved(system))
    write_card(system, task, folder, data, processes)
    processes.barrier()
    return folder


def write_card(
    system: System, task: str, folder: Path, data: Path, processes: Processes, happened: Mapping[str, str] | None = None
) -> None:
    """The training card, before a training from the configuration and the data, after it with what happened."""
    if processes.main:
        facts = {"data": counted(data, system.features)}
        if system.conditioning is not None and task == Text2Mel.name:
            facts["conditioned_on"] = described(system.conditioning, found_tables(system.conditioning, data))
        rows = training_card(system, task, processes.world, {**facts, **(happened or {})})
        write_text(folder / task / "training_card.md", as_markdown(task, rows))


def counted(data: Path, features: MelSettings) -> str:
    """How many utterances and hours the splits hold."""
    words = []
    for split in ("train", "dev"):
        frames = [int(count) for count in read_map(data / split / "utt2num_frames").values()]
        words.append(f"{len(frames)} utterances, {sum(frames) * features.hop / features.sample_rate / 3600:.2f} h ({split})")
    return "; ".join(words)
