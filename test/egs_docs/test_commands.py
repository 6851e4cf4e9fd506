"""Every command in README and the cookbook is run, and prints what stands under it.

Blocks that are marked ``bash run`` run at the top of a small copy of the checkout, page by page in their order:

    bash run            ends with 0; ``exit=N``: with N
    bash run full       only with ``./test/run.sh --full``, as training again takes too long for every change
    bash run needs=pronunciations    where set-up has found the CMU dictionary; needs=compiler: where there is one for C++
    bash                is not run, and stands in NOT_RUN
    text shown          each line stands in the output of the block above, in this order; ``...`` is anything
"""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from toolkit.bin.main import main
from toolkit.errors import ToolkitError
from toolkit.kernels.build import COMPILERS
from toolkit.text.pronunciation import find_dictionary

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "egs_docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPE = "./recipes/ljspeech/run.sh"
ACTIVATE = ". .venv/bin/activate"
LOOKING = {"bpe", "check", "describe", "explain", "parts", "prepare", "validate-data"}
# the tests themselves, and what needs a corpus of gigabytes
NOT_RUN = {
    "./test/run.sh",
    f"{RECIPE} --corpus ljspeech",
    f"{RECIPE} --corpus ljspeech --archive LJSpeech-1.1.tar.bz2",
    f"{RECIPE} --corpus ljspeech --config paper --ngpu 1",
    f"{RECIPE} --corpus ljspeech --config paper --ngpu 4",
    "./recipes/ljspeech/ablation.sh",
    "./recipes/ljspeech/ablation.sh --plan ablation_tiny --corpus LJSpeech-1.1 --jobs 2",
    f"{RECIPE} --corpus ljspeech --set text2mel.max_steps=2000 --set mel2wav.max_steps=4000 --exp short",
}


class Block(NamedTuple):
    """A fenced block: its language, the words after it, its lines, and where it begins."""

    language: str
    marks: tuple[str, ...]
    body: str
    line: int

    @property
    def status(self) -> int:
        return next((int(mark.removeprefix("exit=")) for mark in self.marks if mark.startswith("exit=")), 0)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], tuple(m[2].split()), m[3], text.count("\n", 0, m.start()) + 1) for m in BLOCK.finditer(text)]


def without_shell(body: str) -> list[list[str]]:
    """The block's commands, if all of them only look at things, so that none needs a shell or a second start of Python; else empty."""
    lines = [line for line in body.splitlines() if line != ACTIVATE]
    plain = all(line.split()[:1] == ["toolkit"] and not re.search(r"[|<>$;&*\\`]", line) for line in lines)
    words = [shlex.split(line)[1:] for line in lines] if plain else []
    return words if all(command[0] in LOOKING for command in words) else []


def played(block: Block, trained: str, checkout, shell, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit status and everything that the block printed."""
    if block.body.strip() == RECIPE:
        return 0, trained
    commands = without_shell(block.body)
    if not commands:
        done = shell(block.body)
        return done.returncode, done.stdout + done.stderr
    monkeypatch.chdir(checkout)
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for words in commands:
            status = status or main(words)
    return status, said.getvalue()


def missing_line(shown: str, output: str) -> str:
    """The first line of ``shown`` that the output lacks, empty if there is none."""
    place = 0
    for line in filter(None, shown.splitlines()):
        pattern = ".*".join(re.escape(piece) for piece in line.split("..."))
        found = re.compile(rf"^{pattern}$", re.MULTILINE).search(output, place)
        if found is None:
            return line
        place = found.end()
    return ""


def has_pronunciations() -> bool:
    try:
        find_dictionary("")
    except ToolkitError:
        return False
    return True


def wanted(block: Block, full: bool) -> bool:
    if block.language != "bash" or "run" not in block.marks or ("full" in block.marks and not full):
        return False
    has_compiler = any(map(shutil.which, COMPILERS))
    needs = {"needs=pronunciations": has_pronunciations, "needs=compiler": lambda: has_compiler}
    return all(there() for mark, there in needs.items() if mark in block.marks)


def play(page: Path, full: bool, trained: str, checkout, shell, monkeypatch: pytest.MonkeyPatch) -> None:
    output = None  # of the last block that ran; None after one that did not
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.language == "bash":
            output = None
            if wanted(block, full):
                status, output = played(block, trained, checkout, shell, monkeypatch)
                assert status == block.status, f"{where}: ends with {status}\n{output}"
        elif block.marks == ("shown",) and output is not None:
            assert not missing_line(block.body, output), f"{where}: not shown: {missing_line(block.body, output)}\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_keeps_its_word(page: Path, trained: str, checkout, shell, monkeypatch: pytest.MonkeyPatch) -> None:
    play(page, False, trained, checkout, shell, monkeypatch)


@pytest.mark.full
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any("full" in block.marks for block in blocks(page))], ids=lambda page: page.stem
)
def test_a_page_keeps_its_word_in_full(page: Path, trained: str, checkout, shell, monkeypatch: pytest.MonkeyPatch) -> None:
    play(page, True, trained, checkout, shell, monkeypatch)


def test_what_is_not_run_is_known() -> None:
    lines = [
        line
        for page in PAGES
        for block in blocks(page)
        if block.language == "bash" and "run" not in block.marks
        for line in block.body.splitlines()
    ]
    assert set(lines) == NOT_RUN


def test_marks_are_known() -> None:
    known = re.compile(r"run|full|exit=\d+|needs=(pronunciations|compiler)")
    for page in PAGES:
        for block in blocks(page):
            where = f"{page.name}:{block.line}"
            assert block.language in ("bash", "text"), where
            marks_of_text = block.marks in ((), ("shown",), ("map",))
            assert marks_of_text if block.language == "text" else all(known.fullmatch(mark) for mark in block.marks), where
