"""Ends a training whose validation loss has stopped falling."""

from __future__ import annotations

import math
from typing import Any


class Patience:
    """Counts validations since the lowest loss.

    Args:
        validations: without a lower loss after which the training is over, None for never.
    """

    def __init__(self, validations: int | None) -> None:
        self.validations, self.lowest, self.since = validations, math.inf, 0

    def note(self, loss: float | None) -> None:
        """The loss of a validation, or None where there was none. One that is not finite is no improvement."""
        if loss is None:
            return
        better = loss < self.lowest
        self.lowest, self.since = (loss, 0) if better else (self.lowest, self.since + 1)

    @property
    def over(self) -> bool:
        """Whether it is time to end."""
        return self.validations is not None and self.since >= self.validations

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"lowest": self.lowest, "since": self.since}

    def load(self, state: dict[str, Any]) -> None:
        """Take a ``state()`` again."""
        self.lowest, self.since = float(state.get("lowest", math.inf)), int(state.get("since", 0))
