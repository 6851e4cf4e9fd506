"""Write down a folder of speech with Whisper: a line ``id text`` for each ``<id>.wav``, ``.flac`` or ``.ogg``, as other scripts read it.

    python tools/benchmarks/transcribe.py --whisper MODEL FOLDER

Needs faster-whisper, soundfile and scipy; neither torch nor an installed toolkit, so the Python may be another one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from toolkit.errors import ToolkitError  # noqa: E402
from toolkit.evaluate.recognition import WhisperRecogniser  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of recordings")
    parser.add_argument("--whisper", type=Path, required=True, help="folder of a Whisper model for faster-whisper")
    options = parser.parse_args()
    recogniser = WhisperRecogniser(options.whisper)
    for path in sorted(path for path in options.folder.iterdir() if path.suffix in (".wav", ".flac", ".ogg")):
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        print(path.stem, recogniser.transcribe(np.ascontiguousarray(wave[:, 0]), rate), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolkitError as error:
        sys.exit(f"error: {error}")
