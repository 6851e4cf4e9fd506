"""Training of the sentencepiece model that the ``bpe`` tokenizer reads."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

from toolkit.errors import DataError
from toolkit.text.base import INLINE


def train_bpe(sentences: Iterable[str], size: int) -> bytes:
    """A byte-pair model of cleaned sentences, as the bytes of its file. The same sentences give the same bytes.

    Args:
        sentences: cleaned text; inline phonemes in it are left out.
        size: number of pieces, the unknown piece and two marks included.

    Raises:
        DataError: there is no text, or too little for that many pieces.
    """
    import sentencepiece

    spoken = [plain for sentence in sentences if (plain := INLINE.sub(" ", sentence).strip())]
    if not spoken:
        raise DataError("bpe: no text to train on, got 0 sentences; give a file of lines `id text`")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(spoken),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            character_coverage=1.0,
            normalization_rule_name="identity",
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(f"bpe: {_reason(str(error), size)}") from error
    return model.getvalue()


def _reason(message: str, size: int) -> str:
    limit = re.search(r"value <= (\d+)|\d+ vs (\d+)", message)
    if limit is None:
        return f"sentencepiece refused the text: {message.splitlines()[0]}"
    most, least = limit.groups()
    bound = f"at most {most}" if most else f"at least {least}"
    return f"the text does not suit that many pieces, got --vocab-size {size}; take {bound}"
