"""THE training loop. It knows a task by its protocol only; what an update consists of follows from (seed, step) by arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from toolkit.errors import ConfigError
from toolkit.nn.noise import seed_of
from toolkit.train import checkpoint, running_statistics
from toolkit.train.averaging import MovingAverage
from toolkit.train.clock import Clock
from toolkit.train.distributed import Processes
from toolkit.train.finite import Refusals
from toolkit.train.freezing import freeze
from toolkit.train.loading import Prefetch, names
from toolkit.train.log import Log
from toolkit.train.order import Order
from toolkit.train.ownership import alone_in, check_identity, write_identity
from toolkit.train.patience import Patience
from toolkit.train.protocol import Data, Task
from toolkit.train.settings import Training
from toolkit.train.signals import Signals, Stopped
from toolkit.train.turn import Turn
from toolkit.train.validation import Validation, evaluating, losses_of


class Trainer:
    """Trains a task into a folder.

    Args:
        module: a ``Task`` whose ``forward(batch, turn)`` is its losses.
        train, dev: the splits; an empty dev set switches validation off.
        settings: of this task.
        folder: of the run.
        seed: of everything that is drawn.
        identity: the configuration as plain data; a folder is continued only with the one it was begun with.
        process: who this process is.
        origin: of the first weights, for the log.
    """

    def __init__(
        self, module: nn.Module, train: Data, dev: Data, settings: Training, folder: Path, seed: int,
        identity: Mapping[str, Any], process: Processes, origin: str = "the start",
    ) -> None:  # fmt: skip
        if settings.precision in ("tf32", "fp16") and process.device.type != "cuda":
            raise ConfigError(f"precision: needs a GPU, got {settings.precision!r}; use bf16 or fp32")
        if settings.patience is not None and not len(dev):
            raise ConfigError(f"patience: needs a dev set to validate on, got {settings.patience}; null for never")
        freeze(module, settings.freeze)
        if settings.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.mine = process.mine(settings.batch.global_ // settings.batch.micro)
        self.module, self.task = module.to(process.device), cast(Task, module)
        self.train, self.dev, self.settings, self.seed = train, dev, settings, seed
        self.folder, self.identity, self.process, self.origin = Path(folder), identity, process, origin
        self.order = Order(seed, len(train), settings.batch, getattr(train, "lengths", None))
        self.wrapped = process.wrap(module, some_unused=self.task.turns(settings.max_steps) != ("main",))
        self.turns: dict[str, Turn] = {}
        self.average = MovingAverage(module, settings.average) if settings.average is not None else None
        self.checkpoints = checkpoint.Checkpoints(self.folder, settings.keep_best)
        self.clock, self.patience = Clock(self.folder, settings.max_minutes), Patience(settings.patience)
        self.log = Log(self.folder, settings.max_steps, settings.log_every, process.main, self.clock)
        self.validation = Validation(module, dev, settings, seed, process)
        self.refusals = Refusals(self.log.say, self.utterances)

    def run(self, resume: str = "auto") -> None:
        """Train up to ``max_steps``, ``max_minutes`` or the end of ``patience``.

        Args:
            resume: ``auto``, ``never``, or a checkpoint or run to go on from.

        Raises:
            TrainingError: non-finite values, a lost process; ``Stopped`` after a signal.
        """
        last = self.settings.max_steps
        with alone_in(self.folder) if self.process.main else nullcontext(), self.log, Signals() as signals:
            begin = self.restore(resume)
            self.log.begin(begin)
            self.clock.start(begin)
            last = begin if begin and self.late() else last
            with Prefetch(self.train, self.order, self.seed, range(begin + 1, last + 1), self.mine) as updates:
                for step, batches in updates:
                    with self.process.naming(step, self.mine, self.utterances):
                        self.log.update(step, self.update(step, batches))
                        stop = self.process.most(signals.received)
                        last = step if self.late() else last
                        dev_loss = self.validate(step) if step % self.settings.validate_every == 0 or step == last else None
                        self.patience.note(dev_loss)
                        last = step if self.patience.over else last
                    if step % self.settings.save_every == 0 or step == last or stop:
                        self.save(step, dev_loss)
                    if stop:
                        raise Stopped(stop, step)
                    if step == last:
                        break
            self.finish(last)

    def late(self) -> bool:
        """Whether the time is up, for any process, or the patience."""
        return self.patience.over or self.settings.max_minutes is not None and bool(self.process.most(self.clock.over))

    def update(self, step: int, batches: list[Any]) -> dict[str, float]:
        """One update: every turn sees all micro-batches and moves its weights once. Returns the numbers for the log."""
        numbers, applied = dict(self.task.begin(step)), True
        for name in self.task.turns(step):
            turn = self.turn(name)
            self.module.zero_grad(set_to_none=True)
            rows, terms = [], list[str]()
            for index, batch in zip(self.mine, batches, strict=True):
                torch.manual_seed(seed_of(self.seed, step, index, name))
                with self.process.sync(self.wrapped, last=index == self.mine[-1]):
                    losses = losses_of(self.wrapped, batch, name, self.process, self.settings.precision)
                    turn.backward(torch.stack(list(losses.values())).sum() * self.process.world)  # DDP averages, losses are sums
                terms = list(losses)
                rows.append(torch.stack([loss.detach().double() for loss in losses.values()]))
            norm = turn.gradient_norm()
            values = self.process.in_order(torch.stack(rows))
            *sums, length = torch.cat([values.sum(0), norm.double()[None]]).tolist()
            prefix = "" if name == "main" else f"{name}."
            numbers |= {f"{prefix}{term}": value for term, value in zip(terms, sums, strict=True)}
            numbers["loss"] = sum(sums)  # of the last turn
            numbers |= {f"{prefix}gradient_norm": length, f"{prefix}learning_rate": turn.learning_rate(step)}
            if math.isfinite(length) and all(map(math.isfinite, sums)):
                turn.apply(norm, step)
            else:
                turn.skip()
                self.refusals.note(step, values.tolist())
                applied = False
        if not applied:
            running_statistics.forget(self.module)
            return {}
        self.refusals.in_a_row = 0
        running_statistics.fold(self.module, self.process, len(batches))
        if self.average is not None:
            self.average.update(step)
        return numbers

    def validate(self, step: int) -> float | None:
        """Validation with the averaged weights where there are any. Returns the loss over the dev set."""
        if not len(self.dev):
            return None
        with evaluating(self.module, self.average.state() if self.average is not None else None):
            losses = self.validation.losses(step)
            if self.process.main:
                self.log.validation(step, losses, self.validation.observe())
        self.process.barrier()
        return losses["loss"]

    def turn(self, name: str) -> Turn:
        """The optimiser of that turn."""
        if name not in self.turns:
            self.turns[name] = Turn(self.task.parameters_of(name), self.settings.of(name))
        return self.turns[name]

    def save(self, step: int, dev_loss: float | None) -> None:
        """Write a checkpoint: everything that does not follow from (seed, step)."""
        if not self.process.main:
            return
        average = self.average.state() if self.average is not None else None
        turns = {name: turn.state() for name, turn in self.turns.items()}
        training = {"turns": turns, "window": self.log.window, "refused": self.refusals.in_a_row, "patience": self.patience.state()}
        meta = {"task": self.task.name, "step": step, "seed": self.seed, "dev_loss": dev_loss}
        path = self.checkpoints.save(checkpoint.Saved(self.module.state_dict(), average, training, meta))
        self.clock.save(step)
        self.log.say(f"step {step}: wrote {path}")

    def restore(self, resume: str) -> int:
        """Take up the state of a checkpoint, if there is one. Returns its step."""
        path = None
        if resume == "auto":
            check_identity(self.folder, self.identity)
            path = self.checkpoints.newest()
        elif resume != "never":
            path = checkpoint.find(Path(resume))
        step = self._load(path) if path is not None else 0
        self.process.barrier()  # nobody tidies up while others still read
        if self.process.main:
            self.checkpoints.clear(after=step if path is not None else -1)
            write_identity(self.folder, self.identity)
        self.process.barrier()
        weights = f"{sum(p.numel() for p in self.module.parameters()) / 1e6:.2f} M weights, {len(self.train)} utterances"
        hardware = f"{self.process.world} x {self.process.device.type}"
        self.log.say(f"training {self.task.name} {'on ' if path else ''}from {path or self.origin}: {weights}, {hardware}")
        return step

    def _load(self, path: Path) -> int:
        saved = checkpoint.load(path)
        checkpoint.fill(self.module, saved.model, path)
        for name, state in saved.training["turns"].items():
            self.turn(name).load(state)
        if self.average is not None:
            self.average.load(saved.average or saved.model)
        self.patience.load(saved.training.get("patience", {}))
        self.log.window, self.refusals.in_a_row = dict(saved.training["window"]), saved.training["refused"]
        return int(saved.meta["step"])

    def finish(self, step: int) -> None:
        """Average the best checkpoints, unless that is done."""
        self.done = step
        self.process.barrier()
        best = sorted(self.checkpoints.best(self.settings.keep_best))
        steps = [int(path.name[5:]) for path in best]
        if len(best) > 1 and self.checkpoints.averaged() != steps:
            state = checkpoint.average(best)
            with evaluating(self.module, state):
                loss = self.validation.losses(steps[-1])["loss"]
            if self.process.main:
                meta = {"task": self.task.name, "step": steps[-1], "steps": steps, "dev_loss": loss}
                self.checkpoints.save_average(state, meta)
                self.log.say(f"mean of the best checkpoints, steps {', '.join(map(str, steps))}: dev loss {loss:.4g}")
        self.log.say(f"training finished at step {step}{self._early() if step < self.settings.max_steps else ''}")

    def _early(self) -> str:
        """Why the training ended before its last step."""
        if self.patience.over:
            return f", {self.patience.since} validations without a lower loss than {self.patience.lowest:.4g}"
        return f", its {self.settings.max_minutes:g} minutes are over"

    def outcome(self) -> dict[str, str]:
        """What happened, for the training card."""
        best = self.checkpoints.best(1)
        steps, batch = self.done, self.settings.batch
        seen = (
            f"{steps * batch.global_} utterances, {steps * batch.global_ / len(self.train):.1f} times the training set of {len(self.train)}"
        )
        gpu = torch.cuda.get_device_name() if self.process.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        return {
            "steps": f"{steps} of {self.settings.max_steps} in {self.clock.seconds:.0f} s",
            "seen": seen,
            "best_dev_loss": f"{checkpoint.dev_loss(best[0]):.4g} ({best[0].name})" if best else "not measured",
            "hardware": f"{self.process.world} x {gpu}, torch {torch.__version__}",
        }

    def utterances(self, step: int, indices: Sequence[int]) -> str:
        """Names of the utterances in some of a step's micro-batches."""
        micro_batches = self.order.micro_batches(step)
        return names(self.train, [member for index in indices for member in micro_batches[index]])
