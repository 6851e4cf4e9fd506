"""Make everything ready to fine-tune a trained experiment on recordings of another voice.

Written are NAME/data, NAME/features, NAME/dump and NAME/config.yaml; printed is the command that trains. Symbols, mel settings and
statistics are those of the trained voice; the learning rate is lower, and the steps follow from the minutes of recordings.
"""

import argparse
from pathlib import Path

from toolkit.bin.prepare import add_reading, reading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the voice")
    parser.add_argument("--audio", type=Path, required=True, metavar="FOLDER", help="recordings with texts, in a layout of toolkit prepare")
    parser.add_argument("--from", dest="base", type=Path, required=True, metavar="EXP", help="the trained experiment to begin from")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder to make (default: NAME)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of its training; may be repeated")
    parser.add_argument("--nj", type=int, default=1, metavar="N", help="processes for features; the result does not depend on it")
    add_reading(parser)
    parser.set_defaults(speaker=None)


def run(args: argparse.Namespace) -> int:
    from toolkit.data.kaldi import check_id
    from toolkit.tasks.new_voice import new_voice

    check_id(args.name, "NAME")
    given = reading(args) | {"speaker": args.speaker or args.name}
    folder = args.out or Path(args.name)
    made = new_voice(args.base, folder, args.audio, given, args.set, args.nj, lambda line: print(line, flush=True))
    for warning in made.warnings:
        print(f"warning: {warning}")
    print(made.summary)
    print(made.split.table())
    print(f"{folder} is ready; train it:\n{made.command}")
    return 0
