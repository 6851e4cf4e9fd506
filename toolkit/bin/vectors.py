"""Give each utterance of data directories a vector that was made elsewhere, such as an x-vector of its speaker.

Written beside the features: vectors.scp, which a model with conditioning.vector is trained on. A source is Kaldi's scp or ark,
an npz file, or a folder of npy files; its names are those of utterances or of speakers.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="data directories, such as dump/train dump/dev")
    parser.add_argument("--source", type=Path, required=True, help="scp, ark, npz, or folder of npy files")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.vectors import VectorSource, write_vectors

    source = VectorSource(args.source)
    for folder in args.data:
        print(f"{folder}: vectors of {write_vectors(source, folder)} values from {args.source}")
    return 0
