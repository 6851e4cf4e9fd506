"""Tokenizers: cleaned text -> symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError, DataError, nearest
from toolkit.registry import Part
from toolkit.text.base import G2PS, INLINE, TOKENIZERS, TextError, Tokenizer
from toolkit.text.g2p import EnglishG2P
from toolkit.text.pronunciation import PHONES

__all__ = ["TOKENIZERS", "BpeTokenizer", "CharTokenizer", "EnglishG2P", "PhoneTokenizer", "Tokenizer", "inline_phones"]


def inline_phones(block: str, known: Sequence[str] = PHONES) -> list[str]:
    """``{HH AH0 L OW1}`` -> its phones, each of them one of those known: the CMU dictionary's."""
    phones = block[1:-1].split()
    for phone in phones:
        if phone not in known:
            raise TextError(f"inline phonemes {block}: no such phone, got {phone!r}; {nearest(phone, known)}")
    return phones


def _around_inline(text: str, tokenize: Callable[[str], Iterable[str]]) -> list[str]:
    """Symbols of a text, where inline phones become symbols such as ``@HH``."""
    result: list[str] = []
    for index, piece in enumerate(INLINE.split(text)):
        result.extend((f"@{phone}" for phone in inline_phones(piece)) if index % 2 else tokenize(piece))
    return result


@TOKENIZERS.register("char")
class CharTokenizer(Tokenizer):
    """Every character is a symbol (Tacotron 2, section 2.2). An inline phone such as ``{HH}`` is the symbol ``@HH``."""

    def symbols(self, text: str) -> list[str]:
        return _around_inline(text, list)


@TOKENIZERS.register("phone")
class PhoneTokenizer(Tokenizer):
    """Phones, for English ARPAbet with stress from the CMU dictionary; punctuation marks are symbols too.

    Args:
        word_boundary: put a space symbol between words.
        dictionary: file of pronunciations, lines ``WORD 1 W ER1 D``; empty: the CMU dictionary in NLTK's folders.
        g2p: what pronounces words.
    """

    def __init__(self, *, word_boundary: bool = False, dictionary: str = "", g2p: str = "english") -> None:
        self.word_boundary, self.dictionary = word_boundary, dictionary
        self.g2p = Part(g2p, G2PS.resolve(g2p, configured=True)).build(dictionary=dictionary)

    def inventory(self) -> list[str]:
        return [*self.g2p.inventory(), *[" "] * self.word_boundary]

    def symbols(self, text: str) -> list[str]:
        return [symbol for _, symbols in self.pieces(text) for symbol in symbols]

    def pieces(self, text: str) -> list[tuple[str, list[str]]]:
        return [(piece, self._symbols(piece, phones)) for piece, phones in self.g2p(text)]

    def _symbols(self, piece: str, phones: list[str]) -> list[str]:
        if piece.startswith("{") and len(piece) > 1:
            return inline_phones(piece, self.g2p.inventory())
        gap = not phones and (piece.isspace() or piece == "-")  # a hyphen that is not heard parts words
        return [" "] * self.word_boundary if gap else phones


@TOKENIZERS.register("bpe")
class BpeTokenizer(Tokenizer):
    """Pieces of words by byte-pair encoding (sentencepiece); the model is made by ``toolkit bpe``. Inline phones are as in ``char``.

    Args:
        model: the file ``PREFIX.model``.
    """

    def __init__(self, *, model: str = "") -> None:
        if not model:
            raise ConfigError("model: the bpe tokenizer needs a sentencepiece model, got ''; make one with: toolkit bpe")
        self.model = model

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model}

    @cached_property
    def _processor(self) -> Any:
        import sentencepiece

        if not Path(self.model).is_file():
            raise DataError(f"{self.model}: no such sentencepiece model; make one with: toolkit bpe --text TEXT --model PREFIX")
        try:
            return sentencepiece.SentencePieceProcessor(model_file=self.model)
        except (RuntimeError, OSError) as error:
            raise DataError(f"{self.model}: not a sentencepiece model; make it again with: toolkit bpe") from error

    def inventory(self) -> list[str]:
        model = self._processor
        plain = (index for index in range(model.get_piece_size()) if not model.is_control(index) and not model.is_unknown(index))
        return [model.id_to_piece(index) for index in plain]

    def symbols(self, text: str) -> list[str]:
        return _around_inline(text, lambda piece: self._processor.encode(piece, out_type=str))
