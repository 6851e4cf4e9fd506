"""Pictures: their form, their contents where it can be read off, and the same bytes each time."""

import io

import numpy as np
import pytest

from toolkit.train import pictures

pytest.importorskip("matplotlib")


def is_picture(image: np.ndarray) -> bool:
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and len(np.unique(image)) > 2


@pytest.mark.parametrize("symbols", [None, ["a", " ", "$", "\t", "<eos>"], ["x"] * 4])
def test_alignment_is_drawn_with_and_without_symbols(symbols: list[str] | None) -> None:
    weights = np.eye(5, dtype=np.float32)[:, : len(symbols) if symbols else 5]
    assert is_picture(pictures.alignment(weights, symbols, 0.05))


def test_two_alignments_look_different() -> None:
    weights = np.eye(12, dtype=np.float32)
    assert (pictures.alignment(weights) != pictures.alignment(weights[::-1])).any()


def test_long_texts_do_not_grow_the_picture() -> None:
    image = pictures.alignment(np.full((50, 400), 1 / 400), ["a"] * 400)
    assert image.shape[0] < 500


def test_mels_with_and_without_a_recording() -> None:
    mel = np.random.default_rng(0).random((20, 80))
    both, alone = pictures.mels(mel, mel[:15], 0.0125), pictures.mels(None, mel, 0.0125)
    assert is_picture(both) and is_picture(alone)
    assert both.shape[0] > alone.shape[0]


def test_stop_curve_shows_its_threshold() -> None:
    curve = np.linspace(0, 1, 10)
    assert (pictures.stop_curve(curve, threshold=0.3) != pictures.stop_curve(curve, threshold=0.7)).any()


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(1, float("nan")), (2, -1.0)], [(1, 100.0), (2, 0.1)]])
def test_losses_of_any_kind_are_drawn(points: list[tuple[float, float]]) -> None:
    assert is_picture(pictures.losses({"train": points, "dev": [(1, 1.0)]}))
    assert is_picture(pictures.losses({str(k): [(1, 1.0), (2, 2.0)] for k in range(5)}))


def test_png_is_whole_and_the_same_each_time() -> None:
    from PIL import Image

    image = pictures.losses({"train": [(1, 2.0), (2, 1.0)]})
    data = pictures.png(image)
    assert data == pictures.png(pictures.losses({"train": [(1, 2.0), (2, 1.0)]}))
    assert Image.open(io.BytesIO(data)).size == (image.shape[1], image.shape[0])
