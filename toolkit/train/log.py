"""What a training says: ``train.log``, ``metrics.jsonl``, a progress bar on a terminal and plain lines elsewhere."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from toolkit.data.writing import write_text
from toolkit.train.clock import Clock
from toolkit.train.exhibits import Exhibits
from toolkit.train.protocol import Observation

logger = logging.getLogger("toolkit.train")
QUIET_SECONDS = 30.0


class Log:
    """The log of one run. Processes other than the main one give ``writes=False`` and stay silent.

    Numbers of the updates between two lines are averaged; ``window`` holds their sums and counts and belongs into checkpoints.
    What is left to do ends with ``max_steps`` or with the clock.
    """

    def __init__(self, folder: Path, max_steps: int, log_every: int, writes: bool = True, clock: Clock | None = None) -> None:
        self.folder, self.max_steps, self.log_every, self.writes, self.clock = folder, max_steps, log_every, writes, clock
        self._left = ""
        self.window: dict[str, tuple[float, int]] = {}
        self._stack = ExitStack()
        self._bar: Any = None
        self._spoken = (time.monotonic(), 0)

    def __enter__(self) -> Log:
        if self.writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = logging.FileHandler(self.folder / "train.log", encoding="utf-8")
            self._file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
            self._stack.callback(self._file.close)
            root = logging.getLogger("toolkit")
            root.addHandler(self._file)
            self._stack.callback(root.removeHandler, self._file)
            self._stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, step: int) -> None:
        """Go on after ``step``: forget what was logged later, by a run that ended before its next checkpoint."""
        self._spoken = (time.monotonic(), step)
        if not self.writes:
            return
        kept = [row for row in self.rows() if row["step"] <= step]
        write_text(self.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
        self._metrics = self._stack.enter_context(open(self.folder / "metrics.jsonl", "a", encoding="utf-8"))
        self._exhibits = self._stack.enter_context(Exhibits(self.folder, step, self.say))
        terminal = os.environ.get("TOOLKIT_TTY") or ("-" if sys.stderr.isatty() else None)
        if terminal is not None:  # a recipe, which keeps standard error in a log, names the terminal in TOOLKIT_TTY
            self._bar = _progress_bar(self._stack, step, self.max_steps, terminal)

    def rows(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; a last line that was cut off by a crash is left out."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def say(self, text: str) -> None:
        """One line to ``train.log`` and to the console."""
        if self.writes:
            logger.info("%s", text)

    def update(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take the numbers of an update (none where it was not applied).

        Their means are written every ``log_every`` updates; a sign of life is given after 30 s.
        """
        if not self.writes:
            return
        for name, value in numbers.items():
            total, count = self.window.get(name, (0.0, 0))
            self.window[name] = (total + value, count + 1)
        due, (since, spoken) = step % self.log_every == 0, self._spoken
        if self._bar is not None:
            self._bar(step, numbers, self._left)
        if not self.window or (not due and time.monotonic() - since < QUIET_SECONDS):
            return
        means = {name: total / count for name, (total, count) in self.window.items()}
        seconds = (time.monotonic() - since) / (step - spoken)
        self._spoken = (time.monotonic(), step)
        more = min(seconds * (self.max_steps - step), math.inf if self.clock is None else max(0.0, self.clock.left))
        self._left = f"{timedelta(seconds=round(more))} left"
        self._interval(f"{self._place(step)} {_listed(means)}, {seconds:.2f} s/step, {self._left}")
        if due:
            self.window = {}
            self.write(step, "train", means)
            self._exhibits.numbers(step, "timing", {"seconds_per_step": seconds})

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        """A line of ``metrics.jsonl`` and the same numbers to TensorBoard."""
        self._metrics.write(json.dumps({"step": step, "split": split, **numbers}) + "\n")
        self._metrics.flush()
        self._exhibits.numbers(step, split, numbers)

    def validation(self, step: int, losses: Mapping[str, float], seen: Observation) -> None:
        """Losses of the dev set, and what the task shows of itself."""
        if not self.writes:
            return
        numbers = {**losses, **seen.numbers}
        self.say(f"{self._place(step)} dev {_listed(numbers)}")
        self.write(step, "dev", numbers)
        self._exhibits.show(step, seen, self.rows())

    def _interval(self, text: str) -> None:
        """A line that the progress bar makes superfluous on a terminal: there it goes to the file only."""
        if self._bar is None:
            self.say(text)
        else:
            self._file.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, text, (), None))

    def _place(self, step: int) -> str:
        return f"step {step}/{self.max_steps}"


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


def _progress_bar(stack: ExitStack, step: int, max_steps: int, terminal: str) -> Any:
    """A function ``(step, numbers, left)`` that moves a bar, or None where rich is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    except ImportError:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    file = sys.stderr if terminal == "-" else stack.enter_context(open(terminal, "w", encoding="utf-8"))
    progress = stack.enter_context(Progress(*columns, console=Console(file=file)))
    task = progress.add_task("training", total=max_steps, completed=step, left="")

    def move(now: int, numbers: Mapping[str, float], left: str) -> None:
        progress.update(task, completed=now, description=f"loss {numbers.get('loss', math.nan):.4g}", left=left)

    return move
