"""A reader from a file or a module of one's own, as for every kind of part."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from toolkit.audio import wave

READER = """
from toolkit.data.readers import READERS, Reader, Recording

class Pairs(Reader):
    \'\'\'A text beside each wave.\'\'\'
    layout = "*.wav with *.txt"

    def sees(self, source):
        return source.is_dir() and any(source.glob("*.wav"))

    def recordings(self, source, findings):
        for wav in sorted(source.glob("*.wav")):
            yield Recording(wav, 0, wav.stem, wav, findings.text(wav.with_suffix(".txt")) or "")
"""


def toolkit(folder: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).resolve().parents[3]}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "toolkit", *words], env=env, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_reader_of_a_layout_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    wave.write(tmp_path / "corpus/a.wav", np.zeros(2400, np.float32), 8000)
    (tmp_path / "corpus/a.txt").write_text("hello")
    (tmp_path / "own_reader.py").write_text(READER)
    (tmp_path / "registered.py").write_text(f'{READER}\nREADERS.register("pairs")(Pairs)\n')
    assert "corpus: read as pairs (*.wav with *.txt)" in toolkit(tmp_path, "prepare", "corpus", "--plugin", "registered.py")
    assert "corpus: read as own_reader:Pairs" in toolkit(tmp_path, "prepare", "corpus", "--reader", "own_reader:Pairs")
    assert "reader pairs: contract: ok" in toolkit(tmp_path, "check-plugin", "registered.py")
