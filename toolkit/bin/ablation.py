"""Plan an ablation (plan), speak a second list with its systems (speak), and fill its tables (tables).

recipes/ljspeech/ablation.sh calls all three. plan writes the configuration of each experiment and prints what is to be run:
phase, experiment and, where it is that of another one, the experiment of its predictor.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["plan", "speak", "tables"])
    parser.add_argument("plan", type=Path, help="the plan, such as recipes/ljspeech/conf/ablation.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of every experiment")
    parser.add_argument("--work", type=Path, default=Path(), help="folder with exp/ and dump/ (default: here)")
    parser.add_argument("--out", type=Path, help="folder for configurations (plan) or tables and sounds (tables)")
    parser.add_argument("--list", type=Path, action="append", default=[], metavar="FILE", help="sentences: id|text, or the text alone")
    parser.add_argument("--asr", default="auto", help="speech recogniser: auto, none, pocketsphinx, or the folder of a Whisper model")


def run(args: argparse.Namespace) -> int:
    from toolkit.errors import ConfigError, ToolkitError
    from toolkit.evaluate.ablation.plan import load_plan, steps, write_configurations

    plan = load_plan(args.plan, args.set)
    if args.action == "speak":
        from toolkit.evaluate.ablation.lists import folder_of, speak_list, speakers
        from toolkit.evaluate.error_analysis.analysis import read_list

        failed = 0
        for path, name in ((path, name) for path in args.list for name in speakers(plan)):
            try:
                new = speak_list(plan.folder(args.work, name), read_list(path), folder_of(plan, args.work, name, path.stem))
                print(f"{name}: {path.stem} {'spoken' if new else 'was spoken before'}")
            except ToolkitError as error:  # the others can
                failed += 1
                print(f"{name}: {path.stem} not spoken: {str(error).splitlines()[0]}")
        return 1 if failed else 0
    if args.out is None:
        raise ConfigError(f"toolkit ablation {args.action}: --out is needed, got none; a folder")
    if args.action == "plan":
        write_configurations(plan, args.out)
        print("".join(f"{' '.join(filter(None, step))}\n" for step in steps(plan)), end="")
        return 0
    import shlex
    import sys

    from toolkit.evaluate.ablation.report import ablation, write

    found = ablation(plan, args.work, args.asr, [path.stem for path in args.list], shlex.join(["toolkit", *sys.argv[1:]]))
    sounds = write(found, args.out)
    print("".join(f"not filled: {line}\n" for line in found.missing), end="")
    print(f"{len(found.tables)} tables, {sounds} sounds: {args.out / 'ablation.html'}")
    return 1 if found.missing else 0
