"""What bf16 and int8 cost a trained WaveNet: nats a sample of recordings it never saw, by precision, all by the native kernel.

    python tools/benchmarks/precision_of_wavenet.py EXP --data FOLDER [--utterances N] [--seconds S] [--json FILE]

EXP is an experiment with a trained vocoder, FOLDER a split with features and recordings, such as ``dump/.../dev``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.data.dataset import WaveData  # noqa: E402
from toolkit.evaluate import timing  # noqa: E402
from toolkit.infer.load import load_mel2wav  # noqa: E402
from toolkit.kernels import wavenet as kernel  # noqa: E402
from toolkit.nn.execution import PRECISIONS, cores  # noqa: E402
from toolkit.vocoders.wavenet import WaveNet  # noqa: E402


@torch.inference_mode()
def nats(net: WaveNet, frames: torch.Tensor, wave: torch.Tensor) -> dict[str, float]:
    """Negative log-likelihood a sample of one utterance, by precision; ``torch`` is the plain parallel network."""
    lengths = torch.tensor([frames.shape[1]])
    scored = {"torch fp32": float(-net.log_likelihood(frames, wave, lengths))}
    for precision in PRECISIONS:
        mixture = kernel.forced(net, frames, wave, lengths, kernel.PackedNet(net, precision), cores())
        scored[precision] = float(-net.score(mixture, frames, wave, lengths))
    return scored


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each utterance at most")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    task = load_mel2wav(args.experiment)
    net, features = task.vocoder, task.system.features
    if not isinstance(net, WaveNet):
        parser.error(f"{args.experiment}: its vocoder is no wavenet, got {task.system.vocoder.name}")
    source = WaveData(args.data, args.data / "feats.scp", features.hop, 1, 0, 0)
    rows = []
    for index in range(min(args.utterances, len(source))):
        frames, wave = source.whole(index)
        kept = min(len(frames), int(args.seconds * features.sample_rate / features.hop))
        rows.append(nats(net, torch.as_tensor(frames)[None, :kept], torch.as_tensor(wave)[None, : kept * features.hop]))
    mean = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    table = [
        {"precision": name, "nats a sample": round(value, 4), "more than fp32": round(value - mean["fp32"], 4)}
        for name, value in mean.items()
    ]
    timing.report(f"precision of {args.experiment.name}", table, args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
