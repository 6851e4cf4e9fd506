"""Print the training card of a preset or an experiment: every number that decides what training does."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="preset, or folder of an experiment")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    parser.add_argument("--task", choices=["text2mel", "mel2wav"], help="one of the two only")
    parser.add_argument("--processes", type=int, default=1, help="GPUs or processes that share the batch")


def run(args: argparse.Namespace) -> int:
    from toolkit.tasks.assembly import TASKS
    from toolkit.tasks.card import as_markdown, training_card
    from toolkit.tasks.schema import load_system

    path = args.config / "config.yaml" if args.config.is_dir() else args.config
    system = load_system(path, args.set)
    for name in TASKS if args.task is None else [args.task]:
        print(as_markdown(name, training_card(system, name, args.processes)))
    return 0
