"""Mu-law companding."""

import numpy as np
import pytest

from toolkit.audio.mu_law import decode, encode


@pytest.mark.parametrize("classes", [256, 1024])
def test_every_class_comes_back(classes):
    codes = np.arange(classes)
    np.testing.assert_array_equal(encode(decode(codes, classes), classes), codes)


def test_error_is_small_where_the_wave_is_small():
    wave = np.linspace(-1, 1, 10001).astype(np.float32)
    error = np.abs(decode(encode(wave)) - wave)
    assert error[np.abs(wave) < 0.01].max() < 5e-4 and error.max() < 0.025


def test_ends_middle_and_clipping():
    np.testing.assert_array_equal(encode(np.array([-3.0, -1.0, 1.0, 3.0], np.float32)), [0, 0, 255, 255])
    assert encode(np.zeros(1, np.float32))[0] == 128
    np.testing.assert_allclose(decode(np.array([0, 255])), [-1, 1])
