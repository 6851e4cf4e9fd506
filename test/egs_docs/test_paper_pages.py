"""The pages about the paper: their cards are computed, and what the map points at is there."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = (ROOT / "egs_docs/paper_map.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]*) \| ([^|]*) \| \[`([^`]+)`\]\(\.\./([^)]+)\) `([\w.]+)` \|$", MAP, re.MULTILINE)


@pytest.fixture(scope="module")
def fill_cards() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fill_cards", ROOT / "tools/fill_cards.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["README.md", "egs_docs/paper_training_details.md", "egs_docs/paper_baselines.md"])
def test_the_cards_of_a_page_are_what_the_presets_give(name: str, fill_cards: ModuleType) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert ROOT / name in fill_cards.pages()
    assert text.encode() == fill_cards.filled(text).encode(), f"{name}: run python tools/fill_cards.py"


def test_every_preset_of_the_paper_has_its_card() -> None:
    pages = "".join((ROOT / f"egs_docs/{name}.md").read_text(encoding="utf-8") for name in ("paper_training_details", "paper_baselines"))
    described = set(re.findall(r"conf/(paper\w*\.yaml)", "".join(re.findall(r"<!-- toolkit describe .*? -->", pages))))
    assert described == {path.name for path in (ROOT / "recipes/ljspeech/conf").glob("paper*.yaml")}


def symbols(path: Path) -> set[str]:
    """Classes, functions, methods and constants of a file, as dotted names."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found |= {node.name, *(f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef))}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_map_has_nothing_but_rows_that_are_checked() -> None:
    tables = [line for line in MAP.splitlines() if line.startswith("|") and "`" in line]
    assert len(tables) == len(ROWS) > 40


@pytest.mark.parametrize(("source", "what", "name", "target", "symbol"), ROWS, ids=[f"{row[2]}:{row[4]}" for row in ROWS])
def test_what_the_map_points_at_exists(source: str, what: str, name: str, target: str, symbol: str) -> None:
    assert name == target and symbol in symbols(ROOT / target), f"{what}: {target} has no {symbol}"
