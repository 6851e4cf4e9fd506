"""Check a data directory: every bad line and recording at once."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="data directory")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.problems import raise_all
    from toolkit.data.validation import validate

    report = validate(args.folder)
    for warning in report.warnings:
        print(f"warning: {warning}")
    raise_all(report.errors)
    print(f"{report.summary}: fit for use")
    return 0
