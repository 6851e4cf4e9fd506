"""Turn a corpus into a data directory. Without --out, only say what it is.

Its layout is found out, or named with --reader; toolkit parts reader lists those that are known.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", help="folder of the corpus, or the file of a table or manifest")
    parser.add_argument("--corpus", type=Path, help="the same, as an option")
    parser.add_argument("--out", type=Path, help="data directory to write")
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The options that say how a corpus is read."""
    parser.add_argument("--reader", metavar="NAME", help="layout of the corpus, such as vctk (default: found out)")
    parser.add_argument("--reader-conf", default="{}", metavar="YAML", help="its settings, such as '{microphone: mic2}'")
    parser.add_argument("--speaker", default="speaker", help="who speaks, where the corpus does not say")
    parser.add_argument("--language", help="which language it is, where the corpus does not say")
    parser.add_argument("--speakers", default="", metavar="A,B,...", help="only their recordings (default: all)")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.corpus import prepare, read
    from toolkit.errors import ConfigError

    source = args.corpus or args.folder
    if source is None or (args.corpus and args.folder):
        raise ConfigError("toolkit prepare: one corpus, as FOLDER or with --corpus; see toolkit prepare --help")
    corpus = prepare(source, args.out, **reading(args)) if args.out else read(source, **reading(args))
    print(f"{source}: read as {corpus.reader}")
    for warning in corpus.warnings:
        print(f"warning: {source}: {warning}")
    minutes = sum(u.seconds for u in corpus.utterances) / 60
    rates = ", ".join(f"{rate} Hz" for rate in sorted(corpus.rates))
    speakers, languages = {u.speaker for u in corpus.utterances}, set(corpus.languages.values())
    several = [f"{len(names)} {kind}" for kind, names in (("speakers", speakers), ("languages", languages)) if len(names) > 1]
    print(", ".join([f"{args.out or source}: {len(corpus.utterances)} utterances", f"{minutes:.1f} min", rates, *several]))
    return 0


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_reading`` as ``toolkit.data.corpus`` takes them."""
    from toolkit import plugins
    from toolkit.config import parse_yaml, read_part
    from toolkit.data.readers import READERS
    from toolkit.errors import ConfigError

    conf = parse_yaml(args.reader_conf, "--reader-conf") or {}
    if conf and args.reader is None:
        raise ConfigError(f"--reader-conf: settings of a reader, got {args.reader_conf!r} without --reader; name it")
    plugins.permit(args.reader)
    reader = read_part(READERS, args.reader, conf, "--reader-conf", "--reader") if args.reader else None
    return {"speaker": args.speaker, "reader": reader, "language": args.language, "speakers": list(filter(None, args.speakers.split(",")))}
