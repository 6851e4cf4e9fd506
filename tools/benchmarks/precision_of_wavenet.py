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
def nats(net: WaveNet, frames: torch.Tensor, wave: torch.Tensor, threads: int) -> dict[str, float]:
    """Negative log-likelihood a sample of utterances side by side, by precision; ``torch`` is the plain parallel network."""
    lengths = torch.full((len(frames),), frames.shape[1])
    scored = {"torch fp32": float(-net.log_likelihood(frames, wave, lengths).mean())}
    for precision in PRECISIONS:
        mixture = kernel.forced(net, frames, wave, lengths, kernel.PackedNet(net, precision), threads)
        scored[precision] = float(-net.score(mixture, frames, wave, lengths).mean())
    return scored


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each utterance; shorter ones are left out")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    task = load_mel2wav(args.experiment)
    net, features = task.vocoder, task.system.features
    if not isinstance(net, WaveNet):
        parser.error(f"{args.experiment}: its vocoder is no wavenet, got {task.system.vocoder.name}")
    source = WaveData(args.data, args.data / "feats.scp", features.hop, 1, 0, 0)
    size = int(args.seconds * features.sample_rate / features.hop)
    wholes = [whole for whole in map(source.whole, range(len(source))) if len(whole[0]) >= size][: args.utterances]
    if not wholes:
        parser.error(f"{args.data}: no utterance of {args.seconds:g} s; give fewer --seconds")
    frames = torch.stack([torch.from_numpy(whole[0][:size]) for whole in wholes])
    wave = torch.stack([torch.from_numpy(whole[1][: size * features.hop]) for whole in wholes])
    found = nats(net, frames, wave, args.threads)
    facts = {"utterances": len(wholes), "samples": wave.numel()}
    rows = [facts | {"precision": name, "nats_a_sample": value, "more_than_fp32": value - found["fp32"]} for name, value in found.items()]
    timing.report(f"precision of {args.experiment.name}", rows, args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
