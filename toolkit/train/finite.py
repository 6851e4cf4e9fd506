"""Updates that are not applied because a value is not finite: named, counted, and the end of the training where they go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from toolkit.errors import TrainingError

MOST_IN_A_ROW = 20


class Refusals:
    """Counts updates in a row that were not applied.

    Args:
        say: takes a line for the log.
        utterances: names those of a step's micro-batches.
    """

    def __init__(self, say: Callable[[str], None], utterances: Callable[[int, Sequence[int]], str]) -> None:
        self.say, self.utterances = say, utterances
        self.in_a_row = 0

    def note(self, step: int, losses: Sequence[Sequence[float]]) -> None:
        """Name the utterances of a refused update. ``losses`` has a row for each micro-batch of the global batch.

        Raises:
            TrainingError: the twentieth update in a row.
        """
        self.in_a_row += 1
        bad = [index for index, row in enumerate(losses) if not all(map(math.isfinite, row))]
        what = f"step {step}: {'loss' if bad else 'gradient'} is not finite"
        where = f"utterances {self.utterances(step, bad or range(len(losses)))}"
        self.say(f"{what}, update not applied; {where}")
        if self.in_a_row >= MOST_IN_A_ROW:
            raise TrainingError(f"{what} for {self.in_a_row} updates in a row; {where}")
