"""What README and the cookbook say about the repository is so: links, commands, the reading path."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from toolkit.bin.main import VERBS, Parser, verb_file, with_dashes

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "egs_docs").glob("*.md")), *sorted(ROOT.glob("recipes/*/*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
READING = ROOT / "egs_docs/reading_the_code.md"
MOST_LINES = 900


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(start: str) -> list[str]:
    """Commands in code within the prose, and in blocks of bash, that begin with ``start``."""
    found: list[str] = []
    for page in PAGES:
        found += re.findall(rf"`({re.escape(start)}[^`]*)`", prose(page))
        for block in FENCED.findall(page.read_text(encoding="utf-8")):
            if re.match(r" *```bash", block):
                found += [line.strip() for line in block.splitlines() if line.strip().startswith(start)]
    return sorted(set(found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists() and ROOT in [file.resolve(), *file.resolve().parents], f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}: no such heading"


@pytest.mark.parametrize("command", commands("./recipes/ljspeech/run.sh"))
def test_options_of_the_recipe_exist(command: str, shell) -> None:
    listed = shell(f"{command} --list")
    assert listed.returncode == 0 and (listed.stdout.startswith("0  setup") or "--help" in command), listed.stderr


@pytest.mark.parametrize("command", commands("toolkit "))
def test_verbs_and_their_options_exist(command: str) -> None:
    words = shlex.split(command.partition("#")[0])[1:]
    if words[0].startswith("--"):
        return
    assert words[0] in [verb for verbs in VERBS.values() for verb in verbs], command
    if len(words) == 1 or words[1:] == ["--help"] or words == ["train", "text2mel"] or words == ["train", "mel2wav"]:
        return
    module = importlib.import_module(f"toolkit.bin.{verb_file(words[0]).stem}")
    parser: argparse.ArgumentParser = Parser(prog=command, allow_abbrev=False)
    module.add_arguments(parser)
    parser.parse_all(with_dashes(words[1:]))  # type: ignore[attr-defined]


def test_every_page_is_in_the_cookbook_and_says_what_it_is_for() -> None:
    index = ROOT / "egs_docs/README.md"
    linked = set(LINK.findall(prose(index)))
    for page in (ROOT / "egs_docs").glob("*.md"):
        if page != index:
            text = page.read_text(encoding="utf-8")
            assert page.name in linked, page.name
            assert re.match(r"# .+\n\n\*\*Goal\*\*: ", text) and "\n**Next**: " in text and "```bash" in text, page.name
            assert len(text.splitlines()) <= 130, f"{page.name} is short"


def test_the_first_screen_has_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:15])
    assert "./recipes/ljspeech/run.sh\n" in first and "./test/run.sh\n" in first


def test_the_map_of_the_readme_is_the_house() -> None:
    lines = README.partition("```text map\n")[2].partition("```")[0].splitlines()
    assert all((ROOT / line.split()[0]).is_dir() for line in lines)
    mapped = {line.split()[0] for line in lines}
    packages = {f"toolkit/{path.parent.name}/" for path in (ROOT / "toolkit").glob("*/__init__.py")}
    assert packages <= mapped, packages - mapped


def test_the_reading_path_is_short_and_is_what_the_page_says() -> None:
    rows = re.findall(r"^\| \d \| \[`([^`]+)`\]\(\.\./([^)]+)\)(.*?) \| (\d+) \|", READING.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 8
    total = 0
    for name, target, rest, said in rows:
        assert name == target
        lines = (ROOT / target).read_text(encoding="utf-8").splitlines()
        if "stage 5" in rest:  # of the recipe, what starts this training
            lines = [line for line in lines if re.search(r"text2mel|LAUNCH|\bCONF\b|^train\(\)|^launcher", line)]
        assert abs(len(lines) - int(said)) <= max(10, 0.15 * len(lines)), f"{name}: {len(lines)} lines, the page says {said}"
        total += len(lines)
    assert total <= MOST_LINES
