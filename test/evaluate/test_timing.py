"""Timing: rivals take turns, memory is that of another process, and the table holds what the JSON holds."""

import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.evaluate import timing


def test_rivals_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []
    seconds = timing.interleaved({"plain": lambda: turns.append("plain"), "fast": lambda: turns.append("fast")}, rounds=3)
    assert turns == ["plain", "fast"] * 4 and set(seconds) == {"plain", "fast"} and min(seconds.values()) > 0


def test_peak_memory_is_that_of_the_function_alone() -> None:
    here = np.ones(40 * 2**20)  # 320 MB of this process do not count
    small, large = timing.peak_memory(np.ones, 1), timing.peak_memory(np.ones, 25 * 2**20)
    assert 150e6 < large - small < 320e6
    assert here.size


def test_ratio_is_against_the_first() -> None:
    rows = timing.compared({"plain": 2.0, "fast": 0.5}, layers=3)
    assert rows[1] == {"layers": 3, "path": "fast", "seconds": 0.5, "ratio": 4.0}


def test_the_report_prints_and_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(timing, "GEMM", 16)
    monkeypatch.setattr(timing, "GEMV_MEGABYTES", {"L2": 1})
    timing.report("a question", [{"path": "plain", "seconds": 1.0}, {"path": "fast", "rtf": 0.25}], tmp_path / "out.json")
    shown, written = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    assert "| plain | 1       |      |" in shown and "| fast  |         | 0.25 |" in shown
    assert written["rows"][1] == {"path": "fast", "rtf": 0.25}
    assert written["machine"]["gemm_fp32_gflops"] >= 0 and "flags" in written["machine"] and "## a question" in shown
