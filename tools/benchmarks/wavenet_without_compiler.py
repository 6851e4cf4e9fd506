#!/usr/bin/env python3
"""How fast does a WaveNet speak by torch alone, without compiled kernels: one stream, folded in fp32, folded in bf16?

Weights are random, which costs the same as trained ones; shift, gain, conditions and draws are part of the time. One stream
(``plain``) speaks a shorter piece. RTF is seconds of computing for a second of speech.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import torch

from toolkit.audio.mel import MelSettings
from toolkit.evaluate.timing import add_arguments, interleaved, report
from toolkit.nn.execution import Execution, torch_threads
from toolkit.nn.noise import Noise
from toolkit.vocoders.wavenet import WaveNet

FEATURES = MelSettings(sample_rate=22050, hop=275, window=1100, n_fft=2048, n_mels=80, f_min=60.0, f_max=7600.0)
PLAIN_FRAMES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, rounds=1)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--upsample", default="linear", choices=["linear", "transposed"])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each utterance")
    parser.add_argument("--utterances", type=int, default=2, help="spoken as one batch")
    parser.add_argument("--folds", type=int, default=64, help="segments of an utterance at most")
    args = parser.parse_args()
    net = build(args.layers, args.cycles, args.channels, args.upsample)
    frames = round(args.seconds * FEATURES.sample_rate / FEATURES.hop)
    rivals: Mapping[str, Callable[[], object]] = {
        "plain fp32": speaking(net, Execution(threads=args.threads, native=False), 1, PLAIN_FRAMES),
        "folded fp32": speaking(net, Execution("fp32", args.threads, args.folds, native=False), args.utterances, frames),
        "folded bf16": speaking(net, Execution("bf16", args.threads, args.folds, native=False), args.utterances, frames),
    }
    with torch_threads(args.threads):
        seconds = interleaved(rivals, args.rounds, warm_up=0)
    spoken = {name: args.utterances * frames if name.startswith("folded") else PLAIN_FRAMES for name in rivals}
    rtf = {name: seconds[name] * FEATURES.sample_rate / (FEATURES.hop * spoken[name]) for name in rivals}
    facts = {"layers": args.layers, "channels": args.channels, "upsample": args.upsample, "threads": args.threads}
    rows = [{**facts, "path": name, "rtf": rtf[name], "ratio": rtf["plain fp32"] / rtf[name]} for name in rivals]
    report("WaveNet without a compiler", rows, args.json)


def build(layers: int, cycles: int, channels: int, upsample: str) -> WaveNet:
    """A net with random weights, of the settings that the recipes train."""
    torch.manual_seed(0)
    return WaveNet(
        FEATURES.n_mels, FEATURES.hop, FEATURES, layers=layers, cycles=cycles, residual=channels, gate=channels, skip=channels,
        upsample=upsample, condition_layers=2, lp_shift=True, pre_emphasis=0.85, input_scale=30.0,
    ).eval()  # fmt: skip


def speaking(net: WaveNet, execution: Execution, rows: int, frames: int) -> Callable[[], object]:
    """Speaks ``rows`` made-up utterances of ``frames`` frames."""
    mel = torch.randn(rows, frames, FEATURES.n_mels, generator=torch.Generator().manual_seed(1)) - 5.0

    def speak() -> None:
        net.execution = execution
        net.generate(mel, torch.full((rows,), frames), Noise.of_rows(range(rows)))

    return speak


if __name__ == "__main__":
    main()
