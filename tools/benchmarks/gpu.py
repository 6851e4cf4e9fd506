#!/usr/bin/env python3
"""On a GPU: how many mel frames a second does Tacotron 2 train on, and how fast does a folded WaveNet speak?

Training is a whole update of ``paper.yaml`` (encoder, decoder, postnet, losses, backward, clipping, Adam). Speaking is the paper's
vocoder with random weights; conditions, draws and the capture of the graphs are included.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from toolkit.data.batches import to_device
from toolkit.evaluate.timing import Row, add_arguments, interleaved, report
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train import running_statistics
from toolkit.train.turn import Turn

PAPER = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/paper.yaml"
SYMBOLS = 70


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, rounds=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--frames", type=int, default=800)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the utterance")
    parser.add_argument("--folds", type=int, default=64)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu: no GPU is visible here, so there is nothing to measure")
        return
    device = torch.device("cuda")
    rows: list[Row] = []
    for precision in ("fp32", "tf32", "bf16"):
        seconds = interleaved({"step": training(precision, args.batch, args.symbols, args.frames, device)}, args.rounds)["step"]
        rows.append(
            {"what": "training", "precision": precision, "seconds": seconds, "mel_frames_per_s": args.batch * args.frames / seconds}
        )
    for precision in ("fp32", "bf16"):
        speak, length = speaking(precision, args.folds, args.seconds, device)
        seconds = interleaved({"speak": speak}, args.rounds)["speak"]
        rows.append({"what": "folded WaveNet", "precision": precision, "seconds": seconds, "rtf": seconds / length})
    report("GPU", rows, args.json)


def training(precision: str, batch: int, symbols: int, frames: int, device: torch.device) -> Callable[[], float]:
    """One update on a made-up batch, as the trainer runs it."""
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    system = load_system(PAPER, [])
    task = Text2Mel(system, Vocabulary.made_up(SYMBOLS)).to(device)
    data = to_device(task.made_up_batch(batch, symbols, frames), device)
    turn = Turn(task.parameters_of("main"), system.text2mel)

    def update() -> float:
        task.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.stack(list(task(data, "main").values())).sum()
        turn.backward(loss)
        turn.apply(turn.gradient_norm(), 1)
        running_statistics.forget(task)
        return float(loss.detach())

    return update


def speaking(precision: str, folds: int, seconds: float, device: torch.device) -> tuple[Callable[[], object], float]:
    """Speaks one made-up utterance; and its length in seconds."""
    torch.manual_seed(0)
    system = load_system(PAPER, [])
    vocoder, features = Mel2Wav(system).to(device).eval().vocoder, system.features
    vocoder.execution = Execution(precision, folds=folds)
    frames = round(seconds * features.sample_rate / features.hop)
    mel = torch.randn(1, frames, features.n_mels, device=device) - 5.0
    lengths = torch.tensor([frames], device=device)
    return lambda: vocoder.generate(mel, lengths, Noise.of_rows([1], device)), frames * features.hop / features.sample_rate


if __name__ == "__main__":
    main()
