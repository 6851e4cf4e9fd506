"""Gradual reduction: how many frames a decoder step emits, as a function of the update."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import ConfigError


@dataclass(frozen=True)
class GradualReduction:
    """Frames that a decoder step emits early in training, when fewer and longer steps are easier to align (gradual training).

    ``frames[i]`` up to and with update ``until[i]``; after the last of them the system's ``reduction``, which synthesis has from the
    start. The decoder is built for ``frames[0]`` and fewer are the first of as many. Validation has those of the update before it,
    so losses of different numbers of frames are not those of one task. The defaults are a widely used schedule, before a
    ``reduction`` of 2.
    """

    frames: tuple[int, ...] = (7, 5)
    until: tuple[int, ...] = (10_000, 100_000)

    def __post_init__(self) -> None:
        if not self.frames or len(self.until) != len(self.frames):
            raise ConfigError(f"until: an update for each of frames {list(self.frames)}, got {list(self.until)}")
        if sorted(set(self.until)) != list(self.until) or self.until[0] < 1:
            raise ConfigError(f"until: updates in rising order, from 1 on, got {list(self.until)}")
        if sorted(set(self.frames), reverse=True) != list(self.frames):
            raise ConfigError(f"frames: each fewer than those before, got {list(self.frames)}")

    def at(self, step: int, last: int) -> int:
        """Frames of an update; ``last`` after all others."""
        return next((frames for frames, until in zip(self.frames, self.until, strict=True) if step <= until), last)
