"""The whole way from written text to ids: cleaner, tokenizer, vocabulary and, for some voices, a lexicon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.text.base import Cleaner, TextError, Tokenizer, speakable
from toolkit.text.lexicon import Lexicon
from toolkit.text.vocabulary import Vocabulary

TOKENS, LEXICON = "tokens.txt", "lexicon.txt"


@dataclass(frozen=True)
class TextFrontend:
    """Text -> ids that end with ``<eos>``.

    Args:
        lexicon: the only words that the voice can say, None for an open vocabulary.
        voice: name of the voice in messages about the lexicon.
    """

    cleaner: Cleaner
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    lexicon: Lexicon | None = None
    voice: str = "mini"

    @classmethod
    def load(cls, folder: Path | str, cleaner: Cleaner, tokenizer: Tokenizer, voice: str = "mini") -> TextFrontend:
        """The front end whose ``tokens.txt``, and ``lexicon.txt`` if there is one, stand in ``folder``."""
        lexicon = Path(folder, LEXICON)
        return cls(cleaner, tokenizer, Vocabulary.load(Path(folder, TOKENS)), Lexicon.load(lexicon) if lexicon.is_file() else None, voice)

    def symbols(self, text: str) -> list[str]:
        """The symbols of a text.

        Raises:
            TextError: nothing that can be spoken is left after cleaning.
            LexiconError: the voice has a closed grammar and a word is not in it.
        """
        cleaned = self.cleaner(text)
        if self.lexicon is not None:
            self.lexicon.check(cleaned, self.voice)
        symbols = self.tokenizer.symbols(cleaned)
        if not speakable(symbols):
            raise TextError(f"text: nothing to say is left after cleaning, got {text[:60]!r}; write at least one word")
        return symbols

    def __call__(self, text: str) -> list[int]:
        return self.vocabulary.encode(self.symbols(text))
