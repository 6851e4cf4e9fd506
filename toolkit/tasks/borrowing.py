"""An experiment that uses the trained feature predictor of another one: only its vocoder is its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from toolkit.config import difference
from toolkit.data.names import Names
from toolkit.errors import CheckpointError, ConfigError, DataError
from toolkit.tasks.conditions import found_tables
from toolkit.tasks.schema import System
from toolkit.tasks.text2mel import Text2Mel

NEEDED = ("text2mel/identity.json", "text2mel/checkpoints", "gta/index.json")
SAME = ("tokens.txt", "features.json", "stats.npz")
HOW_TRAINED = {"seed", "losses", "teacher_forcing", "text2mel"}  # what may differ: it is not needed to load the predictor
LINKED = ("text2mel", "gta")


def borrow_predictor(system: System, data: Path, source: Path, experiment: Path) -> None:
    """Make the predictor of an experiment and its ground-truth-aligned mels those of another one, by links.

    Args:
        system: of the experiment that borrows.
        data: folder of features of the experiment that borrows.
        source: the experiment whose predictor is trained.

    Raises:
        CheckpointError: the source has not finished its gta stage.
        ConfigError: its predictor is another one than the configuration says, or the experiment has one of its own.
        DataError: its symbols or features are not those of the data.
    """
    missing = [name for name in NEEDED if not (source / name).exists()]
    if missing:
        raise CheckpointError(f"--predictor: {source} has no {missing[0]}; run its stages up to gta first")
    theirs = json.loads((source / "text2mel" / "identity.json").read_text(encoding="utf-8"))
    lines = difference(theirs, json.loads(json.dumps(Text2Mel.identity(system))))
    changed = [line for line in lines if line.split(":")[0].split(".")[0].removesuffix("_conf") not in HOW_TRAINED]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise ConfigError(f"--predictor: {source} has another predictor than this configuration, {changed[0]}{more}; train one of its own")
    for name in SAME:
        if (source / name).read_bytes() != (data / name).read_bytes():
            raise DataError(f"--predictor: {source} was trained on other data, {name} is not that of {data}; train one of its own")
    for kind, table in found_tables(system.conditioning, data).items():
        if Names.load(kind, source) != table:
            raise DataError(f"--predictor: {source} knows other {kind}s than the training set of {data} has; train one of its own")
    own = [name for name in LINKED if (experiment / name).exists() and not (experiment / name).is_symlink()]
    if own:
        raise ConfigError(f"--predictor: {experiment} has its own {own[0]}, got {source}; choose another --exp")
    for name in LINKED:
        _link(experiment / name, source / name)


def _link(path: Path, target: Path) -> None:
    """A relative link that replaces an older one at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.link.tmp")
    new.unlink(missing_ok=True)
    new.symlink_to(os.path.relpath(target, path.parent))
    os.replace(new, path)
