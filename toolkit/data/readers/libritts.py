"""LibriTTS (Zen et al. 2019, arXiv:1904.02882) and LibriTTS-R, which has the same layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolkit.data.readers.base import READERS, Findings, Reader, Recording
from toolkit.errors import ConfigError

TEXTS = ("normalized", "original")


@READERS.register("libritts")
class LibriTTS(Reader):
    """``103/1240/103_1240_000000_000001.wav`` with ``.normalized.txt`` and ``.original.txt`` beside it: the whole corpus or a subset.

    Args:
        text: normalized, where numbers and abbreviations are words, or original.
    """

    layout = "SPEAKER/CHAPTER/*.wav with *.normalized.txt, also in subsets such as train-clean-100/"

    def __init__(self, *, text: str = "normalized") -> None:
        if text not in TEXTS:
            raise ConfigError(f"text: unknown, got {text!r}; known: {', '.join(TEXTS)}")
        self.ending = f".{text}.txt"

    def sees(self, source: Path) -> bool:
        return any(any(source.glob(f"{folders}/*{self.ending}")) for folders in ("*/*", "*/*/*"))

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        audio = {path.with_suffix(""): path for path in source.rglob("*.wav")}
        texts = {path.with_name(path.name.removesuffix(self.ending)): path for path in source.rglob(f"*{self.ending}")}
        for key in sorted(audio.keys() & texts.keys()):
            if (text := findings.text(texts[key])) is not None:
                yield Recording(texts[key], 0, key.name, audio[key], text, key.parent.parent.name)
        findings.left_out(sorted(key.name for key in texts.keys() - audio.keys()), "texts have no recording")
        findings.left_out(sorted(key.name for key in audio.keys() - texts.keys()), f"recordings have no *{self.ending}")
