"""Pictures, sounds and curves of a training: ``images/``, ``samples/``, ``tensorboard/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.audio import wave
from toolkit.data.writing import atomic
from toolkit.errors import MissingExtraError
from toolkit.train import pictures
from toolkit.train.protocol import Observation


class Exhibits:
    """Writes what can be looked at or listened to. What needs a package that is not installed is left out with one line.

    Args:
        folder: of the run.
        step: after which the run goes on.
        say: takes a line for the log.
    """

    def __init__(self, folder: Path, step: int, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self._draws = True
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        except ImportError:
            self._board = None
            say("no TensorBoard files: the package 'tensorboard' is not installed; pip install 'toolkit[train]'")

    def __enter__(self) -> Exhibits:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def numbers(self, step: int, group: str, numbers: Mapping[str, float]) -> None:
        """Curves in TensorBoard, named ``group/name``."""
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(f"{group}/{name}", value, step)

    def show(self, step: int, seen: Observation, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write an observation as ``images/NAME-STEP.png`` and ``samples/NAME-STEP.wav``, and the curve ``images/loss.png``.

        Args:
            rows: the lines of ``metrics.jsonl``.
        """
        for name, draw in seen.images.items():
            image = self._draw(f"{name}-{step:08d}", draw)
            if self._board is not None and image is not None:
                self._board.add_image(name, image, step, dataformats="HWC")
        for name, (samples, rate) in seen.audio.items():
            with atomic(self.folder / "samples" / f"{name}-{step:08d}.wav") as file:
                wave.write(file, samples, rate)
            if self._board is not None:
                self._board.add_audio(name, np.asarray(samples)[None], step, sample_rate=rate)
        splits = dict.fromkeys(row["split"] for row in rows)
        curves = {split: [(row["step"], row["loss"]) for row in rows if row["split"] == split] for split in splits}
        self._draw("loss", partial(pictures.losses, curves))

    def _draw(self, name: str, draw: Callable[[], pictures.Image]) -> pictures.Image | None:
        """Draw and write a picture; None where what draws is not installed."""
        if not self._draws:
            return None
        try:
            image = draw()
            png = pictures.png(image)
        except MissingExtraError as error:
            self._draws = False
            self.say(f"no pictures: {error}")
            return None
        with atomic(self.folder / "images" / f"{name}.png") as file:
            file.write(png)
        return image
