"""Pictures of a training and of speech as arrays ``H x W x 3`` uint8: alignment, mels, stop probability, losses.

The same drawing serves TensorBoard, ``images/`` and the report. matplotlib is imported when the first picture is drawn, and only
its Agg canvas: no display, no global state.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MissingExtraError

Image = NDArray[np.uint8]
DPI = 100
STYLE: dict[Any, Any] = {"font.size": 9, "axes.titlesize": 9, "axes.spines.top": False, "axes.spines.right": False}
BLUE, ORANGE, GREY = "#1f5fa8", "#d9622b", "#767676"
MAX_TICKS = 70  # symbols that are written one by one beside an alignment
MAX_LABEL = 8  # characters of a symbol's label


def alignment(weights: NDArray[np.floating], symbols: Sequence[str] | None = None, step_seconds: float | None = None) -> Image:
    """An alignment ``T/r x S``: time to the right, symbols downwards, bright where the weight is large.

    Args:
        weights: attention weights in [0, 1].
        symbols: the ``S`` symbols; positions are numbered without them.
        step_seconds: length of a decoder step; the time axis counts steps without it.
    """
    steps, size = weights.shape
    labelled = symbols is not None and size <= MAX_TICKS
    figure, (axes,) = _figure(6.4, max(2.6, 0.7 + 0.125 * size) if labelled else 3.4)
    end = steps * (step_seconds or 1.0)
    shown = axes.imshow(weights.T, aspect="auto", interpolation="nearest", vmin=0, vmax=1, cmap="magma", extent=(0, end, size - 0.5, -0.5))
    axes.set_xlabel("time (s)" if step_seconds else "decoder step")
    axes.set_ylabel("symbol")
    if labelled:
        axes.set_yticks(range(size), [_printable(symbol) for symbol in symbols or ()], fontsize=7)
        axes.tick_params(axis="y", length=0)
    figure.colorbar(shown, ax=axes, label="attention weight", pad=0.02)
    return _drawn(figure)


def mels(true: NDArray[np.floating] | None, predicted: NDArray[np.floating], hop_seconds: float) -> Image:
    """The recording's log spectrogram, mel or linear, above the predicted one, ``T x F`` each, on one scale of time and colour."""
    rows = [("recording", true), ("predicted", predicted)] if true is not None else [("predicted", predicted)]
    drawn = [(title, mel) for title, mel in rows if mel is not None and mel.size]
    figure, panels = _figure(6.4, 0.6 + 1.5 * len(drawn), len(drawn))
    low = min((float(np.nanmin(mel)) for _, mel in drawn), default=0.0)
    high = max((float(np.nanmax(mel)) for _, mel in drawn), default=1.0)
    longest = max((len(mel) for _, mel in drawn), default=1) * hop_seconds
    for axes, (title, mel) in zip(panels, drawn, strict=True):
        extent = (0, len(mel) * hop_seconds, 0, mel.shape[1])
        shown = axes.imshow(mel.T, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="viridis", extent=extent)
        axes.set_title(title, loc="left")
        axes.set_ylabel("bin")
        axes.set_xlim(0, longest)
        figure.colorbar(shown, ax=axes, label="log magnitude", pad=0.02)
    panels[-1].set_xlabel("time (s)")
    return _drawn(figure)


def stop_curve(probabilities: NDArray[np.floating], step_seconds: float | None = None, threshold: float = 0.5) -> Image:
    """The stop probability of each decoder step ``T/r``, and the threshold at which speech ends."""
    figure, (axes,) = _figure(6.4, 2.0)
    times = (np.arange(len(probabilities)) + 1) * (step_seconds or 1.0)
    axes.step(times, probabilities, where="post", color=BLUE, linewidth=1.4)
    axes.axhline(threshold, color=GREY, linewidth=1, linestyle="--")
    axes.text(0.0, threshold + 0.03, f"threshold {threshold:g}", color=GREY, fontsize=8, transform=axes.get_yaxis_transform())
    axes.set_ylim(-0.03, 1.05)
    axes.set_xlabel("time (s)" if step_seconds else "decoder step")
    axes.set_ylabel("stop probability")
    return _drawn(figure)


def losses(curves: Mapping[str, Sequence[tuple[float, float]]], unit: str = "loss") -> Image:
    """Curves of ``(step, value)`` points by name, such as ``train`` and ``dev``. The axis is logarithmic where all values are positive
    and span more than a factor of 20. Points that are not finite are left out."""
    figure, (axes,) = _figure(6.4, 3.2)
    kept = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()}
    kept = {name: points for name, points in kept.items() if points}
    for (name, points), colour in zip(kept.items(), _colours(len(kept)), strict=True):
        steps, values = zip(*points, strict=True)
        marker = "o" if len(points) < 30 else None
        axes.plot(steps, values, label=name, color=colour, linewidth=1.4, marker=marker, markersize=3)
    every = [y for points in kept.values() for _, y in points]
    if every and min(every) > 0 and max(every) > 20 * min(every):
        axes.set_yscale("log")
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    axes.set_xlabel("step (updates)")
    axes.set_ylabel(unit)
    if kept:
        axes.legend(frameon=False, fontsize=8)
    return _drawn(figure)


def png(image: Image) -> bytes:
    """A picture as a PNG file of 256 colours at most, the same bytes for the same picture."""
    try:
        from PIL import Image as Pillow
    except ImportError as error:
        raise MissingExtraError("drawing pictures", "train", "matplotlib") from error
    file = io.BytesIO()
    Pillow.fromarray(image).quantize(256, method=Pillow.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _figure(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    """A figure of that many inches with one column of axes."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing pictures", "train", "matplotlib") from error
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), dpi=DPI, layout="constrained")
        return figure, figure.subplots(rows, 1, squeeze=False, sharex=rows > 1)[:, 0]


def _drawn(figure: Any) -> Image:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    with mpl.rc_context(STYLE):
        canvas.draw()
    return np.array(canvas.buffer_rgba(), np.uint8)[..., :3]


def _colours(count: int) -> list[Any]:
    import matplotlib as mpl

    first = [BLUE, ORANGE]
    return first[:count] if count <= len(first) else [mpl.colormaps["tab10"](k % 10) for k in range(count)]


def _printable(symbol: str) -> str:
    """A short label; the space is drawn as an open box, and characters without a glyph as their code point."""
    text = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in symbol.replace(" ", "\u2423"))
    return text.replace("$", r"\$")[:MAX_LABEL]
