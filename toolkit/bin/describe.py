"""Print the training card of presets or experiments: every number that decides what training does, and what Tacotron 2 says of it."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="+", help="presets, or folders of experiments")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    parser.add_argument("--task", choices=["text2mel", "mel2wav"], help="one of the two only")
    parser.add_argument("--processes", type=int, default=1, help="GPUs or processes that share the batch")
    parser.add_argument("--against", type=Path, metavar="CONFIG", help="only the rows that differ from those of this one")


def run(args: argparse.Namespace) -> int:
    from toolkit.tasks.assembly import TASKS
    from toolkit.tasks.card import Row, as_markdown, differing, training_card
    from toolkit.tasks.schema import load_system

    def card(config: Path, task: str) -> list[Row]:
        path = config / "config.yaml" if config.is_dir() else config
        return training_card(load_system(path, args.set), task, args.processes)

    for config in args.config:
        for name in TASKS if args.task is None else [args.task]:
            rows, title = card(config, name), name if len(args.config) == 1 else f"{name}, {config.name}"
            if args.against is not None:
                rows, title = differing(rows, card(args.against, name)), f"{name}, {config.name} against {args.against.name}"
            print(as_markdown(title, rows))
    return 0
