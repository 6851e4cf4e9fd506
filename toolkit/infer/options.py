"""The options of every verb that speaks: settings of ``synthesis`` under shorter names, and who speaks and how."""

import argparse
import math
from pathlib import Path

SHORT = {
    "precision": "arithmetic of the fast paths: fp32 (exact, the default), bf16 or int8",
    "threads": "at most so many cores",
    "folds": "parts of an utterance that the vocoder makes side by side; 1, the default, is exact",
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """``--set`` and its short forms; all of them end in ``args.set``, in the order given."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting, such as synthesis.stop_threshold"
    )
    for name, meaning in SHORT.items():
        setting = f"synthesis.{name}={{}}".format
        parser.add_argument(f"--{name}", dest="set", action="append", type=setting, metavar=name.upper(), help=meaning)


def add_voice(parser: argparse.ArgumentParser) -> None:
    """Options for models that are conditioned on these; ``toolkit.infer.voices`` reads them."""
    parser.add_argument("--speaker", metavar="NAME", help="of the training data")
    parser.add_argument("--language", metavar="NAME", help="of the training data")
    parser.add_argument("--speaker-vector", type=Path, metavar="FILE.npy", help="of any speaker, made as those of the training data")
    parser.add_argument("--reference", type=Path, metavar="WAV", help="a recording whose style is taken")
    parser.add_argument("--style", type=weights, metavar="W,W,...", help="a weight of each style token, instead of a recording")


def weights(text: str) -> tuple[float, ...]:
    """``0.2,0.1`` as numbers."""
    values = tuple(float(word) for word in text.split(","))
    if not all(math.isfinite(value) for value in values):
        raise ValueError(text)
    return values
