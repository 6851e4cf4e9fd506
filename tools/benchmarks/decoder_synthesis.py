"""Text -> mel of the Tacotron 2 feature predictor: plain steps against the native step, one utterance and a batch, by precision.

    python tools/benchmarks/decoder_synthesis.py [--symbols S] [--frames T] [--batch B] [--threads N] [--rounds N] [--json FILE]

Random weights of the published sizes unless told otherwise; every run makes T frames a row. All figures are of the whole way from symbols
to the mel after the postnet; the columns say what encoder and postnet take of it. RTF is seconds of compute a second of speech at 12.5 ms
a frame.
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

from toolkit.attentions import ATTENTIONS  # noqa: E402
from toolkit.audio.mel import MelSettings  # noqa: E402
from toolkit.decoders import DECODERS  # noqa: E402
from toolkit.decoders.base import StopAtProbability  # noqa: E402
from toolkit.encoders import ENCODERS  # noqa: E402
from toolkit.evaluate import timing  # noqa: E402
from toolkit.kernels import native  # noqa: E402
from toolkit.models.conditioning import Conditions  # noqa: E402
from toolkit.models.feature_predictor import FeaturePredictor  # noqa: E402
from toolkit.nn.execution import PRECISIONS, Execution  # noqa: E402
from toolkit.nn.noise import Noise  # noqa: E402
from toolkit.postnets import POSTNETS  # noqa: E402
from toolkit.text.vocabulary import Vocabulary  # noqa: E402

NEVER = StopAtProbability(2.0)
SECONDS_A_FRAME = 0.0125
MELS, SYMBOLS_KNOWN = 80, 70


def build(args: argparse.Namespace) -> FeaturePredictor:
    """The feature predictor, untrained, in eval mode."""
    torch.manual_seed(1)
    attention = ATTENTIONS.part("content") if args.attention == "content" else ATTENTIONS.part(args.attention, previous=args.previous)
    decoder = DECODERS.part("tacotron2", wiring=args.wiring, lstm=args.lstm)
    parts = ENCODERS.part("conv_blstm"), decoder, POSTNETS.part("conv"), attention
    return FeaturePredictor(Vocabulary.made_up(SYMBOLS_KNOWN).symbols, MelSettings(), 1, *parts).eval()


def speaker(model: FeaturePredictor, execution: Execution, rows: int, symbols: int, frames: int) -> Callable[[], None]:
    """A run of ``rows`` texts of equal length; each makes so many frames."""
    tokens = torch.randint(1, SYMBOLS_KNOWN, (rows, symbols))
    lengths, limit = torch.full((rows,), symbols), torch.full((rows,), frames)

    def run() -> None:
        model.decoder.execution = execution
        model.generate(tokens, lengths, limit, NEVER, Conditions(), Noise.of_rows(range(rows)))

    return run


def around(model: FeaturePredictor, rows: int, args: argparse.Namespace) -> float:
    """Milliseconds a frame of everything but the decoder."""
    tokens, lengths = torch.randint(1, SYMBOLS_KNOWN, (rows, args.symbols)), torch.full((rows,), args.symbols)
    mel, mask = torch.randn(rows, args.frames, MELS), torch.zeros(rows, args.frames, dtype=torch.bool)
    parts = {"encoder": lambda: model.encode(tokens, lengths, Conditions(), None), "postnet": lambda: model.postnet(mel, mask)}
    seconds = timing.interleaved(parts, args.rounds)
    return (seconds["encoder"] + seconds["postnet"]) / (rows * int(args.frames)) * 1e3


@torch.inference_mode()
def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a rival."""
    model = build(args)
    plain = Execution(native=False, threads=args.threads)
    ways = {"torch fp32": plain} | {f"native {name}": plain._replace(native=True, precision=name) for name in PRECISIONS}
    if native.library() is None:
        print(f"no native step: {native.why_not()}")
        ways = {"torch fp32": plain}
    rows = []
    first = 0.0
    singles: dict[str, float] = {}
    for batch in (1, args.batch):
        rivals = {name: speaker(model, execution, batch, args.symbols, args.frames) for name, execution in ways.items()}
        other = around(model, batch, args)
        for name, seconds in timing.interleaved(rivals, args.rounds).items():
            each = seconds / (batch * args.frames) * 1e3
            first = first or each
            singles.setdefault(name, each)
            rows.append({
                "path": name, "batch": batch, "ms a frame": each, "of it encoder, postnet": other, "RTF": each / 1e3 / SECONDS_A_FRAME,
                "frames a second": 1e3 / each, "x torch batch 1": first / each, "x own batch 1": singles[name] / each,
            })  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lstm", type=int, default=1024)
    parser.add_argument("--wiring", default="nvidia")
    parser.add_argument("--attention", default="location_sensitive", choices=("location_sensitive", "content"))
    parser.add_argument("--previous", action="store_true", help="location filters see the last weights too")
    timing.add_arguments(parser, rounds=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    kernels = native.library()
    title = f"text -> mel, {args.symbols} symbols, wiring {args.wiring}, kernels {kernels.target if kernels else 'none'}"
    timing.report(title, measure(args), args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
