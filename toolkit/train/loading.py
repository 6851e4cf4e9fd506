"""Micro-batches loaded ahead in the background."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from toolkit.errors import DataError
from toolkit.train.order import Order
from toolkit.train.protocol import Data

NAMED = 8


def names(data: Data, members: Sequence[int]) -> str:
    """Utterances as they stand in messages: their ids where the data has ``ids``, else their numbers; at most eight."""
    ids = getattr(data, "ids", None)
    shown = [str(ids[m] if ids is not None else m) for m in members[:NAMED]]
    return ", ".join(shown) + (f" and {len(members) - NAMED} more" if len(members) > NAMED else "")


def load_update(data: Data, order: Order, seed: int, step: int, indices: range) -> list[Any]:
    """The micro-batches ``indices`` of one update.

    Raises:
        DataError: something could not be loaded; names step and utterances.
    """
    micro_batches = order.micro_batches(step)
    counts = data.counts([m for members in micro_batches for m in members], (seed, step, 0))
    loaded = []
    for index in indices:
        try:
            loaded.append(data.load(micro_batches[index], counts, (seed, step, index)))
        except Exception as error:
            raise DataError(f"step {step}: cannot load one of {names(data, micro_batches[index])}: {error}") from error
    return loaded


class Prefetch:
    """Iterates over ``(step, micro-batches of this process)`` while a thread loads the next updates. Use it in ``with``."""

    def __init__(self, data: Data, order: Order, seed: int, steps: range, indices: range, ahead: int = 2) -> None:
        self.data, self.order, self.seed, self.steps, self.indices, self.ahead = data, order, seed, steps, indices, ahead
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="toolkit-loading")

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[int, list[Any]]]:
        waiting: collections.deque[tuple[int, Future[list[Any]]]] = collections.deque()
        todo = iter(self.steps)
        while True:
            while len(waiting) < self.ahead and (step := next(todo, None)) is not None:
                waiting.append((step, self.pool.submit(load_update, self.data, self.order, self.seed, step, self.indices)))
            if not waiting:
                return
            step, future = waiting.popleft()
            yield step, future.result()
