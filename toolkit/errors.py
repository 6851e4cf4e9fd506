"""Errors that a user can cause. Each is one line: ``where: what is wrong, got VALUE; nearest right thing``."""

import difflib
from collections.abc import Iterable


class ToolkitError(Exception):
    """Base of every error that the command line prints as one ``error:`` line, without a traceback."""

    exit_code = 1


class ConfigError(ToolkitError, ValueError):
    """A configuration, a name of a part or a command-line option is wrong."""

    exit_code = 2


class DataError(ToolkitError, ValueError):
    """A corpus, a data directory or a feature file is wrong. Several problems stand in one error, one line each."""


class CheckpointError(ToolkitError):
    """A checkpoint or model directory is damaged, incomplete, or does not belong to the configuration."""


class TrainingError(ToolkitError):
    """Training cannot go on: non-finite values, a lost process, a full disk."""


class MissingExtraError(ToolkitError):
    """An optional package is not installed."""

    def __init__(self, what: str, extra: str, package: str) -> None:
        super().__init__(f"{what} needs the package {package!r}; pip install 'toolkit[{extra}]'")


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown word: a guess if one is near, and what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}known: {', '.join(names) or '(none)'}"
