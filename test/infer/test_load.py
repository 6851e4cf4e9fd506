"""Experiments whose weights are not what their configuration says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.errors import CheckpointError
from toolkit.infer import load

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"


def test_weights_of_another_configuration_are_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").write_text(MINI.read_text(encoding="utf-8"))
    np.savez(tmp_path / "stats.npz", mean=np.zeros(80, np.float32), std=np.ones(80, np.float32))
    monkeypatch.setattr(load, "best_weights", lambda folder: ({"vocoder.more": torch.ones(1)}, {"path": f"{folder}/step-1"}))
    with pytest.raises(CheckpointError, match=r"mel2wav/step-1: does not fit this configuration: .*vocoder\.more") as caught:
        load.load_mel2wav(tmp_path)
    assert "\n" not in str(caught.value)
