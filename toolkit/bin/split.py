"""Drop utterances outside the limits and divide the rest into train, dev and eval."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data directory with feats.scp and utt2num_frames")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets train/, dev/ and eval/")
    parser.add_argument("--config", type=Path, required=True, help="configuration; its section limits decides")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration, may be repeated")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.splitting import write_split
    from toolkit.tasks.schema import load_system

    print(write_split(args.data, args.out, load_system(args.config, args.set).limits).table())
    return 0
