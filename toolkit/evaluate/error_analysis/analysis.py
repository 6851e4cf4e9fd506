"""Counting errors over a list of sentences, as Tacotron 2 does in its section 3.2: speak, let two judges suspect, write it down."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.audio import wave as wave_files
from toolkit.audio.trim import Trim, trim_silence
from toolkit.data import kaldi
from toolkit.errors import DataError
from toolkit.evaluate.error_analysis.word_events import Event, Word, alignment_events, transcript_events, words_of
from toolkit.evaluate.judge import choose_judge
from toolkit.evaluate.material import UNSAFE, read_experiment
from toolkit.infer.load import griffin_lim, load_mel2wav, load_text2mel
from toolkit.infer.speak import predict_mels, vocode
from toolkit.nn.noise import utterance_seed
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.frontend import TextFrontend

LAST_PAUSE, PAUSE = re.compile(r"\s*%+\s*(?=[.,;:!?]|$)"), re.compile(r"\s*%+\s*")


class Sentence(NamedTuple):
    """What is to be said."""

    id: str
    text: str


class Speech(NamedTuple):
    """How it was said."""

    wave: NDArray[np.float32]
    sample_rate: int
    weights: NDArray[np.float32] | None  # T/r S; None: the system has no attention
    symbols: list[str]
    step_seconds: float
    stopped_by: str


class Finding(NamedTuple):
    """A sentence with both verdicts; None where a judge had nothing to go by. ``control``: the transcript judge on the recording."""

    id: str
    text: str  # cleaned
    words: list[Word]
    speech: Speech
    alignment: list[Event] | None
    transcript: list[Event] | None
    heard: str | None
    control: list[Event] | None

    def suspected(self) -> set[int]:
        """Numbers of the words that a judge suspects."""
        return {word for event in [*(self.alignment or []), *(self.transcript or [])] for word in event.words}


class Analysis(NamedTuple):
    """All findings, and by whom."""

    experiment: str
    source: str
    recogniser: str
    findings: list[Finding]


def read_list(path: Path) -> list[Sentence]:
    """Sentences one a line: ``id|text``, ``12. text`` or the text alone, whose id is then its number. ``%`` is a pause, written as a comma.

    Raises:
        DataError: no sentences, an unsafe id, or one that stands twice.
    """
    lines, problems = kaldi.read_lines(path)
    found: dict[str, Sentence] = {}
    for number, line in lines:
        numbered = re.match(r"([^|]*)\|(.*)", line) or re.match(r"(\d+)\.\s+(.*)", line)
        key, text = numbered.groups() if numbered else (f"{len(found) + 1:03d}", line)
        key, text = key.strip(), PAUSE.sub(", ", LAST_PAUSE.sub("", text)).strip()
        if not key or UNSAFE.search(key) or key in found or not text:
            problems.append(f"{path}:{number}: expected id|text with an id of its own, got {line[:60]!r}; letters, digits, '.', '_', '-'")
        found[key] = Sentence(key, text)
    if problems or not found:
        raise DataError("\n".join(problems) or f"{path}: no sentences in it; one a line")
    return list(found.values())


def read_transcripts(path: Path) -> dict[str, str]:
    """What a recogniser heard: id and text on each line; an id alone is a sentence of which nothing was heard.

    Raises:
        DataError: the file cannot be read as text.
    """
    lines, problems = kaldi.read_lines(path)
    if problems:
        raise DataError("\n".join(problems))
    return {key: text.strip() for key, _, text in (line.partition(" ") for _, line in lines)}


def analyse(
    exp: Path,
    sentences: Sequence[Sentence] | None = None,
    asr: str = "auto",
    heard: Mapping[str, str] | None = None,
    data: Path | None = None,
    plan: Plan | None = None,
) -> Analysis:
    """Judge the sentences as the experiment speaks them, or what it has spoken of its evaluation set.

    Args:
        sentences: to be spoken now; None: take ``EXP/speech/eval`` as the synthesize stage left it.
        asr: ``auto``, ``none``, ``pocketsphinx``, or the folder of a Whisper model.
        heard: transcripts by id that some other recogniser wrote; then ``asr`` is not asked.
        data: folder of features; recordings of its ``eval/wav.scp`` with the same ids are judged too, as a control.
        plan: how sentences are spoken.

    Raises:
        DataError: nothing to judge, or ``heard`` lacks a sentence.
    """
    text2mel = load_text2mel(exp, "cpu", plan.settings if plan else [])
    spoken = speak(exp, text2mel, sentences, plan or Plan()) if sentences else existing(exp, text2mel)
    if not spoken:
        raise DataError(f"{exp}: nothing spoken to judge; give a list of sentences, or run the synthesize stage")
    missing = [sentence.id for sentence, _ in spoken if heard is not None and sentence.id not in heard]
    if missing:
        raise DataError(f"--heard: has no transcript of {len(missing)} sentences, such as {missing[0]!r}; id and text on each line")
    recogniser, name = (None, "transcripts that were given") if heard is not None else choose_judge(asr, read_experiment(exp))
    recordings = kaldi.read_map(data / "eval" / "wav.scp") if data else {}
    findings = []
    for sentence, speech in spoken:
        text = heard[sentence.id] if heard is not None else None
        if recogniser is not None:
            text = recogniser.transcribe(speech.wave, speech.sample_rate)
        told = None
        if recogniser is not None and sentence.id in recordings:
            path = kaldi.to_path(recordings[sentence.id])
            told = recogniser.transcribe(wave_files.read(path), wave_files.probe(path).sample_rate)
        findings.append(judged(sentence, speech, text2mel.frontend, text, told))
    return Analysis(exp.resolve().name, "a list of sentences" if sentences else "its evaluation set", name, findings)


def judged(sentence: Sentence, speech: Speech, frontend: TextFrontend, heard: str | None, told: str | None) -> Finding:
    """Both verdicts on one sentence.

    Args:
        heard: transcript of the speech. told: of the recording. Where the vocabulary is open they are spelled out as the text is.
    """
    cleaned = frontend.cleaner(sentence.text)
    words = words_of(cleaned, frontend.tokenizer.symbols)
    spelled = frontend.cleaner if frontend.lexicon is None else str
    attention = None
    if speech.weights is not None:
        silence = end_silence(speech.wave, speech.sample_rate)
        attention = alignment_events(speech.weights, words, speech.step_seconds, speech.stopped_by, silence)
    transcript, control = (None if text is None else transcript_events(words, spelled(text)) for text in (heard, told))
    return Finding(sentence.id, cleaned, words, speech, attention, transcript, heard, control)


class Plan(NamedTuple):
    """How sentences are spoken: settings over the experiment's, and through which vocoder."""

    settings: Sequence[str] = ()
    vocoder: str = "trained"  # trained | griffin_lim


def speak(exp: Path, text2mel: Text2Mel, sentences: Sequence[Sentence], plan: Plan) -> list[tuple[Sentence, Speech]]:
    """Speak each sentence with a seed that follows from its id."""
    for sentence in sentences:
        text2mel.frontend.symbols(sentence.text)  # refuses a text before any is spoken
    seeds = [utterance_seed(text2mel.system.seed, sentence.id) for sentence in sentences]
    mels = predict_mels(text2mel, [sentence.text for sentence in sentences], seeds)
    mel2wav = griffin_lim(text2mel.system) if plan.vocoder == "griffin_lim" else load_mel2wav(exp, "cpu", plan.settings)
    waves = vocode(mel2wav, [spoken.mel for spoken in mels], seeds)
    features = text2mel.system.features
    step = features.hop * text2mel.system.reduction / features.sample_rate
    return [
        (sentence, Speech(wave, features.sample_rate, spoken.weights, spoken.symbols, step, spoken.stopped_by))
        for sentence, wave, spoken in zip(sentences, waves, mels, strict=True)
    ]


def existing(exp: Path, text2mel: Text2Mel) -> list[tuple[Sentence, Speech]]:
    """What the experiment has spoken of its evaluation set, free running."""
    found, experiment = [], read_experiment(exp)
    for utterance in experiment.utterances:
        path = utterance.speech.get("free") or utterance.speech.get("free_griffin_lim")
        if path is not None:
            arrays = utterance.arrays()
            weights = arrays.get("weights_free")
            attention = weights if weights is not None and weights.size else None
            names = [str(symbol) for symbol in arrays.get("symbols", [])]
            rate, reason = wave_files.probe(path).sample_rate, str(utterance.facts.get("stopped_by", "stop"))
            speech = Speech(wave_files.read(path), rate, attention, names, experiment.step_seconds, reason)
            found.append((Sentence(utterance.id, utterance.text), speech))
    return found


def end_silence(wave: NDArray[np.float32], sample_rate: int) -> float:
    """Seconds after the last sound that is less than 42 dB below the loudest; the whole length where there is none."""
    try:
        _, stop = trim_silence(wave, sample_rate, Trim(lead=0.0, tail=0.0))
    except DataError:
        stop = 0
    return (len(wave) - stop) / sample_rate
