"""Which symbols a corpus has: counted in training text, and checked in the text that the model will be tried on."""

from __future__ import annotations

import collections
from collections.abc import Mapping

from toolkit.text.base import Cleaner, TextError, Tokenizer, speakable
from toolkit.text.vocabulary import Vocabulary


class Coverage:
    """The symbols of transcripts, with counts and the utterances that have them."""

    def __init__(self, cleaner: Cleaner, tokenizer: Tokenizer) -> None:
        self.cleaner, self.tokenizer = cleaner, tokenizer
        self.counts: collections.Counter[str] = collections.Counter()
        self.utterances: dict[str, list[str]] = {}
        self.problems: list[str] = []

    def add(self, transcripts: Mapping[str, str], where: str) -> None:
        """Count the symbols of transcripts by id; texts that cannot be tokenized become ``problems`` that name file and id."""
        for name, text in transcripts.items():
            try:
                symbols = self.tokenizer.symbols(self.cleaner(text))
            except TextError as error:
                self.problems.append(f"{where}: {name}: {error}")
                continue
            if not speakable(symbols):
                self.problems.append(f"{where}: {name}: nothing to say is left after cleaning, got {text[:60]!r}; write at least one word")
            self.counts.update(symbols)
            for symbol in set(symbols):
                self.utterances.setdefault(symbol, []).append(name)

    def vocabulary(self) -> Vocabulary:
        """All symbols that were counted, and those that the tokenizer always has."""
        return Vocabulary.build([self.counts, self.tokenizer.inventory()])

    def rare(self, limit: int = 5) -> list[str]:
        """Symbols seen fewer than ``limit`` times: ``'z' (2x)``. A model learns little about them."""
        return [f"{symbol!r} ({count}x)" for symbol, count in sorted(self.counts.items()) if count < limit]

    def unknown(self, vocabulary: Vocabulary, where: str) -> list[str]:
        """A line for each counted symbol that the vocabulary lacks: how often, where, and what to do."""
        lines = []
        for symbol, count in vocabulary.unknown(self.counts.elements()).most_common():
            names = self.utterances[symbol]
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            lines.append(f"{where}: symbol {symbol!r} is not in the vocabulary, got it {count}x in {shown}; {vocabulary.advice(symbol)}")
        return lines
