"""What bf16 and int8 cost a trained feature predictor, text by text, against plain fp32 steps with the same random draws.

    python tools/benchmarks/precision_of_decoder.py EXP TEXTS [--utterances N] [--json FILE]

EXP is an experiment with a trained feature predictor, TEXTS a file with a sentence a line (with ``--kaldi``: of a Kaldi ``text``). Columns:

forced mel         mean absolute difference of the mel after the postnet, natural log units, where every step is fed the frames that plain
                   fp32 made: what the arithmetic alone does
free mel           the same where each precision goes on from its own frames, over the frames that both have
stop frames        mean absolute difference of the length of speech, free running
alignment          share of steps that look at the same symbol as plain fp32, forced; a neighbouring symbol does not count
limit              utterances that ran into the limit, free running
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.decoders.base import Targets  # noqa: E402
from toolkit.decoders.tacotron2 import Tacotron2Decoder  # noqa: E402
from toolkit.decoders.tacotron2_generation import teacher_forced  # noqa: E402
from toolkit.evaluate import timing  # noqa: E402
from toolkit.infer.load import load_text2mel  # noqa: E402
from toolkit.kernels import native  # noqa: E402
from toolkit.models.conditioning import Conditions  # noqa: E402
from toolkit.models.feature_predictor import Prediction  # noqa: E402
from toolkit.nn.execution import PRECISIONS, Execution  # noqa: E402
from toolkit.nn.noise import Noise  # noqa: E402
from toolkit.tasks.text2mel import Text2Mel  # noqa: E402

PLAIN = Execution(native=False)


def distance(task: Text2Mel, one: Tensor, other: Tensor) -> float:
    """Mean absolute difference of two normalised mels ``1 T M`` in natural units, over the frames that both have."""
    frames = min(one.shape[1], other.shape[1])
    natural = task.model.normaliser.inverse
    return float((natural(one[:, :frames]) - natural(other[:, :frames])).abs().mean())


def compare(task: Text2Mel, decoder: Tacotron2Decoder, text: str, seed: int) -> dict[str, dict[str, float]]:
    """Figures of one text by precision."""
    symbols = task.frontend(text)
    tokens, lengths = torch.tensor([symbols]), torch.tensor([len(symbols)])

    def free(execution: Execution) -> Prediction:
        decoder.execution = execution
        return task.generate(tokens, lengths, Noise.of_rows([seed]))

    reference = free(PLAIN)
    memory, mask = task.model.encode(tokens, lengths, Conditions(), None)
    targets = Targets(reference.output.mel, reference.output.lengths)
    figures = {}
    for precision in PRECISIONS:
        own = free(Execution(precision=precision))
        forced = teacher_forced(decoder, memory, mask, targets, Noise.of_rows([seed]))
        assert forced is not None and forced.weights is not None and reference.output.weights is not None
        nothing = torch.zeros(forced.mel.shape[:2], dtype=torch.bool)
        refined = forced.mel + task.model.postnet(forced.mel, nothing)
        figures[precision] = {
            "forced mel": distance(task, refined, reference.mel),
            "free mel": distance(task, own.mel, reference.mel),
            "stop frames": float((own.output.lengths - reference.output.lengths).abs()),
            "alignment": float((forced.weights.argmax(2) == reference.output.weights.argmax(2)).float().mean()),
            "limit": float((own.output.stopped_by or [""])[0] == "limit"),
        }
    return figures


def summary(rows: Sequence[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Means over the texts, the utterances at the limit as a sum, and the worst difference in length."""
    table = []
    for precision in PRECISIONS:
        own = [row[precision] for row in rows]
        means = {name: sum(figures[name] for figures in own) / len(own) for name in own[0]}
        worst = {"worst stop frames": max(figures["stop frames"] for figures in own)}
        table.append({"precision": precision, "texts": len(own), **means, **worst, "limit": sum(figures["limit"] for figures in own)})
    return table


@torch.inference_mode()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--kaldi", action="store_true", help="lines begin with an utterance's name")
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    task = load_text2mel(args.experiment)
    decoder = task.model.decoder
    if not isinstance(decoder, Tacotron2Decoder):
        parser.error(f"{args.experiment}: no Tacotron 2 decoder, got {task.system.decoder.name}")
    if native.library() is None:
        parser.error(native.why_not())
    lines = [line.strip() for line in args.texts.read_text(encoding="utf-8").splitlines() if line.strip()][: args.utterances]
    texts = [line.partition(" ")[2] if args.kaldi else line for line in lines]
    rows = [compare(task, decoder, text, seed) for seed, text in enumerate(texts)]
    timing.report(f"precision of the decoder of {args.experiment.name}", summary(rows), args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
