"""Align recordings with their texts: durations of symbols, times of words; or compare two alignments.

Written for each split: durations.scp (frames of each symbol), symbols.ctm and words.ctm (id channel start seconds label).
The attention of a trained predictor (--exp) does it, or an aligner that is trained for it in minutes.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="preset, or the config.yaml of an experiment")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    parser.add_argument("--data", type=Path, help="folder of features with train/, dev/ and eval/")
    parser.add_argument("--exp", type=Path, help="experiment whose predictor's attention aligns")
    parser.add_argument("--method", choices=["attention", "monotonic"], help="default: attention with --exp, else monotonic")
    parser.add_argument("--out", type=Path, help="where the results go; default the folder of --data, where trainings look for them")
    parser.add_argument("--if-needed", action="store_true", help="only if this decoder is trained on durations and they are not there")
    parser.add_argument("--textgrid", type=Path, metavar="DIR", help="also write a TextGrid (Praat) of each utterance there")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="OUT", help="two results: how far their boundaries are apart")


def run(args: argparse.Namespace) -> int:
    from toolkit.errors import ConfigError

    if args.compare:
        from toolkit.align.agreement import compare

        for name, agreement in compare(*args.compare).items():
            print(f"{name}: {agreement}")
        return 0
    if args.config is None or args.data is None:
        raise ConfigError("align: --config and --data are needed, or --compare with two results; see toolkit align --help")
    from toolkit.align.results import write_text_grids
    from toolkit.align.stage import Alignment
    from toolkit.tasks.schema import load_system

    system = load_system(args.config, args.set)
    if args.if_needed and "durations" not in system.decoder.cls.needs:
        print(f"nothing to align: decoder {system.decoder.name!r} is trained without durations")
        return 0
    method = args.method or ("attention" if args.exp else "monotonic")
    alignment = Alignment(system, args.data, args.out or args.data, method, args.exp, args.device)
    if args.if_needed and alignment.standing():
        print(f"nothing to align: the durations in {alignment.out} were made from just this")
    else:
        counted = ", ".join(f"{count} of {split}" for split, count in alignment.run().items())
        print(f"aligned by {method}: {counted}; durations and times stand in {alignment.out}")
    if args.textgrid:
        print(f"{write_text_grids(alignment.out, args.data, args.textgrid, alignment.hop)} TextGrids in {args.textgrid}")
    return 0
