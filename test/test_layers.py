"""Imports go one way. Every import is read, also those inside functions; the first arrow that runs back fails."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "toolkit"
LAYERS: list[list[str]] = [
    ["errors"],
    ["plugins"],
    ["registry"],
    ["config"],
    ["audio"],
    ["text"],
    ["nn"],
    ["data"],
    ["train"],
    ["kernels"],
    ["encoders", "attentions", "decoders", "postnets", "vocoders", "discriminators"],
    ["models"],
    ["tasks"],
    ["align", "infer", "evaluate"],
    ["serve"],
    ["contracts"],
    ["testing"],
    ["bin"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PARTS = next(names for names in LAYERS if "encoders" in names)
ALLOWED_ASIDE = {("decoders", "toolkit.attentions.base")}  # the decoder builds its attention
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module of ours that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = node.module or ""
            for alias in node.names:
                below = PACKAGE.joinpath(*base.split(".")[1:], alias.name)
                is_module = base.split(".")[0] == "toolkit" and (below.with_suffix(".py").exists() or below.is_dir())
                yield node.lineno, f"{base}.{alias.name}" if is_module else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name


def area(module: str) -> str | None:
    """``toolkit.nn.masks`` -> ``nn``; None for others' modules and for the package itself."""
    words = module.split(".")
    return words[1] if words[0] == "toolkit" and len(words) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_back(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        assert not list(imported(path)), "the package itself imports nothing"
        return
    assert own in LEVEL, f"{path}: {own} has no place in the layers"
    for line, module in imported(path):
        other = area(module)
        if other is None:
            continue
        where = f"{path.relative_to(ROOT)}:{line}: {module}"
        assert other in LEVEL, f"{where} has no place in the layers"
        assert LEVEL[other] <= LEVEL[own], f"{where} runs back from {own} to {other}"
        aside = LEVEL[other] == LEVEL[own] and other != own and own in PARTS
        assert not aside or (own, module) in ALLOWED_ASIDE, f"{where}: {own} and {other} do not know each other"


def test_a_kernel_is_known_only_to_what_it_speeds_up() -> None:
    """Beside the part itself, those may know one who choose, load, build or measure it."""
    for path in FILES:
        own = path.relative_to(PACKAGE).with_suffix("").parts[0]
        kernels = [module for _, module in imported(path) if area(module) == "kernels"]
        allowed = own in (*PARTS, "kernels", "infer", "evaluate", "testing", "bin")
        assert allowed or not kernels, f"{path.relative_to(ROOT)} imports {kernels[0]}: a kernel belongs to the part that it speeds up"


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_imports_no_other_part(kind: str) -> None:
    """A file that registers none, and is not split off from one that does, is what parts have in common."""
    paths = sorted((PACKAGE / kind).glob("*.py"))
    parts = [path.stem for path in paths if f"@{kind.upper()}.register(" in path.read_text()]
    names = {path.stem for path in paths if path.stem in parts or path.stem.startswith(tuple(f"{part}_" for part in parts))}
    assert parts, kind
    for path in paths:
        if path.stem in ("__init__", "base"):
            continue
        siblings = {module.split(".")[-1] for _, module in imported(path) if area(module) == kind} & names
        others = {name for name in siblings if not name.startswith(f"{path.stem}_")}  # a part may be split over files
        assert not others, f"{path.relative_to(ROOT)} imports another part: {others}"
