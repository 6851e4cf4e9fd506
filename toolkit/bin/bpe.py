"""Train the sentencepiece model of the bpe tokenizer."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", type=Path, nargs="+", required=True, metavar="TEXT", help="training transcripts, lines `id text`")
    parser.add_argument("--model", required=True, metavar="PREFIX", help="PREFIX.model and PREFIX.vocab are written")
    parser.add_argument("--vocab-size", type=int, default=500, help="number of pieces (default %(default)s)")
    parser.add_argument("--cleaner", default="english", help="cleaner of the text, the one of the configuration (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    from toolkit.data.kaldi import read_map
    from toolkit.data.writing import atomic, write_text
    from toolkit.text.bpe import train_bpe
    from toolkit.text.cleaners import CLEANERS
    from toolkit.text.tokenizers import BpeTokenizer

    cleaner = CLEANERS.part(args.cleaner).build()
    sentences = [cleaner(text) for path in args.text for text in read_map(path).values()]
    with atomic(f"{args.model}.model") as file:
        file.write(train_bpe(sentences, args.vocab_size))
    pieces = BpeTokenizer(model=f"{args.model}.model").inventory()
    write_text(f"{args.model}.vocab", "".join(f"{piece}\n" for piece in pieces))
    print(f"{args.model}.model: {len(pieces)} pieces from {len(sentences)} sentences")
    return 0
