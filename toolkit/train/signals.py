"""Signals that end a training in good order: at the next step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from toolkit.errors import TrainingError

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stopped(TrainingError):  # noqa: N818 - what happened, not what went wrong
    """A signal ended the training after a checkpoint. ``exit_code`` is 128 + its number, as shells expect."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}, checkpoint written; the same command resumes")
        self.exit_code = 128 + number


class Signals:
    """Notes the first signal within its ``with`` block; a second one has its default action. Handlers are restored at the end."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in HANDLED}
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for handled in HANDLED:
            signal.signal(handled, signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
