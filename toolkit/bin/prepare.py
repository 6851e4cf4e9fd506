"""Turn a corpus (metadata.csv and recordings) into a data directory."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, required=True, help="folder with metadata.csv (id|text) and wavs/")
    parser.add_argument("--out", type=Path, required=True, help="data directory to write")
    parser.add_argument("--speaker", default="speaker", help="name of the one speaker (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.corpus import prepare

    corpus = prepare(args.corpus, args.out, args.speaker)
    for warning in corpus.warnings:
        print(f"warning: {args.corpus}: {warning}")
    minutes = sum(u.seconds for u in corpus.utterances) / 60
    rates = ", ".join(f"{rate} Hz" for rate in sorted(corpus.rates))
    print(f"{args.out}: {len(corpus.utterances)} utterances, {minutes:.1f} min, {rates}")
    return 0
