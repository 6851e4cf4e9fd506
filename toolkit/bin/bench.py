"""Measure what to expect of this machine: minutes an epoch, RTF of each vocoder and precision, features."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, nargs="+", help="which nets (default: the presets mini, small and paper)")
    parser.add_argument("--exp", type=Path, help="folder of an experiment: its net instead")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of all of them")
    parser.add_argument("--hours", type=float, default=24.0, help="of the corpus that an epoch is told for (default: %(default)g)")
    parser.add_argument("--threads", type=int, default=2, help="at most so many cores (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure, roughly (default: %(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine's here too")


def run(args: argparse.Namespace) -> int:
    """Print each figure as it comes, then what the machine can do at most."""
    from toolkit.data.writing import write_json
    from toolkit.evaluate.speed import measure, presets
    from toolkit.evaluate.timing import machine
    from toolkit.kernels.native import summary
    from toolkit.nn.execution import Execution
    from toolkit.tasks.schema import load_system

    workers = Execution(threads=args.threads).checked().workers
    files = [args.exp / "config.yaml"] if args.exp else args.config or presets()
    systems = {(path.parent.name if args.exp else path.stem): load_system(path, args.set) for path in files}
    print(f"kernels: {summary()}\nthreads: {workers}, one utterance at a time, untrained nets of the real sizes", flush=True)
    rows = []
    for row in measure(systems, args.hours, workers, args.seconds):
        rows.append(row)
        print(f"{row['net']:<8} {row['what']:<26} {row['figure']:>9.3g} {row['unit']:<26} {row['path']}", flush=True)
    facts = machine(workers)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if args.json:
        write_json(args.json, {"name": "toolkit bench", "machine": facts, "kernels": summary(), "rows": rows})
    return 0
