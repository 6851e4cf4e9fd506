"""Write ground-truth-aligned mels of train, dev and eval with the trained feature predictor."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--exp", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--data", type=Path, required=True, help="folder of features with train/, dev/ and eval/")
    parser.add_argument("--device", default="cpu")


def run(args: argparse.Namespace) -> int:
    from toolkit.infer.gta import write_gta
    from toolkit.infer.load import load_text2mel

    out = args.exp / "gta"
    if out.is_symlink():  # of an experiment that borrows its predictor: nothing is written through the link
        print(f"those of {out.resolve().parent}")
        return 0
    task = load_text2mel(args.exp, args.device)
    gap = write_gta(task, args.data, out)
    print(", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in gap.items()))
    return 0
