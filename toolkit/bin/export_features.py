"""Write features for other programs: Kaldi and ESPnet, numpy, HDF5.

Of a folder of features all its sets are written, of an experiment its ground-truth-aligned mels. The settings that they were
made with stand beside them in features.json.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="EXP_OR_DATA_DIR", help="experiment, folder of features, or one data directory")
    parser.add_argument("--format", default="kaldi", metavar="kaldi|npy|hdf5", help="default: kaldi, which ESPnet reads too")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.export import export

    for name, count in export(args.source, args.format, args.out).items():
        print(f"{args.out / name}: features of {count} utterances as {args.format}")
    return 0
