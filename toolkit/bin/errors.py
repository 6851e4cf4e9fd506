"""Count repeated, skipped and mispronounced words and wrong stops over a list of sentences, with a page to confirm them by ear."""

import argparse
from pathlib import Path

from toolkit.infer.options import add_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--exp", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--list", type=Path, metavar="FILE", help="id|text or a sentence on each line (default: judge EXP/speech/eval)")
    parser.add_argument("--out", type=Path, required=True, help="folder for errors.html, errors.md, errors.json and speech/")
    parser.add_argument("--utterances", type=int, default=0, help="how many, spread over the list; 0, the default, for all")
    parser.add_argument("--asr", default="auto", help="auto, none, pocketsphinx, or a Whisper model's folder (default: %(default)s)")
    parser.add_argument("--heard", type=Path, metavar="FILE", help="transcripts by another recogniser instead: id and text on each line")
    parser.add_argument("--data", type=Path, metavar="DUMP", help="folder of features; recordings of the same ids are judged as a control")
    parser.add_argument("--vocoder", choices=["trained", "griffin_lim"], default="trained")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    import shlex
    import sys

    from toolkit.evaluate.error_analysis.analysis import Plan, analyse, read_list, read_transcripts
    from toolkit.evaluate.error_analysis.page import write_page
    from toolkit.evaluate.error_analysis.tables import summary, write_tables
    from toolkit.infer.evaluation_set import choose, write_wave

    sentences = read_list(args.list) if args.list else None
    if sentences:
        sentences = [sentences[i] for i in choose(len(sentences), args.utterances)]
    heard = read_transcripts(args.heard) if args.heard else None
    analysis = analyse(args.exp, sentences, args.asr, heard, args.data, Plan(args.set, args.vocoder))
    command = shlex.join(["toolkit", *sys.argv[1:]])
    for finding in analysis.findings:
        write_wave(args.out / "speech" / f"{finding.id}.wav", finding.speech.wave, finding.speech.sample_rate)
    write_tables(analysis, args.out, command)
    page = write_page(analysis, args.out, command)
    for name, found in summary(analysis).items():
        print(f"{name}: {', '.join(f'{kind} {count}' for kind, count in found.items())}, of {len(analysis.findings)} sentences")
    print(f"listen and confirm: {page}")
    return 0
