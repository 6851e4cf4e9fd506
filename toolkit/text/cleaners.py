"""Cleaners: what is written -> what is said."""

from toolkit.text.abbreviations import expand_abbreviations
from toolkit.text.base import CLEANERS, INLINE, Cleaner
from toolkit.text.expansions import expand_numbers
from toolkit.text.folding import collapse, fold, normalise

__all__ = ["CLEANERS", "BasicCleaner", "Cleaner", "EnglishCleaner"]


@CLEANERS.register("basic")
class BasicCleaner(Cleaner):
    """Unicode NFC, single spaces, lower case; for languages and corpora that are spelled out already.

    Args:
        lower: make all letters lower case.
    """

    def __init__(self, *, lower: bool = True) -> None:
        self.lower = lower

    def __call__(self, text: str) -> str:
        pieces = INLINE.split(normalise(text))
        pieces[::2] = [self._spoken(piece) for piece in pieces[::2]]
        return "".join(pieces).strip()

    def _spoken(self, piece: str) -> str:
        """One stretch of text without inline phonemes; white space at its ends matters."""
        return self._cased(piece)

    def _cased(self, piece: str) -> str:
        edges = piece[:1].isspace(), piece[-1:].isspace()
        words = collapse(normalise(piece.lower()) if self.lower else piece)
        return f"{' ' * edges[0]}{words}{' ' * (edges[1] and bool(words))}"


@CLEANERS.register("english")
class EnglishCleaner(BasicCleaner):
    """English as it is said: Unicode folded to plain letters, abbreviations, numbers, money, dates, times and units in words.

    Tacotron 2 was trained on text that is spelled out ("16" -> "sixteen", section 3.1). Characters without an English equivalent
    stay, so that the token list can report them.

    Args:
        lower: make all letters lower case.
        ordinal_days: "March 3" is read "march third", otherwise "march three".
    """

    def __init__(self, *, lower: bool = True, ordinal_days: bool = True) -> None:
        super().__init__(lower=lower)
        self.ordinal_days = ordinal_days

    def _spoken(self, piece: str) -> str:
        return self._cased(expand_numbers(expand_abbreviations(fold(piece)), self.ordinal_days))
