"""The VCTK corpus of 110 English speakers (Yamagishi, Veaux & MacDonald, CSTR, University of Edinburgh), versions 0.80 to 0.92."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toolkit.data.readers.base import READERS, Findings, Reader, Recording
from toolkit.errors import ConfigError

MICROPHONES = ("mic1", "mic2")


@READERS.register("vctk")
class VCTK(Reader):
    """``wav48_silence_trimmed/p225/p225_001_mic1.flac`` (or ``wav48/p225/p225_001.wav``) and ``txt/p225/p225_001.txt``.

    Texts without a recording of that microphone, and recordings without a text, are in the corpus as it was published: they are
    left out, and counted in a warning.

    Args:
        microphone: mic1 (omni-directional) or mic2 (condenser), of version 0.92, which has both.
    """

    layout = "wav48_silence_trimmed/ or wav48/, and txt/, a folder a speaker"

    def __init__(self, *, microphone: str = "mic1") -> None:
        if microphone not in MICROPHONES:
            raise ConfigError(f"microphone: unknown, got {microphone!r}; known: {', '.join(MICROPHONES)}")
        self.microphone = microphone

    def sees(self, source: Path) -> bool:
        return (source / "txt").is_dir() and self._audio(source)[0].is_dir()

    def recordings(self, source: Path, findings: Findings) -> Iterator[Recording]:
        folder, ending = self._audio(source)
        audio = {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"*/*{ending}"))}
        texts = {path.stem: path for path in sorted(source.glob("txt/*/*.txt"))}
        for key in sorted(audio.keys() & texts.keys()):
            if (text := findings.text(texts[key])) is not None:
                yield Recording(texts[key], 0, key, audio[key], text, texts[key].parent.name)
        findings.left_out(sorted(texts.keys() - audio.keys()), f"texts have no recording *{ending}")
        findings.left_out(sorted(audio.keys() - texts.keys()), "recordings have no text")

    def _audio(self, source: Path) -> tuple[Path, str]:
        """The folder of recordings, and how their names end."""
        if (source / "wav48_silence_trimmed").is_dir():
            return source / "wav48_silence_trimmed", f"_{self.microphone}.flac"
        return source / "wav48", ".wav"
