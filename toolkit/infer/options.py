"""The options of every verb that speaks: each is a setting of ``synthesis`` under a shorter name."""

import argparse

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
