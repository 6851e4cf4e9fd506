"""``python -m toolkit`` is the console script ``toolkit``."""

from toolkit.bin.main import console

if __name__ == "__main__":
    console()
