#!/usr/bin/env python3
"""How long does a training step of Tacotron 2 take: plain twin, fast path in float32 and bfloat16, and an independent model?

The whole step is timed: encoder, decoder, postnet, losses, backward, clipping, Adam. ``independent`` is an ordinary eager model
of the shapes that NVIDIA published (the "nvidia" wiring, dropout in the place of zoneout), to show that the twin is not slow:
it may take 1.1 times as long. ``--frames 500 --wiring all`` are the figures of the documentation, and ``--set attention=forward
--set attention_conf={}`` those of another attention.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.data.batches import to_device
from toolkit.decoders.tacotron2 import WIRINGS
from toolkit.evaluate.timing import add_arguments, compared, interleaved, peak_memory, report
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train import running_statistics
from toolkit.train.turn import Turn

PAPER = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/paper.yaml"
SYMBOLS = 70
PATHS = ("plain", "fp32", "bf16")


class Sizes(NamedTuple):
    """Of a training batch."""

    batch: int
    symbols: int
    frames: int


class Ours:
    """The feature predictor of ``paper.yaml`` and its optimiser, as the trainer runs them."""

    def __init__(self, wiring: str, sizes: Sizes, device: str, settings: Sequence[str]) -> None:
        torch.manual_seed(1)
        system = load_system(PAPER, [f"decoder_conf.wiring={wiring}", *settings])
        self.task = Text2Mel(system, Vocabulary.made_up(SYMBOLS)).to(device)
        self.batch = to_device(self.task.made_up_batch(*sizes), torch.device(device))
        self.turn, self.device = Turn(self.task.parameters_of("main"), system.text2mel), device

    def step(self, path: str) -> float:
        """One update by way of ``plain``, ``fp32`` or ``bf16``; the loss."""
        decoder = self.task.model.decoder
        decoder.__dict__.pop("forward", None)
        if path == "plain":
            decoder.__dict__["forward"] = decoder.forward_plain
        self.task.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16) if path == "bf16" else nullcontext():
            loss = torch.stack(list(self.task(self.batch, "main").values())).sum()
        self.turn.backward(loss)
        self.turn.apply(self.turn.gradient_norm(), 1)
        running_statistics.forget(self.task)
        return float(loss.detach())


class Independent(nn.Module):
    """Tacotron 2 in the shapes that NVIDIA published, written step by step without a thought for speed."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, 512)
        self.encoder = nn.ModuleList(nn.Sequential(nn.Conv1d(512, 512, 5, padding=2), nn.BatchNorm1d(512)) for _ in range(3))
        self.blstm = nn.LSTM(512, 256, batch_first=True, bidirectional=True)
        self.prenet = nn.ModuleList([nn.Linear(80, 256, bias=False), nn.Linear(256, 256, bias=False)])
        self.attention_lstm, self.decoder_lstm = nn.LSTMCell(256 + 512, 1024), nn.LSTMCell(1024 + 512, 1024)
        self.query, self.key, self.energy = nn.Linear(1024, 128, bias=False), nn.Linear(512, 128, bias=False), nn.Linear(128, 1, bias=False)
        self.location = nn.Conv1d(2, 32, 31, padding=15, bias=False)
        self.location_dense = nn.Linear(32, 128, bias=False)
        self.frame, self.stop = nn.Linear(1024 + 512, 80), nn.Linear(1024 + 512, 1)
        widths = [80, 512, 512, 512, 512, 80]
        self.postnet = nn.ModuleList(
            nn.Sequential(nn.Conv1d(a, b, 5, padding=2), nn.BatchNorm1d(b)) for a, b in zip(widths, widths[1:], strict=False)
        )

    def forward(self, tokens: Tensor, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens ``B S``, mel ``B T 80`` -> frames before and after the postnet, stop logits."""
        memory = self.encode(tokens)
        previous = torch.cat([torch.zeros_like(mel[:, :1]), mel[:, :-1]], 1)
        for layer in self.prenet:
            previous = F.dropout(torch.relu(layer(previous)), 0.5)
        frames, stops = self.decode(memory, previous)
        residual = frames.transpose(1, 2)
        for layer in self.postnet[:-1]:
            residual = F.dropout(torch.tanh(layer(residual)), 0.5)
        residual = F.dropout(self.postnet[-1](residual), 0.5)
        return frames, frames + residual.transpose(1, 2), stops

    def encode(self, tokens: Tensor) -> Tensor:
        features = self.embedding(tokens).transpose(1, 2)
        for layer in self.encoder:
            features = F.dropout(torch.relu(layer(features)), 0.5)
        memory: Tensor = self.blstm(features.transpose(1, 2))[0]
        return memory

    def decode(self, memory: Tensor, prenet: Tensor) -> tuple[Tensor, Tensor]:
        rows, symbols, width = memory.shape
        keys, context = self.key(memory), memory.new_zeros(rows, width)
        last = total = memory.new_zeros(rows, symbols)
        first = second = (memory.new_zeros(rows, 1024), memory.new_zeros(rows, 1024))
        frames, stops = [], []
        for inputs in prenet.unbind(1):
            hidden, cell = self.attention_lstm(torch.cat([inputs, context], 1), first)
            first = (F.dropout(hidden, 0.1), cell)
            located = self.location_dense(self.location(torch.stack([last, total], 1)).transpose(1, 2))
            energies = self.energy(torch.tanh(self.query(first[0])[:, None] + keys + located)).squeeze(2)
            last = torch.softmax(energies, 1)
            total = total + last
            context = torch.bmm(last[:, None], memory)[:, 0]
            hidden, cell = self.decoder_lstm(torch.cat([first[0], context], 1), second)
            second = (F.dropout(hidden, 0.1), cell)
            features = torch.cat([second[0], context], 1)
            frames.append(self.frame(features))
            stops.append(self.stop(features))
        return torch.stack(frames, 1), torch.cat(stops, 1)


class IndependentTraining:
    """The independent model and its optimiser."""

    def __init__(self, sizes: Sizes, device: str) -> None:
        torch.manual_seed(1)
        self.model = Independent().to(device)
        self.tokens = torch.randint(1, SYMBOLS, (sizes.batch, sizes.symbols), device=device)
        self.mel = torch.randn(sizes.batch, sizes.frames, 80, device=device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-3, eps=1e-6, weight_decay=1e-6, fused=True)

    def step(self) -> float:
        """One update; the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        before, after, stops = self.model(self.tokens, self.mel)
        target = torch.zeros_like(stops)
        target[:, -1] = 1.0
        loss = F.mse_loss(before, self.mel) + F.mse_loss(after, self.mel) + F.binary_cross_entropy_with_logits(stops, target)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())


def rivals(wiring: str, sizes: Sizes, device: str, paths: Sequence[str], settings: Sequence[str] = ()) -> dict[str, Callable[[], float]]:
    """A training step by each path; the first is what the others are compared with."""
    ours = Ours(wiring, sizes, device, settings) if set(paths) & set(PATHS) else None
    steps: dict[str, Callable[[], float]] = {path: partial(ours.step, path) for path in paths if ours and path in PATHS}
    if "independent" in paths:
        steps["independent"] = IndependentTraining(sizes, device).step
    return steps


def two_steps(path: str, wiring: str, sizes: Sizes, device: str, settings: Sequence[str]) -> None:
    """What a child process runs to measure its memory; the second step has Adam's moments from the start."""
    step = rivals(wiring, sizes, device, [path], settings)[path]
    step()
    step()


def compare(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table: each wiring, each path."""
    sizes = Sizes(options.batch, options.symbols, options.frames)
    for wiring in WIRINGS if options.wiring == "all" else (options.wiring,):
        paths = (*PATHS, "independent") if wiring == "nvidia" else PATHS
        seconds = interleaved(rivals(wiring, sizes, options.device, paths, options.set), options.rounds)
        for row in compared(seconds, wiring=wiring, **sizes._asdict()):
            if options.device == "cpu" and not options.no_memory:
                row["peak_MB"] = round(peak_memory(two_steps, row["path"], wiring, sizes, options.device, options.set) / 2**20)
            yield row


def growth(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the curves: one size at a time is doubled and doubled again."""
    start = Sizes(8, 50, 100)
    curves = [start._replace(symbols=n) for n in (50, 100, 200, 400)]
    curves += [start._replace(batch=n) for n in (4, 16, 32)] + [start._replace(frames=n) for n in (200, 400)]
    for sizes in curves:
        yield from compared(interleaved(rivals("nvidia", sizes, options.device, PATHS), 2), threads=options.threads, **sizes._asdict())
    for threads in sorted({1, options.threads}):
        torch.set_num_threads(threads)
        yield from compared(interleaved(rivals("nvidia", start, options.device, PATHS), 2), threads=threads, **start._asdict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, rounds=2)
    parser.add_argument("--wiring", default="nvidia", choices=[*WIRINGS, "all"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--symbols", type=int, default=100, help="length of the texts (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=150, help="length of the speech (default: %(default)s)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--no-memory", action="store_true", help="leave out the child processes that measure peak memory")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another attention, say, in place of paper.yaml's")
    parser.add_argument("--growth", action="store_true", help="curves over text length, batch, frames and threads instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report("training step of the feature predictor", list((growth if options.growth else compare)(options)), options.json)


if __name__ == "__main__":
    main()
