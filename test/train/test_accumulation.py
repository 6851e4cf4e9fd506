"""Gradient accumulation: 128 crops give one gradient, at once or in micro-batches, in however many processes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import Counts, WaveBatch
from toolkit.train.distributed import Processes
from toolkit.train.settings import Batch
from toolkit.train.turn import Turn
from toolkit.vocoders.wavenet import WaveNet

CROPS, MICRO, FRAMES, HOP, BANDS = 128, 4, 3, 4, 3
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=16, n_fft=32, n_mels=BANDS, f_min=0.0, f_max=4000.0)
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-8}


class TinyWaveNet(nn.Module):
    """The task of a vocoder with 127.5 times its targets, as published."""

    name = "mel2wav"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = WaveNet(
            BANDS, HOP, FEATURES, layers=4, cycles=2, residual=6, gate=6, skip=6, mixtures=2, condition=4, scales=[2, 2], target_scale=127.5
        )  # fmt: skip

    def begin(self, step: int) -> dict[str, float]:
        return {}

    def turns(self, step: int) -> tuple[str, ...]:
        return ("main",)

    def parameters_of(self, turn: str):
        return self.named_parameters()

    def forward(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        return self.net.losses(batch, turn)


class Crops:
    """Noise, with ends of different lengths, so that shares of the batch hold different numbers of samples."""

    def __init__(self, net: WaveNet, size: int, dtype: torch.dtype) -> None:
        self.net, self.ids = net, [f"crop{k}" for k in range(size)]
        draw = torch.Generator().manual_seed(5)
        frames = net.context + FRAMES
        self.condition = torch.randn(size, frames + net.lookahead, BANDS, generator=draw, dtype=torch.float64).to(dtype)
        self.wave = torch.rand(size, frames * HOP, generator=draw, dtype=torch.float64).sub(0.5).to(dtype)
        self.ends = torch.tensor([frames * HOP - k % (FRAMES * HOP) for k in range(size)])

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, members, key) -> Counts:
        return Counts(len(members), len(members) * FRAMES, int((self.ends[list(members)] - self.net.context * HOP).sum()))

    def load(self, members, counts, key) -> WaveBatch:
        rows = list(members)
        first = torch.zeros(len(rows), dtype=torch.int64)
        named = [self.ids[m] for m in rows]
        return WaveBatch(named, self.condition[rows], self.wave[rows], first, self.ends[rows], self.net.context, counts, key)


def leave_gradients(trainer, process: Processes, folder: Path, micro: int) -> None:
    """Train one step in each precision, and write the gradient that the optimiser would have been given."""
    plain = Turn.apply
    for dtype in BOUNDS:
        task = TinyWaveNet().to(dtype)

        def keep(turn: Turn, norm: Tensor, step: int, dtype: torch.dtype = dtype) -> None:
            if process.main:
                torch.save(torch.cat([p.grad.flatten() for p in turn.parameters]), folder / f"{process.world}-{micro}-{dtype}.pt")

        Turn.apply = keep
        try:
            data = {"train": Crops(task.net, CROPS, dtype), "dev": Crops(task.net, 0, dtype), "batch": Batch(CROPS, micro)}
            trainer(folder / f"{process.world}-{micro}-{dtype}", task, process, **data, average=None, max_steps=1).run()
        finally:
            Turn.apply = plain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gradients")


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_gradient_is_that_of_the_whole_batch(world: int, tiny, folder: Path) -> None:
    """Tacotron 2, section 3.1: a batch of 128 over 32 GPUs with synchronous updates, 4 crops each; here on fewer."""
    if not any(folder.iterdir()):
        leave_gradients(tiny.trainer, Processes(), folder, CROPS)
    if world == 1:
        leave_gradients(tiny.trainer, Processes(), folder, MICRO)
    code = f"""
those = runpy.run_path({__file__!r})
process = Processes.start("cpu")
those["leave_gradients"](trainer, process, folder, those["MICRO"])
process.stop()
"""
    for exit_code, output in tiny.processes(folder, code, processes=world) if world > 1 else ():
        assert exit_code == 0, output
    for dtype, bound in BOUNDS.items():
        whole, shared = (torch.load(folder / f"{name}-{dtype}.pt", weights_only=True) for name in (f"1-{CROPS}", f"{world}-{MICRO}"))
        assert shared.dtype == dtype and float(whole.norm()) > 0.01
        assert float((shared - whole).norm() / whole.norm()) <= bound
