"""Discriminators and vocoder take turns in several processes as in one: DDP meets weights that a turn leaves out."""

from pathlib import Path

import torch

from toolkit.data.batches import Counts
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system
from toolkit.train.distributed import Processes
from toolkit.train.settings import Batch

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
SMALL = [
    "vocoder=vocos", "vocoder_conf={layers: 1, width: 4, hidden: 4, adversarial_from: 1}", "crops={frames: 2, input: natural}",
    "mel2wav.discriminator={parts: {multi_period: {periods: [2], channels: [2, 2]}, multi_scale: {scales: 1, width: 1}}, clip: 0.1}",
]  # fmt: skip


class Crops:
    """Six made-up crops."""

    def __init__(self, task: Mel2Wav) -> None:
        torch.manual_seed(3)
        batch = task.made_up_batch(6, 2)
        self.batch, self.ids = batch._replace(condition=batch.condition.double(), wave=batch.wave.double()), list("abcdef")

    def __len__(self) -> int:
        return 6

    def counts(self, members, key) -> Counts:
        return Counts(len(members), 2 * len(members), 400 * len(members))

    def load(self, members, counts, key):
        rows = list(members)
        taken = {name: getattr(self.batch, name)[rows] for name in ("condition", "wave", "first", "ends")}
        return self.batch._replace(**taken, ids=[self.ids[m] for m in rows], counts=counts, key=key)


def train(trainer, process: Processes, folder: Path) -> None:
    """Three updates, the first without discriminators; the weights are left in a file."""
    torch.manual_seed(0)
    task = Mel2Wav(load_system(MINI, SMALL)).double()
    crops = Crops(task)
    run = folder / f"{process.world}"
    trainer(run, task, process, train=crops, dev=crops, batch=Batch(4, 1), max_steps=3, average=None, validate_every=3).run()
    if process.main:
        torch.save(task.state_dict(), folder / f"{process.world}.pt")


def test_two_processes_train_both_sides_as_one_does(tiny, tmp_path: Path) -> None:
    train(tiny.trainer, Processes(), tmp_path)
    code = f"""
those = runpy.run_path({__file__!r})
process = Processes.start("cpu")
those["train"](trainer, process, folder)
process.stop()
"""
    for exit_code, output in tiny.processes(tmp_path, code, processes=2):
        assert exit_code == 0, output
    one, two = (torch.load(tmp_path / f"{world}.pt", weights_only=True) for world in (1, 2))
    torch.manual_seed(0)
    start = Mel2Wav(load_system(MINI, SMALL)).double().state_dict()
    for side in ("vocoder.embed.weight", "adversary.parts.multi_period.discriminators.0.conv_post.parametrizations.weight.original1"):
        assert not torch.equal(start[side], one[side])
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-9
