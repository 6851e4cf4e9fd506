"""Which recogniser judges an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from toolkit.errors import ConfigError, MissingExtraError, nearest
from toolkit.evaluate.material import Experiment
from toolkit.evaluate.recognition import PocketsphinxRecogniser, Recogniser, WhisperRecogniser
from toolkit.text.lexicon import Lexicon

MODES = ("auto", "none", "pocketsphinx")
BEAMS = {"beam": 1e-48, "wbeam": 7e-29, "pbeam": 1e-48}  # pocketsphinx's own: many times faster than the widest, for a report


class Judge(NamedTuple):
    """A recogniser, or None, and a phrase that says which it is or why there is none."""

    recogniser: Recogniser | None
    name: str


def choose_judge(mode: str, experiment: Experiment) -> Judge:
    """``auto`` takes what fits: pocketsphinx with a free loop over the words of a voice that has a ``lexicon.txt``.

    Args:
        mode: one of ``MODES``, or the folder of a Whisper model.

    Raises:
        ConfigError: an unknown mode, or pocketsphinx for a voice of an open vocabulary.
        MissingExtraError: pocketsphinx was asked for and is not installed.
    """
    if mode not in MODES and Path(mode).is_dir():
        return Judge(WhisperRecogniser(mode), f"Whisper ({Path(mode).resolve().name})")
    if mode not in MODES:
        raise ConfigError(f"--asr: unknown recogniser, got {mode!r}; {nearest(mode, MODES)}")
    if mode == "none":
        return Judge(None, "none, not asked for")
    path = experiment.folder / "lexicon.txt"
    if not path.is_file():
        if mode == "pocketsphinx":
            raise ConfigError(f"--asr: pocketsphinx needs a closed vocabulary, got no {path}; --asr none")
        return Judge(None, "none, the voice has no closed vocabulary (lexicon.txt)")
    words = Lexicon.load(path).words
    try:
        return Judge(PocketsphinxRecogniser(words, **BEAMS), f"pocketsphinx, free loop over {len(words)} words")
    except (MissingExtraError, ConfigError) as error:
        if mode == "pocketsphinx":
            raise
        return Judge(None, f"none, {error}")
