"""Say whether a finished stage still stands (check), mark it finished (write), or name a configuration (hash).

check exits with 0 if the stage can be skipped, else with 3 and the reasons, one a line, and removes what a killed run left
unfinished in the outputs. Paths are compared by content,
--listing folders by names and sizes. Nothing here loads a network.
"""

import argparse
import hashlib
import json
from pathlib import Path

from toolkit.config import load_yaml, override
from toolkit.data.stamps import fingerprints, stamp_valid, write_stamp
from toolkit.data.writing import remove_leftovers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a stage depends on and what it writes."""
    parser.add_argument("action", choices=["check", "write", "hash"])
    parser.add_argument("stamp", type=Path, nargs="?", help="the stamp's file, for check and write")
    parser.add_argument("--config", type=Path, help="a configuration")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an assignment over it; may be repeated")
    parser.add_argument("--sections", default="", help="keys of the configuration that matter, by commas; default all")
    parser.add_argument("--input", action="append", default=[], type=Path, help="a file or folder that is read")
    parser.add_argument("--listing", action="append", default=[], type=Path, help="a large folder that is read")
    parser.add_argument("--value", action="append", default=[], metavar="NAME=VALUE", help="a choice that matters")
    parser.add_argument("--output", action="append", default=[], type=Path, help="a file or folder that is written")


def config_hash(args: argparse.Namespace) -> str:
    """Hash of the named sections as they are written, without defaults; a part's knobs belong to its name."""
    data, sections = override(load_yaml(args.config), args.set), args.sections.split(",")
    chosen = {key: value for key, value in data.items() if not args.sections or key.removesuffix("_conf") in sections}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def listing_hash(folder: Path) -> str:
    """Hash of the names and sizes of the files in a folder."""
    lines = sorted(f"{path.relative_to(folder)} {path.stat().st_size}" for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def run(args: argparse.Namespace) -> int:
    """Compare or write one stamp."""
    values = dict(item.partition("=")[::2] for item in args.value) | {f"listing {f}": listing_hash(f) for f in args.listing}
    if args.config:
        values[f"configuration {args.sections}".strip()] = config_hash(args)
    if args.action == "hash":
        print(hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8])
        return 0
    inputs = fingerprints(args.input, values)
    if args.action == "check":
        reasons = stamp_valid(args.stamp, inputs)
        print("\n".join(reasons) or "valid")
        for output in args.output if reasons else ():
            remove_leftovers(output)
        return 3 if reasons else 0
    write_stamp(args.stamp, inputs, args.output)
    return 0
