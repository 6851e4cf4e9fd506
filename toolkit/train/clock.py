"""How long a run has trained, over all its resumptions, and whether its time is up."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from toolkit.data.writing import write_json

FILE = "clock.json"


class Clock:
    """Seconds of training of one run, from the first step of each start to its last save.

    They stand in ``clock.json``, beside the checkpoints, which hold nothing that differs between two equal trainings.

    Args:
        folder: of the run.
        minutes: after which it ends, None for no bound.
    """

    def __init__(self, folder: Path, minutes: float | None) -> None:
        self.path, self.minutes = Path(folder) / FILE, minutes
        self.start(0)

    def start(self, step: int) -> None:
        """Go on after ``step``; at 0 what an abandoned run took is forgotten."""
        before = read(self.path) if step else 0.0
        self._zero = time.monotonic() - before

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._zero

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        return math.inf if self.minutes is None else 60 * self.minutes - self.seconds

    @property
    def over(self) -> bool:
        return self.left <= 0

    def save(self, step: int) -> None:
        """Keep the time with the step that a checkpoint was written at."""
        write_json(self.path, {"step": step, "seconds": round(self.seconds, 1)})


def read(path: Path) -> float:
    """Seconds that a run's ``clock.json`` holds, 0 where there is none."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
