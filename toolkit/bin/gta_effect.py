"""Compare vocoders trained on predicted and on natural mels: likelihood and distortion, with intervals."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gta", type=Path, required=True, nargs="+", metavar="EXP", help="trained on predicted mels; one a seed")
    parser.add_argument("--natural", type=Path, required=True, nargs="+", metavar="EXP", help="the same with --set crops.input=natural")
    parser.add_argument("--data", type=Path, required=True, help="folder of features with eval/")
    parser.add_argument("--out", type=Path, required=True, help="folder for gta_effect.md and gta_effect.json")
    parser.add_argument("--utterances", type=int, default=0, help="whose likelihood is taken; 0, the default, for all")
    parser.add_argument("--spoken", type=int, default=60, help="whose distortion is taken (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from toolkit.evaluate.gta_effect import as_markdown, gta_effect, write

    effect = gta_effect(args.gta, args.natural, args.data, args.utterances, args.spoken)
    write(effect, args.out)
    print(as_markdown(effect), end="")
    return 0
