"""A published checkpoint -> an experiment, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.errors import CheckpointError
from toolkit.infer.importing.base import IMPORTERS, Source
from toolkit.infer.importing.loading import read_settings, read_statistics, read_weights
from toolkit.infer.importing.writing import write_experiment


def import_model(
    kind: str,
    file: Path,
    experiment: Path,
    config: Path | None = None,
    statistics: Path | None = None,
    settings: Sequence[str] = (),
    trusted: bool = False,
) -> list[str]:
    """Make one side of an experiment of a checkpoint.

    Args:
        kind: name of an importer; ``-`` counts as ``_``.
        file: the checkpoint.
        config: the configuration that came with it.
        statistics: mean and deviation of its frames, where it has them in a file.
        settings: assignments ``a.b=c`` over the written configuration.
        trusted: whether a file may run code when it is read.

    Returns:
        What was made, and in what its use here differs, a line each.

    Raises:
        CheckpointError: a file cannot be read; a weight is missing, left over or has another shape.
        ConfigError: a setting has no counterpart here, or the experiment has this side already.
    """
    importer = IMPORTERS.resolve(kind.replace("-", "_"))
    source = Source(read_weights(file, importer, trusted), read_settings(config, importer), read_statistics(statistics))
    count, imported = len(source.weights), importer().convert(source)
    if source.weights:
        left = ", ".join(sorted(source.weights)[:3])
        raise CheckpointError(f"{file}: {len(source.weights)} of {count} weights have no place here, such as {left}")
    write_experiment(imported, importer, experiment, settings)
    return [f"{experiment}: {importer.task} of {kind}, {count} tensors", *imported.remarks]
