"""The symbols a model knows and their ids: ``tokens.txt``, one symbol a line, the line number is the id."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from toolkit.errors import DataError
from toolkit.text.base import TextError
from toolkit.text.folding import fold

PAD, EOS = "<pad>", "<eos>"
PAD_ID, EOS_ID = 0, 1
_SPACE = "<space>"


class Vocabulary:
    """Symbols with fixed ids: 0 is padding, 1 ends every text, the others follow in the order given (``build`` sorts them)."""

    def __init__(self, symbols: Sequence[str], where: str = "vocabulary") -> None:
        """``symbols`` starts with ``<pad>``, ``<eos>``; ``where`` stands before error messages."""
        self.symbols = tuple(symbols)
        if self.symbols[:2] != (PAD, EOS):
            raise DataError(f"{where}:1: the first two symbols are {PAD} and {EOS}, got {list(self.symbols[:2])}; run: toolkit tokens")
        seen: set[str] = set()
        for number, symbol in enumerate(self.symbols, 1):
            if symbol in seen or not symbol or symbol == _SPACE or (symbol != " " and symbol.split() != [symbol]):
                what = "stands twice" if symbol in seen else "is no symbol"
                raise DataError(f"{where}:{number}: {what}, got {symbol!r}; run: toolkit tokens")
            seen.add(symbol)

    @classmethod
    def made_up(cls, size: int) -> Vocabulary:
        """A vocabulary of so many symbols, where none is known yet."""
        return cls([PAD, EOS, *(f"symbol{number}" for number in range(2, size))])

    @classmethod
    def build(cls, sentences: Iterable[Iterable[str]]) -> Vocabulary:
        """The vocabulary of all symbols in the sentences, sorted by code point."""
        return cls([PAD, EOS, *sorted({symbol for sentence in sentences for symbol in sentence})])

    @classmethod
    def from_text(cls, text: str, where: str = "tokens.txt") -> Vocabulary:
        """The inverse of ``to_text``."""
        lines = text.removesuffix("\n").split("\n")
        return cls([" " if line == _SPACE else line for line in lines], where)

    @classmethod
    def load(cls, path: Path | str) -> Vocabulary:
        """Read ``tokens.txt``."""
        try:
            return cls.from_text(Path(path).read_bytes().decode("utf-8"), str(path))
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such token list; run: toolkit tokens") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 at byte {error.start}; run: toolkit tokens") from error

    def to_text(self) -> str:
        """The contents of ``tokens.txt``; a space is written as ``<space>``."""
        return "".join(f"{_SPACE if symbol == ' ' else symbol}\n" for symbol in self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._ids

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """Ids of the symbols and, at the end, of ``<eos>``.

        Raises:
            TextError: some are unknown: all of them, how often each, and what to do.
        """
        unknown = self.unknown(symbols)
        if unknown:
            listed = ", ".join(f"{symbol!r} ({count}x: {self.advice(symbol)})" for symbol, count in unknown.most_common())
            raise TextError(f"text: symbols that the vocabulary does not have, got {listed}")
        return [self._ids[symbol] for symbol in symbols] + [EOS_ID]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Symbols of ids, up to the first ``<eos>``; padding is left out."""
        symbols: list[str] = []
        for index in ids:
            if index == EOS_ID:
                break
            if not 0 <= index < len(self.symbols):
                raise DataError(f"vocabulary: ids run from 0 to {len(self) - 1}, got {index}")
            if index != PAD_ID:
                symbols.append(self.symbols[index])
        return symbols

    def unknown(self, symbols: Iterable[str]) -> collections.Counter[str]:
        """Symbols that have no id, with counts; padding and end marks have no place in a text."""
        return collections.Counter(symbol for symbol in symbols if self._ids.get(symbol, PAD_ID) <= EOS_ID)

    def advice(self, symbol: str) -> str:
        """What to do about an unknown symbol."""
        if symbol.startswith("@") and len(symbol) > 1:
            return "this voice was trained without inline phonemes; use tokenizer phone, or write the word"
        if symbol.lower() in self and symbol.lower() != symbol:
            return "set cleaner_conf.lower to true"
        if symbol.isdigit() or all(part in self for part in fold(symbol).lower()):
            return "use cleaner english, which spells it out"
        return "remove it from the text, or train on text that has it"
