"""Give an experiment the trained feature predictor of another one, and its ground-truth-aligned mels."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="configuration of the experiment that borrows")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    parser.add_argument("--data", type=Path, required=True, help="its folder of features")
    parser.add_argument("--exp", type=Path, required=True, help="the experiment that borrows")
    parser.add_argument("--source", type=Path, required=True, help="the experiment whose predictor is trained")


def run(args: argparse.Namespace) -> int:
    from toolkit.tasks.borrowing import borrow_predictor
    from toolkit.tasks.schema import load_system

    borrow_predictor(load_system(args.config, args.set), args.data, args.source, args.exp)
    print(f"predictor and aligned mels are those of {args.source}")
    return 0
