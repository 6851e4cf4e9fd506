"""How soon, how well and how far does each attention align? Trained on the embedded corpus, judged by alignments and by pocketsphinx.

    python tools/benchmarks/attentions.py FOLDER [--attentions NAME ...] [--seeds N ...] [--steps N] [--minutes M] [--jobs N]

Each cell is one training of ``conf/mini.yaml`` with another attention, at its defaults, and another seed. The preset's guided attention
helps all of them; ``--guided 0`` shows which need it. What is finished is not done again, so the same command goes on after an
interruption. Columns:

diagonal at        updates until a validation (every 50) finds attention sharp and diagonal: focus over 0.5, diagonality over 0.8;
                   ``-`` where none does
focus              at the last validation
WER                word errors in % of held-out sentences through Griffin-Lim, free running
long WER, end      texts five times longer than any in training: word errors, and the share whose attention gets to the last word
s a step           seconds of one update, on one thread beside the other jobs
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.attentions import ATTENTIONS  # noqa: E402
from toolkit.data import kaldi  # noqa: E402
from toolkit.data.writing import write_json, write_text  # noqa: E402
from toolkit.errors import ToolkitError  # noqa: E402
from toolkit.evaluate.recognition import PocketsphinxRecogniser, total, word_errors  # noqa: E402
from toolkit.evaluate.results import markdown_table  # noqa: E402
from toolkit.infer.load import griffin_lim, load_text2mel  # noqa: E402
from toolkit.infer.speak import SpokenMel, predict_mels, vocode  # noqa: E402
from toolkit.tasks.text2mel import Text2Mel  # noqa: E402

SHARP, DIAGONAL = 0.5, 0.8
EVERY = 50  # updates between validations
LONGER, LONG_TEXTS = 5, 10
DIGITS = "zero one two three four five six seven eight nine".split()
MINI = ROOT / "recipes" / "ljspeech" / "mini"


def train(folder: Path, name: str, seed: int, options: argparse.Namespace) -> Path:
    """The experiment of one cell, trained or found."""
    settings = {
        "attention": name,
        "attention_conf": "{}",
        "seed": seed,
        "reduction": options.reduction,
        "losses.guided_attention.weight": options.guided,
        "text2mel.validate_every": EVERY,
        "text2mel.max_steps": options.steps,
        "text2mel.max_minutes": options.minutes,
    }
    assignments = [f"{key}={value}" for key, value in settings.items()] + options.set
    words = [word for assignment in assignments for word in ("--set", assignment)]
    command = [str(ROOT / "recipes/ljspeech/run.sh"), "--exp", f"{name}-{seed}", "--report", "false", "--stop-stage", "5", *words]
    with open(folder / f"{name}-{seed}.log", "w", encoding="utf-8") as log:
        subprocess.run(["env", f"TOOLKIT_WORK={folder}", *command], check=True, stdout=log, stderr=subprocess.STDOUT)
    return folder / "exp" / f"{name}-{seed}"


def learning(run: Path) -> dict[str, Any]:
    """When attention became sharp and diagonal, and how sharp it is."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if line["split"] == "dev" and "focus" in line]
    found = [row["step"] for row in rows if row["focus"] > SHARP and row["diagonality"] > DIAGONAL]
    clock = json.loads((run / "clock.json").read_text(encoding="utf-8"))
    return {
        "diagonal_at": found[0] if found else None,
        "focus": rows[-1]["focus"],
        "steps": clock["step"],
        "seconds_a_step": clock["seconds"] / clock["step"],
    }


def long_texts(longest: int) -> list[str]:
    """Digit strings of ``LONGER`` times that many words, the same in every run."""
    draw = random.Random(1)
    return [" ".join(draw.choices(DIGITS, k=LONGER * longest)) for _ in range(LONG_TEXTS)]


def speech(task: Text2Mel, recogniser: PocketsphinxRecogniser, texts: Sequence[str]) -> tuple[float, float]:
    """Word error rate, and the share of texts whose attention gets to the last word."""
    spoken = predict_mels(task, texts, range(len(texts)))
    waves = vocode(griffin_lim(task.system), [one.mel for one in spoken], range(len(texts)))
    rate = task.system.features.sample_rate
    errors = total(word_errors(text, recogniser.transcribe(wave, rate)) for text, wave in zip(texts, waves, strict=True))
    return errors.rate, sum(arrives(one, text) for one, text in zip(spoken, texts, strict=True)) / len(texts)


def arrives(spoken: SpokenMel, text: str) -> bool:
    """Whether attention is ever strongest on the last word or behind it."""
    assert spoken.weights is not None
    return bool(spoken.weights.argmax(1).max() >= len(spoken.symbols) - 1 - len(text.split()[-1]))


def cell(folder: Path, name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one training."""
    result = folder / f"{name}-{seed}.json"
    if not result.is_file():
        experiment = train(folder, name, seed, options)
        dump = folder / (experiment / ".stages" / "data").read_text(encoding="utf-8").strip()
        texts = [utterance.text for utterance in kaldi.read(dump / "eval")][:: options.skip]
        longest = max(len(utterance.text.split()) for utterance in kaldi.read(dump / "train"))
        task, recogniser = load_text2mel(experiment), PocketsphinxRecogniser((MINI / "lexicon.txt").read_text(encoding="utf-8").split())
        wer, _ = speech(task, recogniser, texts)
        long_wer, ends = speech(task, recogniser, long_texts(longest))
        figures = {"wer": wer, "long_wer": long_wer, "long_end": ends, "sentences": len(texts)}
        write_json(result, {"attention": name, "seed": seed, **learning(experiment / "text2mel"), **figures})
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line an attention, in each cell a value a seed."""
    shown: dict[str, Callable[[dict[str, Any]], str]] = {
        "diagonal at": lambda row: str(row["diagonal_at"] or "-"),
        "focus": lambda row: f"{row['focus']:.2f}",
        "WER": lambda row: f"{100 * row['wer']:.0f}",
        "long WER": lambda row: f"{100 * row['long_wer']:.0f}",
        "end": lambda row: f"{row['long_end']:.0%}",
        "s a step": lambda row: f"{row['seconds_a_step']:.2f}",
    }
    names = sorted({row["attention"] for row in rows})
    own = {name: [row for row in rows if row["attention"] == name] for name in names}
    cells = [[name, *(" / ".join(map(show, own[name])) for show in shown.values())] for name in names]
    return markdown_table(["attention", *shown], cells)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for data, trainings and results")
    parser.add_argument("--attentions", nargs="+", default=ATTENTIONS.names(), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=1500, help="updates of each training")
    parser.add_argument("--minutes", type=float, default=20.0, help="at most so long")
    parser.add_argument("--reduction", type=int, default=2, help="frames of a decoder step: some attentions move one symbol in each")
    parser.add_argument("--guided", type=float, default=1.0, help="weight of guided attention; 0 for none")
    parser.add_argument("--skip", type=int, default=4, help="every so many held-out sentences are judged")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all trainings")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    wanted = [(name, seed) for seed in options.seeds for name in options.attentions]
    first = cell(options.folder, wanted[0][0], wanted[0][1], options)  # it also makes the data, which no two may do at once
    with ThreadPoolExecutor(options.jobs) as pool:
        rest = list(pool.map(lambda one: cell(options.folder, one[0], one[1], options), wanted[1:]))
    rows = sorted([first, *rest], key=lambda row: (row["attention"], row["seed"]))
    write_text(options.folder / "attentions.md", table(rows) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ToolkitError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
