#!/usr/bin/env python3
"""How long one training step of WaveNet takes, and whether bfloat16 learns the same.

A step is all of it: network over frames, upsampling, gated layers, likelihood, gradients, clipping, Adam. ``plain`` is the
twin of the fast path, ``yardstick`` an eager channels-first model of the shapes that public repositories use, written here.

    tools/benchmarks/wavenet_training.py --net 24          # or 30, or mini (with --threads 1, as its recipe trains)
    tools/benchmarks/wavenet_training.py --curves curves.json --steps 300
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import Counts, WaveBatch
from toolkit.data.writing import write_json
from toolkit.evaluate import timing
from toolkit.kernels.native import summary
from toolkit.nn.mixture_of_logistics import log_likelihood
from toolkit.nn.upsampling import TransposedUpsampling, default_scales
from toolkit.vocoders.wavenet import WaveNet

LARGE = MelSettings(sample_rate=22050, hop=275, window=1100, n_fft=2048, n_mels=80)
SMALL = MelSettings(sample_rate=16000, hop=200, window=800, n_fft=1024, n_mels=80, f_min=60.0, f_max=7600.0, floor=0.001, band_norm="sum")


class Case(NamedTuple):
    """A net and its batch."""

    features: MelSettings
    rows: int
    frames: int  # scored
    knobs: dict[str, Any]


CASES = {
    "24": Case(LARGE, 4, 14, {"layers": 24, "cycles": 4, "target_scale": 127.5}),
    "30": Case(LARGE, 4, 14, {"layers": 30, "cycles": 3, "target_scale": 127.5}),
    "mini": Case(
        SMALL,
        8,
        4,
        {
            "dilations": [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8],
            **dict.fromkeys(("residual", "gate", "skip", "condition"), 64),
            "condition_layers": 2,
            "upsample": "linear",
            "lp_shift": True,
            "pre_emphasis": 0.85,
            "input_scale": 30.0,
            "log_scale_min": -7.0,
        },
    ),
}


def net_of(case: Case, precision: str, plain: bool) -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(case.features.n_mels, case.features.hop, case.features, precision=precision, **case.knobs)
    if plain:
        net.skips = None
    return net


def made_up_batch(net: WaveNet, case: Case, step: int = 0) -> WaveBatch:
    """Voiced sounds of a random pitch in noise, and frames that say the pitch and the level."""
    generator = torch.Generator().manual_seed(step)
    frames, hop = net.context + case.frames, net.hop
    time = torch.arange(frames * hop) / case.features.sample_rate
    pitch = 80 + 120 * torch.rand(case.rows, 1, generator=generator)
    level = 0.3 * (1 + torch.sin(2 * math.pi * (3 * time + torch.rand(case.rows, 1, generator=generator)))) / 2
    wave = torch.stack([level / k * torch.sin(2 * math.pi * k * pitch * time) for k in range(1, 6)]).sum(0)
    wave = (wave + 0.01 * torch.randn(wave.shape, generator=generator)).clamp(-0.99, 0.99) / 2
    bands = torch.arange(case.features.n_mels) / case.features.n_mels
    loudness = torch.cat([level, level[:, -1:].expand(-1, net.lookahead * hop)], 1)[:, ::hop, None]
    condition = torch.log(loudness * torch.exp(-4 * bands) * (1.1 + torch.cos(pitch[..., None] * bands)) + 0.01)
    scored = case.rows * case.frames
    return WaveBatch(
        ids=[str(row) for row in range(case.rows)],
        condition=condition,
        wave=wave,
        first=torch.zeros(case.rows, dtype=torch.int64),
        ends=torch.full((case.rows,), frames * hop),
        context=net.context,
        counts=Counts(case.rows, scored, scored * hop),
        key=(0, step, 0),
    )


class Yardstick(nn.Module):
    """Eager, channels first, a convolution for every arrow of the paper's figure."""

    def __init__(self, net: WaveNet, case: Case) -> None:
        super().__init__()
        layers, stack = net.stack.each(), net.stack
        residual, skip = stack.first.out_features, stack.hidden.out_features
        gate, condition = layers[0].gates.out_features // 2, net.upsampling.channels
        self.reach, self.hop = stack.reach, net.hop
        self.upsampling = TransposedUpsampling(case.features.n_mels, condition, net.hop, default_scales(net.hop))
        self.first = nn.Conv1d(1, residual, 1)
        kernel = layers[0].kernel_size
        self.dilated = nn.ModuleList(nn.Conv1d(residual, 2 * gate, kernel, dilation=layer.dilation) for layer in layers)
        self.conditions = nn.ModuleList(nn.Conv1d(condition, 2 * gate, 1, bias=False) for _ in layers)
        self.residuals = nn.ModuleList(nn.Conv1d(gate, residual, 1) for _ in layers)
        self.skips = nn.ModuleList(nn.Conv1d(gate, skip, 1) for _ in layers)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, stack.last.out_features, 1))

    def losses(self, batch: WaveBatch) -> Tensor:
        """Mean negative log-likelihood, as ``WaveNet.losses`` without a linear predictor."""
        scored = batch.context * self.hop
        start = scored - self.reach
        count, frames = batch.wave.shape[1] - scored, batch.wave.shape[1] // self.hop + self.upsampling.after
        shown = batch.condition[:, :frames]
        shown = torch.cat([shown, shown[:, -1:].expand(-1, frames - shown.shape[1], -1)], 1)
        condition = self.upsampling(shown)[:, start:].transpose(1, 2)
        x, total = self.first(F.pad(batch.wave, (1, 0))[:, None, start:-1]), None
        for dilated, conditions, residual, skip in zip(self.dilated, self.conditions, self.residuals, self.skips, strict=True):
            gates = dilated(x)
            gates = gates + conditions(condition[..., -gates.shape[2] :])
            filtered, passed = gates.chunk(2, 1)
            z = torch.tanh(filtered) * torch.sigmoid(passed)
            part = skip(z[..., -count:])
            total = part if total is None else total + part
            x = (x[..., -z.shape[2] :] + residual(z)) * math.sqrt(0.5)
        assert total is not None
        mixture = self.head(total).transpose(1, 2)
        target = batch.wave[:, scored:]
        return -log_likelihood(mixture, target, 1 / 65535, -7.0, target <= -1, target >= 1).mean()


def step_of(net: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    """One whole step."""
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        return float(value.detach())

    return step


def rival(name: str, case: str) -> Callable[[], float]:
    """A step of ``plain``, ``yardstick``, ``fast fp32`` or ``fast bf16``."""
    chosen = CASES[case]
    net = net_of(chosen, "bf16" if name.endswith("bf16") else "fp32", name == "plain")
    batch = made_up_batch(net, chosen)
    if name == "yardstick":
        model = Yardstick(net, chosen)
        return step_of(model, lambda: model.losses(batch))
    return step_of(net, lambda: net.losses(batch, "main")["nll"])


def two_steps(name: str, case: str) -> None:
    """What the process does whose memory is measured."""
    step = rival(name, case)
    step()
    step()


def next_loss(net: WaveNet, batches: Iterator[WaveBatch]) -> Tensor:
    return net.losses(next(batches), "main")["nll"]


def curves(steps: int, path: Path) -> None:
    """Losses of the mini net on the same batches from the same start. Both paths of fp32 differ by rounding only: how far their
    curves part is what chance makes of any difference.
    """
    case, found = CASES["mini"], {}
    for name in ("plain", "fast fp32", "fast bf16"):
        net = net_of(case, "bf16" if name.endswith("bf16") else "fp32", name == "plain")
        batches = (made_up_batch(net, case, index) for index in range(steps))
        step = step_of(net, partial(next_loss, net, batches))
        found[name] = [step() for _ in range(steps)]
    tail = max(1, steps // 5)
    means = {name: sum(values[-tail:]) / tail for name, values in found.items()}
    print(f"nats a sample, mean of the last {tail} steps: " + ", ".join(f"{name} {mean:.4f}" for name, mean in means.items()))
    write_json(path, {"steps": steps, "mean_of_last_fifth": means, "losses": found})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=CASES, default="24", help="layers (128 channels, transposed upsampling), or the mini voice's net")
    parser.add_argument("--memory", action="store_true", help="measure the largest memory of each too, in a process of its own")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="train the mini net in all ways instead and write the losses")
    parser.add_argument("--steps", type=int, default=300, help="of --curves")
    timing.add_arguments(parser, rounds=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"native kernels: {summary()}\n")
    if arguments.curves:
        curves(arguments.steps, arguments.curves)
        return
    names = ("plain", "yardstick", "fast fp32", "fast bf16")
    rows = timing.compared(timing.interleaved({name: rival(name, arguments.net) for name in names}, arguments.rounds), net=arguments.net)
    case = CASES[arguments.net]
    for row in rows:
        row["samples_per_s"] = case.rows * case.frames * case.features.hop / row["seconds"]
        if arguments.memory:
            row["peak_MB"] = timing.peak_memory(two_steps, row["path"], arguments.net) / 1e6
    timing.report("One training step of WaveNet", rows, arguments.json)


if __name__ == "__main__":
    main()
