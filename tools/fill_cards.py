"""Fill the training cards that stand in README and the cookbook: what stands between marks is what the command in the mark prints.

    python tools/fill_cards.py            # every page
    python tools/fill_cards.py --check    # only say which pages are out of date; ends with 1 if there are any

A mark is ``<!-- toolkit describe ... -->``, the end ``<!-- end -->``; headings become those of the third level.
"""

import argparse
import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

from toolkit.bin.main import main as toolkit
from toolkit.data.writing import write_text

ROOT = Path(__file__).resolve().parents[1]
MARKED = re.compile(r"(?<=<!-- toolkit )(describe [^\n]*?)( -->\n).*?(<!-- end -->)", re.DOTALL)


def printed(command: str) -> str:
    """What a command of the toolkit prints, its paths seen from the top of the checkout."""
    words = [str(ROOT / word) if word.startswith("recipes/") else word for word in shlex.split(command)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = toolkit(words)
    if status:
        raise SystemExit(f"toolkit {command}: ends with {status}")
    return re.sub(r"^# ", "### ", said.getvalue(), flags=re.MULTILINE)


def filled(text: str) -> str:
    """A page with every marked part computed anew."""
    return MARKED.sub(lambda found: f"{found[1]}{found[2]}\n{printed(found[1]).strip()}\n\n{found[3]}", text)


def pages() -> list[Path]:
    """Those that have a mark."""
    every = [ROOT / "README.md", *sorted((ROOT / "egs_docs").glob("*.md"))]
    return [page for page in every if MARKED.search(page.read_text(encoding="utf-8"))]


def main() -> int:
    """Fill or check all pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments, late = parser.parse_args(), 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            late += 1
            print(f"{page.relative_to(ROOT)}: {'out of date' if arguments.check else 'filled'}")
            if not arguments.check:
                write_text(page, new)
    return int(arguments.check and late > 0)


if __name__ == "__main__":
    sys.exit(main())
