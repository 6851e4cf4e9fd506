"""The source of random draws inside recurrences and at synthesis.

A draw is addressed, not consumed: ``(stream, name, position)`` always gives the same numbers, in whatever order and
block size they are asked for. So teacher forcing in one block equals the loop over steps, a row's speech does not
depend on its batch, and a resumed training needs no state of a generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

BLOCK_VALUES = 2**16


class Noise:
    """Random numbers by name and position.

    Args:
        streams: one key for each row, or a single key that all rows of a micro-batch share.
        shared: True where ``streams`` is that single key.
        device: where the draws are made. CPU and GPU generators give different numbers.
    """

    def __init__(self, streams: Sequence[tuple[object, ...]], shared: bool, device: torch.device | str = "cpu") -> None:
        self.streams, self.shared, self.device = list(streams), shared, torch.device(device)
        self._blocks: dict[tuple[str, str], tuple[int, int, Tensor]] = {}

    @classmethod
    def of_rows(cls, seeds: Sequence[int], device: torch.device | str = "cpu") -> Noise:
        """Synthesis: one stream a row, from the row's own seed."""
        return cls([(int(seed),) for seed in seeds], shared=False, device=device)

    @classmethod
    def of_micro_batch(cls, seed: int, step: int, index: int, device: torch.device | str = "cpu") -> Noise:
        """Training: one stream a micro-batch."""
        return cls([(seed, step, index)], shared=True, device=device)

    def uniform(self, name: str, start: int, count: int, rows: int, width: int) -> Tensor:
        """Uniform draws in [0, 1), ``rows x count x width``, of positions start .. start + count."""
        return self._draws("uniform", torch.rand, name, start, count, rows, width)

    def normal(self, name: str, start: int, count: int, rows: int, width: int) -> Tensor:
        """Standard normal draws, ``rows x count x width``, of positions start .. start + count."""
        return self._draws("normal", torch.randn, name, start, count, rows, width)

    def keep(self, name: str, start: int, count: int, rows: int, width: int, drop: float) -> Tensor:
        """Dropout mask ``rows x count x width``: 0 with probability ``drop``, else 1 / (1 - drop)."""
        return (self.uniform(name, start, count, rows, width) >= drop).float() / (1.0 - drop)

    def _draws(self, law: str, draw: Callable[..., Tensor], name: str, start: int, count: int, rows: int, width: int) -> Tensor:
        if not self.shared and rows != len(self.streams):
            raise ValueError(f"noise has {len(self.streams)} streams, got {rows} rows")
        length = max(1, BLOCK_VALUES // (width * (rows if self.shared else 1)))
        first, last = start // length, (start + count - 1) // length
        blocks = [self._block(law, draw, name, k, length, rows, width) for k in range(first, last + 1)]
        whole = blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)
        offset = start - first * length
        return whole[:, offset : offset + count]

    def _block(self, law: str, draw: Callable[..., Tensor], name: str, k: int, length: int, rows: int, width: int) -> Tensor:
        held = self._blocks.get((law, name))
        if held is not None and held[0] == k and held[1] == width and held[2].shape[0] == rows:
            return held[2]
        per_stream = rows if self.shared else 1
        drawn = [draw(length, per_stream, width, generator=self._generator(key, law, name, k), device=self.device) for key in self.streams]
        block = (drawn[0] if self.shared else torch.cat(drawn, 1)).transpose(0, 1)  # rows x length x width
        self._blocks[law, name] = (k, width, block)
        return block

    def _generator(self, stream: tuple[object, ...], law: str, name: str, k: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed_of(*stream, law, name, k))


def seed_of(*key: object) -> int:
    """A 63-bit seed from a key of plain values, the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def utterance_seed(seed: int, key: str) -> int:
    """The seed of an utterance's random draws, whatever batch it stands in."""
    return seed_of(seed, "utterance", key)
