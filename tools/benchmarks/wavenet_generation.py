"""WaveNet generation: the native kernel by precision, rows side by side and threads, beside the torch path of the same net.

    python tools/benchmarks/wavenet_generation.py [--layers L] [--cycles C] [--channels C] [--upsample transposed|linear]
        [--precisions P ...] [--rows R ...] [--folds F] [--threads N ...] [--torch-frames F] [--seconds S] [--rounds N] [--json FILE]

Random weights: the time does not depend on them. RTF is seconds of compute a second of speech at 22.05 kHz, from the frames to the wave:
normalising, upsampling, draws and packing of the weights are in it. One row is one utterance as it is, R rows are R utterances. With
``--folds`` each row is a whole utterance of ``--seconds`` that is cut into so many segments at most; what the segments share (505 samples
for 24 layers in 4 cycles, 6139 for 30 in 3, and 8 frames) is then spoken twice and counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.audio.mel import MelSettings  # noqa: E402
from toolkit.evaluate import timing  # noqa: E402
from toolkit.kernels import native  # noqa: E402
from toolkit.kernels import wavenet as kernel  # noqa: E402
from toolkit.nn.execution import PRECISIONS, Execution  # noqa: E402
from toolkit.nn.noise import Noise  # noqa: E402
from toolkit.vocoders.wavenet import WaveNet  # noqa: E402

FEATURES = MelSettings(sample_rate=22050, window=1100, hop=275)


def build(args: argparse.Namespace) -> WaveNet:
    """The untrained vocoder of the published kind."""
    torch.manual_seed(1)
    widths = {"residual": args.channels, "gate": args.channels, "skip": args.channels}
    knobs = {"layers": args.layers, "cycles": args.cycles, "kernel_size": args.kernel_size, "upsample": args.upsample}
    return WaveNet(FEATURES.n_mels, FEATURES.hop, FEATURES, **knobs, **widths).eval()


def speaker(net: WaveNet, execution: Execution, rows: int, frames: int) -> Callable[[], None]:
    """A run of ``rows`` utterances of so many frames."""
    condition = torch.randn(rows, frames, FEATURES.n_mels) - 4
    lengths = torch.full((rows,), frames)

    def run() -> None:
        net.execution = execution
        net.generate(condition, lengths, Noise.of_rows(range(rows)))

    return run


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a way of speaking."""
    net = build(args)
    reason = kernel.supports(net)
    if reason is not None:
        print(f"no native kernel: {reason}")
    library = native.library()
    names = {"path": "torch", "layers": args.layers, "channels": args.channels, "upsample": args.upsample}
    rows = []
    for count in args.rows:
        shared = 1 if args.folds > 1 else count
        frames = max(4, round(args.seconds * FEATURES.sample_rate / FEATURES.hop / shared))
        ways: dict[tuple[str, str, int], tuple[Execution, int]] = {}
        if args.torch_frames:
            ways["torch", "fp32", max(args.threads)] = Execution(native=False), min(frames, args.torch_frames)
        for precision in args.precisions if reason is None and library is not None else ():
            for threads in args.threads:
                ways[f"native {library.target if library else ''}", precision, threads] = Execution(precision, threads, args.folds), frames
        runs = {repr(way): speaker(net, execution, count, size) for way, (execution, size) in ways.items()}
        seconds = timing.interleaved(runs, args.rounds)
        for way, (_, size) in ways.items():
            samples = count * size * FEATURES.hop
            rtf = seconds[repr(way)] / samples * FEATURES.sample_rate
            facts = {"path": way[0], "precision": way[1], "threads": way[2], "rows": count, "folds": args.folds}
            rows.append(names | facts | {"microseconds_a_sample": round(rtf / FEATURES.sample_rate * 1e6, 2), "RTF": round(rtf, 3)})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--kernel-size", type=int, default=3)
    parser.add_argument("--upsample", default="transposed", choices=("transposed", "linear"))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 32], help="utterances or segments side by side")
    parser.add_argument("--folds", type=int, default=1, help="segments of each row (default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--torch-frames", type=int, default=1, help="frames of the torch path, which is slow; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=0.4, help="of speech, over all rows; with --folds of each row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(max(args.threads))
    timing.report("WaveNet generation", measure(args), args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
