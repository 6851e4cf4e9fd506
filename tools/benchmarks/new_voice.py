"""How well does a trained voice learn another one from 5, 10 and all minutes of its recordings?

    python tools/benchmarks/new_voice.py FOLDER --from EXP --audio CORPUS [--sizes 5 10 32] [--minutes M] [--vocoder-minutes M]
        [--recogniser 'PYTHON tools/benchmarks/transcribe.py --whisper MODEL']

Each size is `toolkit new-voice` from EXP, its training of at most M minutes, and, where EXP has a trained vocoder, that one trained on
with the new voice's ground-truth-aligned mels. The same sentences are held out of all sizes, and small sizes are part of larger ones;
a size of more minutes than there are takes all. What is finished is not done again, so the same command goes on after an interruption;
other options want another FOLDER. Columns:

minutes        of recordings that were trained on
updates, hours of the feature predictor; and of the vocoder, after the copy from EXP
no end         held-out sentences whose end the voice did not find
CER            character errors in % of the held-out sentences, in brackets of the same recordings: by pocketsphinx, which hears nothing but
               words of these sentences that it knows, and by the recogniser of the option, a command that is given a folder and prints
               lines ``id text``
MOS            as DistillMOS predicts it, in brackets of the recordings; - where distillmos or xls-r-sqa is not installed
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.audio import wave  # noqa: E402
from toolkit.data import kaldi  # noqa: E402
from toolkit.data.corpus import read  # noqa: E402
from toolkit.data.kaldi import Utterance  # noqa: E402
from toolkit.data.writing import write_json, write_text  # noqa: E402
from toolkit.errors import DataError, ToolkitError  # noqa: E402
from toolkit.evaluate.judge import BEAMS  # noqa: E402
from toolkit.evaluate.recognition import RATE, PocketsphinxRecogniser, character_error_rate, spoken_words  # noqa: E402
from toolkit.evaluate.results import markdown_table  # noqa: E402
from toolkit.infer.load import load_config  # noqa: E402
from toolkit.text.base import TextError  # noqa: E402
from toolkit.text.frontend import TextFrontend  # noqa: E402
from toolkit.train.checkpoint import Checkpoints  # noqa: E402

TOOLKIT = 'toolkit() { "$TOOLKIT_PYTHON" -m toolkit "$@"; }; '
Found = dict[str, float | None]


def run(log: Path, command: str) -> None:
    """A command line of the toolkit; what it prints goes to the end of a log."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), "TOOLKIT_PYTHON": sys.executable}
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {command}\n")
        file.flush()
        done = subprocess.run(["bash", "-c", TOOLKIT + command], stdout=file, stderr=subprocess.STDOUT, env=env, check=False)
    if done.returncode:
        raise DataError(f"{log}: its last command failed, got exit code {done.returncode}; the last lines of the log say why")


def readable(base: Path, found: Sequence[Utterance]) -> list[Utterance]:
    """Those whose texts have only symbols that the trained voice knows."""
    system = load_config(base)
    frontend = replace(TextFrontend.load(base, system.cleaner.build(), system.tokenizer.build()), lexicon=None)
    kept = list[Utterance]()
    for utterance in found:
        try:
            frontend(utterance.text)
            kept.append(utterance)
        except TextError as error:
            print(f"left out: {utterance.id}: {error}")
    return kept


def corpus(folder: Path, base: Path, audio: Path, minutes: float, held_out: int) -> Path:
    """A manifest of that many minutes in a fixed random order, with dev and eval beside it that no size trains on."""
    place = folder / "corpus"
    if not (place / "splits/eval.list").is_file():
        found = readable(base, read(audio, "new").utterances)
        random.Random(1).shuffle(found)
        dev, test, rest = found[: held_out // 2], found[held_out // 2 : held_out + held_out // 2], found[held_out + held_out // 2 :]
        train, seconds = list[Utterance](), 0.0
        for utterance in rest:
            if seconds < 60 * minutes:
                train.append(utterance)
                seconds += utterance.seconds
        rows = [{"id": one.id, "audio_filepath": str(one.wav), "text": one.text} for one in (*train, *dev, *test)]
        write_text(place / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        for name, chosen in (("dev", dev), ("eval", test)):
            write_text(place / f"splits/{name}.list", "".join(f"{one.id}\n" for one in chosen))
    return place


def train(folder: Path, place: Path, options: argparse.Namespace) -> Path:
    """The experiment of one size, trained and with its held-out sentences spoken."""
    voice, log, written = folder / "voice", folder / "log.txt", folder / "command.txt"
    settings = [word for setting in options.set for word in ("--set", setting)]
    if not written.is_file():
        make = ["toolkit", "new-voice", "new", "--audio", str(place), "--from", str(options.base), "--out", str(voice), *settings]
        run(log, f"{shlex.join(make)} | tee {shlex.quote(str(folder / 'made.txt'))}; exit ${{PIPESTATUS[0]}}")
        write_text(written, (folder / "made.txt").read_text(encoding="utf-8").splitlines()[-1])
    run(log, f"{written.read_text(encoding='utf-8')} --set text2mel.max_minutes={options.minutes}")
    given = shlex.join(["--data", str(voice / "dump"), "--exp", str(voice / "exp")])
    learnt = Checkpoints(options.base / "mel2wav").newest()
    if learnt is not None and options.vocoder_minutes:
        steps = int(learnt.name.rpartition("-")[2]) + options.vocoder_steps
        config = shlex.join(["--config", str(voice / "config.yaml")])
        bounds = f"--set mel2wav.max_steps={steps} --set mel2wav.max_minutes={options.vocoder_minutes}"
        run(log, f"toolkit gta {given}")
        run(log, f"toolkit train mel2wav {config} {given} {bounds}")
    run(log, f"toolkit synthesize {given} --utterances 0{'' if learnt else ' --without-vocoder'}")
    return voice / "exp"


def known_words(texts: Sequence[str]) -> list[str]:
    """Words of texts that pocketsphinx can pronounce."""
    from pocketsphinx import Decoder

    dictionary = Decoder(lm=None, loglevel="FATAL")
    return sorted({word for text in texts for word in spoken_words(text) if dictionary.lookup_word(word) is not None})


def heard_by_command(command: str, folder: Path) -> dict[str, str]:
    """What a command writes of a folder's recordings."""
    done = subprocess.run([*shlex.split(command), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"--recogniser: {command}: {done.stderr.strip()[-200:] or f'exit code {done.returncode}'}")
    return {key: text for key, _, text in (line.partition(" ") for line in done.stdout.splitlines())}


def predicted_mos(waves: Mapping[str, Path]) -> float | None:
    """The mean over recordings, None without distillmos, which wants no more of torchaudio than the name."""
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    try:
        from distillmos import ConvTransformerSQAModel
    except ImportError:
        return None
    model = ConvTransformerSQAModel().eval()
    with torch.inference_mode():
        return statistics.fmean(float(model(torch.from_numpy(wave.read(path, RATE))[None])) for path in waves.values())


def judge(waves: Mapping[str, Path], texts: Mapping[str, str], recogniser: PocketsphinxRecogniser, command: str) -> Found:
    """Character error rates by both recognisers, weighted by length, and predicted MOS."""
    heard = {"pocketsphinx": {key: recogniser.transcribe(wave.read(path, RATE), RATE) for key, path in waves.items()}}
    if command:
        heard["command"] = heard_by_command(command, next(iter(waves.values())).parent)
    length = {key: len(" ".join(spoken_words(text))) for key, text in texts.items()}
    rates: Found = {
        name: sum(length[key] * character_error_rate(text, said.get(key, "")) for key, text in texts.items()) / sum(length.values())
        for name, said in heard.items()
    }
    return rates | {"mos": predicted_mos(waves)}


def clock(run_folder: Path) -> tuple[int, float]:
    """Updates and hours of a training that began here; none for one that did not."""
    path = run_folder / "clock.json"
    if not path.is_file():
        return 0, 0.0
    found = json.loads(path.read_text(encoding="utf-8"))
    return int(found["step"]), float(found["seconds"]) / 3600


def size(folder: Path, minutes: float, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one size."""
    result = folder / "result.json"
    if not result.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        experiment = train(folder, corpus(folder, options.base, options.audio, minutes, options.held_out), options)
        dump, speech = folder / "voice/dump", experiment / "speech/eval"
        texts = {one.id: one.text for one in kaldi.read(dump / "eval")}
        spoken = speech / ("free" if (speech / "free").is_dir() else "free_griffin_lim")
        recordings = {key: kaldi.to_path(path) for key, path in kaldi.read_map(dump / "eval/wav.scp").items()}
        recogniser = PocketsphinxRecogniser(known_words(list(texts.values())), **BEAMS)
        rows = [json.loads(line) for line in (speech / "utterances.jsonl").read_text(encoding="utf-8").splitlines()]
        figures = {
            "minutes": sum(one.seconds for one in kaldi.read(dump / "train")) / 60,
            "text2mel": clock(experiment / "text2mel"), "mel2wav": clock(experiment / "mel2wav"),
            "sentences": len(texts), "no_end": sum(row["stopped_by"] != "stop" for row in rows),
            "voice": judge({key: spoken / f"{key}.wav" for key in texts}, texts, recogniser, options.recogniser),
            "recordings": judge(links(folder / "recordings", recordings), texts, recogniser, options.recogniser),
        }  # fmt: skip
        write_json(result, figures)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def links(folder: Path, paths: Mapping[str, Path]) -> dict[str, Path]:
    """A folder that has just these recordings, each under its id."""
    folder.mkdir(exist_ok=True)
    made = {key: folder / f"{key}{path.suffix}" for key, path in paths.items()}
    for key, place in made.items():
        place.unlink(missing_ok=True)
        place.symlink_to(paths[key].resolve())
    return made


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line a size."""

    def both(row: Mapping[str, Any], name: str, form: str, factor: float) -> str:
        values = [row[whose].get(name) for whose in ("voice", "recordings")]
        return "-" if None in values else f"{factor * values[0]:{form}} ({factor * values[1]:{form}})"

    header = ["minutes", "updates", "hours", "vocoder: updates to", "hours", "no end", "CER, pocketsphinx", "CER, recogniser", "MOS"]
    cells = [
        [
            f"{row['minutes']:.1f}", str(row["text2mel"][0]), f"{row['text2mel'][1]:.2f}", str(row["mel2wav"][0] or "-"),
            f"{row['mel2wav'][1]:.2f}", f"{row['no_end']} of {row['sentences']}", both(row, "pocketsphinx", ".1f", 100),
            both(row, "command", ".1f", 100), both(row, "mos", ".2f", 1),
        ]
        for row in rows
    ]  # fmt: skip
    return markdown_table(header, cells)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for data, trainings and results")
    parser.add_argument("--from", dest="base", type=Path, required=True, metavar="EXP", help="the trained experiment to begin from")
    parser.add_argument("--audio", type=Path, required=True, metavar="CORPUS", help="recordings of the new voice")
    parser.add_argument("--sizes", nargs="+", type=float, default=[5, 10, 32], metavar="MINUTES", help="of recordings")
    parser.add_argument("--minutes", type=float, default=100.0, help="the feature predictor is trained at most so long")
    parser.add_argument("--vocoder-minutes", type=float, default=60.0, help="and the vocoder; 0: it stays as it is")
    parser.add_argument("--vocoder-steps", type=int, default=2000, help="updates of the vocoder, at most")
    parser.add_argument("--held-out", type=int, default=20, help="sentences that are judged; half as many more validate")
    parser.add_argument(
        "--recogniser", default="", metavar="COMMAND", help="one that prints a line `id text` for each recording of a folder"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the training; may be repeated")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    rows = [size(options.folder / f"{minutes:g}", minutes, options) for minutes in options.sizes]
    write_text(options.folder / "new_voice.md", table(rows) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolkitError as error:
        sys.exit(f"error: {error}")
