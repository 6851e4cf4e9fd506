"""The words of a voice with a closed grammar: ``lexicon.txt`` beside its ``tokens.txt``."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit.errors import DataError, ToolkitError

_WORDS = re.compile(r"\w+(?:'\w+)*")


class LexiconError(ToolkitError):
    """A voice with a closed grammar was asked for a word that it has never heard."""

    exit_code = 2


class Lexicon:
    """The words that a voice can say, in groups that belong together ("zero" to "nine")."""

    def __init__(self, groups: list[list[str]]) -> None:
        self.groups = groups
        self.words = frozenset(word for group in groups for word in group)

    @classmethod
    def load(cls, path: Path | str) -> Lexicon:
        """Read one word a line; an empty line starts a new group."""
        blocks = Path(path).read_text(encoding="utf-8").strip().split("\n\n")
        groups = [block.split() for block in blocks]
        if not any(groups):
            raise DataError(f"{path}: no words in it; one word a line, or remove the file")
        return cls(groups)

    def check(self, text: str, voice: str) -> None:
        """Refuse cleaned text with a word outside the lexicon; ``voice`` names it in the message."""
        for word in _WORDS.findall(text):
            if word not in self.words:
                raise LexiconError(f"{word!r} is not in the {voice} voice's vocabulary ({self}); train a voice or give --model")

    def __str__(self) -> str:
        return ", ".join(f"{group[0]} ... {group[-1]}" if len(group) > 3 else ", ".join(group) for group in self.groups)
