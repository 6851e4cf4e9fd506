"""Write the token list of the training text; refuse dev and eval text with other symbols."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="configuration; its cleaner and tokenizer decide")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration, may be repeated")
    parser.add_argument("--text", type=Path, nargs="+", default=[], metavar="TEXT", help="training transcripts, lines `id text`")
    parser.add_argument("--out", type=Path, required=True, metavar="TOKENS", help="the token list; read, not written, without --text")
    parser.add_argument("--check", type=Path, nargs="+", default=[], metavar="TEXT", help="transcripts that may have no other symbols")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.kaldi import read_map
    from toolkit.data.problems import raise_all
    from toolkit.data.writing import write_text
    from toolkit.tasks.schema import load_system
    from toolkit.text.coverage import Coverage
    from toolkit.text.vocabulary import Vocabulary

    system = load_system(args.config, args.set)
    cleaner, tokenizer = system.cleaner.build(), system.tokenizer.build()
    training = Coverage(cleaner, tokenizer)
    for path in args.text:
        training.add(read_map(path), str(path))
    vocabulary = training.vocabulary() if args.text else Vocabulary.load(args.out)
    problems = training.problems
    for path in args.check:
        checked = Coverage(cleaner, tokenizer)
        checked.add(read_map(path), str(path))
        problems += checked.problems + checked.unknown(vocabulary, str(path))
    raise_all(problems)
    if args.text:
        write_text(args.out, vocabulary.to_text())
    rare = training.rare()
    print(f"{args.out}: {len(vocabulary)} symbols ({system.tokenizer.name}), 0 unknown" + (f"; rare: {', '.join(rare)}" if rare else ""))
    return 0
