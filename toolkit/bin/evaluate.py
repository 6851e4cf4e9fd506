"""Score what an experiment has spoken and write its report.html, RESULTS.md and scores.json.

It shows what exists: a run whose vocoder is not trained yet has a report too.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--exp", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--data", type=Path, metavar="DUMP", help="folder of features; its eval/wav.scp names the recordings")
    parser.add_argument("--compare", type=Path, nargs="+", default=[], metavar="EXP", help="experiments beside it (default: neighbours)")
    parser.add_argument("--asr", default="auto", help="speech recogniser: auto, none, pocketsphinx (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    import shlex
    import sys

    from toolkit.evaluate.evaluation import evaluate

    done = evaluate(args.exp, args.data, args.compare, args.asr, shlex.join(["toolkit", *sys.argv[1:]]))
    for utterance in [u for u in done.experiment.utterances if {"free", "free_griffin_lim"} & set(u.speech)][:1]:
        vocoder = [] if "free" in utterance.speech else ["--vocoder", "griffin_lim"]
        print(shlex.join(["toolkit", "say", "--model", str(args.exp), *vocoder, "--out", "speech.wav", "--", utterance.text]))
    print(f"{done.summary}; report: {done.report}")
    return 0
