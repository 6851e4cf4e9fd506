"""Mean and standard deviation of each mel bin over the training set."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data directory with feats.scp")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="statistics to write, such as dump/stats.npz")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.statistics import compute, save_statistics
    from toolkit.data.store import FeatureStore

    store = FeatureStore(args.data / "feats.scp")
    result = compute(store, store.ids)
    save_statistics(args.out, result)
    print(f"{args.out}: {len(result.mean)} bins over {result.frames} frames of {result.utterances} utterances")
    return 0
