"""Make an experiment of a published checkpoint of another toolkit.

What an experiment can do, it then does: speak, be fine-tuned from (--init-param), be judged. A feature predictor and a vocoder that
have the same features go into one folder, one after the other.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it is, where it lies, and where it goes."""
    parser.add_argument("kind", help="such as nvidia-tacotron2; toolkit parts importer lists them")
    parser.add_argument("file", type=Path, help="the checkpoint")
    parser.add_argument("--config", type=Path, help="the configuration that came with it (.json, .yml)")
    parser.add_argument("--statistics", type=Path, help="mean and deviation of its frames, where they are in a file (.h5, .npy, .npz)")
    parser.add_argument("--exp", type=Path, required=True, help="folder of the experiment; the other side may be there already")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the written configuration")
    parser.add_argument(
        "--trust-pickle", action="store_true", help="read a file that can run code when it is read: only from who you trust"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, check that every weight found its place, write."""
    from toolkit.infer.importing.run import import_model

    for line in import_model(args.kind, args.file, args.exp, args.config, args.statistics, args.set, args.trust_pickle):
        print(line)
    return 0
