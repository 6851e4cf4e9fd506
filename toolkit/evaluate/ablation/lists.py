"""A second list of sentences, spoken by the compared systems from text alone, such as the 100 custom ones of section 3.2."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.audio import wave as wave_files
from toolkit.data.writing import write_text
from toolkit.evaluate.ablation.plan import Plan
from toolkit.evaluate.ablation.scores import measures
from toolkit.evaluate.ablation.tables import QUIET, Rows, shown
from toolkit.evaluate.bootstrap import interval
from toolkit.evaluate.error_analysis.analysis import Plan as Speaking
from toolkit.evaluate.error_analysis.analysis import Sentence, speak
from toolkit.evaluate.judge import choose_judge
from toolkit.evaluate.material import read_experiment, read_rows
from toolkit.evaluate.published_scores import CUSTOM_LIST
from toolkit.evaluate.recognition import character_error_rate, spoken_words, word_errors
from toolkit.infer.evaluation_set import write_wave
from toolkit.infer.load import load_text2mel
from toolkit.train.checkpoint import best_weights

FACTS = "utterances.jsonl"
ERRORS = {"word_error_rate": lambda text, heard: word_errors(text, heard).rate, "character_error_rate": character_error_rate}


def speakers(plan: Plan) -> list[str]:
    """The experiments that speak lists: those of the compared systems that speak from text."""
    cells = plan.tables["systems"].cells.values() if "systems" in plan.tables else []
    return list(dict.fromkeys(cell.experiment for cell in cells if cell.speech == "free"))


def folder_of(plan: Plan, work: Path, experiment: str, title: str) -> Path:
    """Where an experiment has spoken a list."""
    return plan.folder(work, experiment) / "speech" / f"list-{title}"


def speak_list(folder: Path, sentences: Sequence[Sentence], out: Path) -> bool:
    """Speak every sentence with an experiment into ``out/ID.wav``; False where that is done already with the same weights.

    Raises:
        DataError: a sentence has symbols that the voice does not know; none is spoken then.
    """
    weights = _weights(folder)
    rows = [{"id": sentence.id, "text": sentence.text, "weights": weights} for sentence in sentences]
    before = [{key: row.get(key) for key in ("id", "text", "weights")} for row in read_rows(out / FACTS)]
    if before == rows and all((out / f"{sentence.id}.wav").is_file() for sentence in sentences):
        return False
    spoken = speak(folder, load_text2mel(folder), sentences, Speaking())
    for sentence, speech in spoken:
        write_wave(out / f"{sentence.id}.wav", speech.wave, speech.sample_rate)
    lines = [json.dumps(row | {"stopped_by": speech.stopped_by}) for row, (_, speech) in zip(rows, spoken, strict=True)]
    write_text(out / FACTS, "".join(f"{line}\n" for line in lines))
    return True


def list_rows(plan: Plan, work: Path, title: str, asr: str) -> Rows:
    """Stops and word errors of a list, an experiment a row."""
    columns = {name: measures()[name] for name in ERRORS}
    body = []
    for name in speakers(plan):
        folder = folder_of(plan, work, name, title)
        rows = read_rows(folder / FACTS)
        missed = str(sum(row["stopped_by"] == "limit" for row in rows)) if rows else QUIET
        found = _errors(plan.folder(work, name), folder, rows, asr) if rows else {}
        errors = [shown(interval(found[key]) if len(found.get(key, [])) > 1 else None, column) for key, column in columns.items()]
        body.append([name, str(len(rows)) if rows else "not spoken", missed, *errors])
    head = ["Experiment", "Sentences", "Without a stop", *(column.title for column in columns.values())]
    caption = f"List {title}, from text alone; published for Tacotron 2 on 100 custom sentences: MOS {CUSTOM_LIST}, without an interval"
    return Rows(caption, head, body)


def _errors(experiment: Path, folder: Path, rows: Sequence[Mapping[str, object]], asr: str) -> dict[str, list[float]]:
    """Error rates in percent of each sentence with words; nothing where there is no recogniser."""
    recogniser = choose_judge(asr, read_experiment(experiment)).recogniser
    found: dict[str, list[float]] = {}
    for row in rows:
        text, path = str(row["text"]), folder / f"{row['id']}.wav"
        if recogniser is not None and spoken_words(text):
            heard = recogniser.transcribe(wave_files.read(path), wave_files.probe(path).sample_rate)
            for name, errors in ERRORS.items():
                found.setdefault(name, []).append(100 * errors(text, heard))
    return found


def _weights(folder: Path) -> list[int]:
    """Steps of the weights that speak."""
    trained = [folder / name for name in ("text2mel", "mel2wav") if (folder / name / "checkpoints").is_dir()]
    return [int(best_weights(path)[1]["step"]) for path in trained]
