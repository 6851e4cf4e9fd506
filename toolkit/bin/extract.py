"""Trim recordings, compute their features, and write both as a new data directory."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="configuration; features, trim, level and extras decide")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration, may be repeated")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data directory of the recordings")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="data directory to make")
    parser.add_argument("--nj", type=int, default=1, metavar="N", help="processes; the result does not depend on it")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.extraction import extract
    from toolkit.data.shards import Extraction
    from toolkit.tasks.schema import load_system

    system = load_system(args.config, args.set)
    extraction = Extraction(system.features, system.trim, system.level, system.extras)
    frames = extract(args.data, args.out, extraction, args.nj, lambda line: print(line, flush=True))
    seconds = frames * system.features.hop / system.features.sample_rate
    print(f"{args.out}: {frames} frames, {seconds / 60:.1f} minutes of speech after trimming")
    return 0
