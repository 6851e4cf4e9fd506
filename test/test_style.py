"""The house rules that a program can check: sizes, names, documentation, and calls that run code from data."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MADE = {"data", "dump", "exp", "downloads"}
PYTHON = sorted(
    [*ROOT.glob("*.py"), *(p for folder in ("toolkit", "test", "tools", "recipes", "egs_docs") for p in (ROOT / folder).rglob("*.py"))]
)
PYTHON = [p for p in PYTHON if not (p.relative_to(ROOT).parts[0] == "recipes" and MADE & set(p.relative_to(ROOT).parts))]
OURS = [p for p in PYTHON if p.relative_to(ROOT).parts[0] == "toolkit"]
SHELL = sorted(
    p for folder in (".ci", "test", "tools", "recipes") for p in (ROOT / folder).rglob("*") if p.suffix == ".sh" or p.name == "run"
)
TEXT = [
    p
    for p in [
        *PYTHON,
        *SHELL,
        *(ROOT / "toolkit/kernels/source").glob("*.?pp"),
        *ROOT.glob("*.md"),
        *ROOT.glob("egs_docs/**/*.md"),
        *ROOT.glob("recipes/*/*.md"),
        *ROOT.glob("recipes/*/conf/*"),
    ]
    if p.is_file()
]

KERNELS = sorted(p for p in (ROOT / "toolkit/kernels").glob("*.py") if p.stem not in ("__init__", "native", "build"))  # fast paths
SOURCES = sorted((ROOT / "toolkit/kernels/source").glob("*.?pp"))
DRAWING = re.compile(r"\|.*\||\[.*\]|\+--|-->")

FILE_LIMIT, FUNCTION_LIMIT, VERB_LIMIT, KERNEL_LIMIT = 300, 60, 60, 500
BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "misc", "tools", "stuff"}
UNSAFE_CALLS = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "yaml.unsafe_load", "yaml.full_load",
    "os.system", "os.popen", "eval", "exec", "compile", "__import__", "tempfile.mktemp",
}  # fmt: skip
# an unpickler that can make nothing but plain data
TRUSTED = {("tools/make_nltk_data.py", "pickle.Unpickler")}
# reads a foreign checkpoint as the user says with --trust-pickle
ASKED = {("toolkit/infer/importing/loading.py", "torch.load")}

Rule = Callable[[ast.AST, str], str | None]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.AST) -> str:
    """``torch.load(...)`` -> ``torch.load``; empty for anything but a call of a dotted name."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) else ""


def keyword(node: ast.AST, name: str) -> object:
    """Value of a keyword argument as it is written, None if it is not."""
    words = node.keywords if isinstance(node, ast.Call) else []
    return next((ast.unparse(word.value) for word in words if word.arg == name), None)


def no_unsafe_call(node: ast.AST, where: str) -> str | None:
    name = called(node)
    trusted = (where, name) in TRUSTED or (where.startswith("test/") and name == "pickle.loads")  # of bytes that the test made
    return f"{name} can run code from data" if name in UNSAFE_CALLS and not trusted else None


def no_unsafe_loader(node: ast.AST, where: str) -> str | None:
    if called(node) == "torch.load" and keyword(node, "weights_only") != "True" and (where, "torch.load") not in ASKED:
        return "torch.load needs weights_only=True"
    if called(node) in ("np.load", "numpy.load") and keyword(node, "allow_pickle") not in (None, "False"):
        return "numpy.load must not allow pickles"
    if called(node) == "yaml.load" and where != "toolkit/config.py":
        return "yaml is read by toolkit.config only"
    return "extractall trusts the archive" if called(node).endswith(".extractall") else None


def no_shell(node: ast.AST, where: str) -> str | None:
    return "shell=True" if keyword(node, "shell") == "True" else None


def no_star_import(node: ast.AST, where: str) -> str | None:
    return "import *" if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names) else None


def no_blanket_except(node: ast.AST, where: str) -> str | None:
    """Catching everything is for those who raise again, with what they know added."""
    if not isinstance(node, ast.ExceptHandler) or any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
        return None
    blanket = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
    return "catches every exception and keeps it" if blanket else None


def no_mutable_default(node: ast.AST, where: str) -> str | None:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return None
    defaults = [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
    return (
        "mutable default"
        if any(isinstance(d, ast.List | ast.Dict | ast.Set) or called(d) in ("list", "dict", "set") for d in defaults)
        else None
    )


def no_choice_by_getattr(node: ast.AST, where: str) -> str | None:
    """``getattr(module, name_from_a_config)`` is how a configuration runs code: names are looked up in registries."""
    if where == "toolkit/registry.py" or called(node) != "getattr" or not isinstance(node, ast.Call):
        return None
    object_name = ast.unparse(node.args[0]).split(".")[0]
    by_variable = not isinstance(node.args[1], ast.Constant)
    return "attribute of a module by a variable name" if by_variable and object_name in _modules(where) - {"errno"} else None


def _modules(where: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(parsed(ROOT / where)):
        if isinstance(node, ast.Import):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


RULES: list[Rule] = [
    no_unsafe_call, no_unsafe_loader, no_shell, no_star_import, no_blanket_except, no_mutable_default, no_choice_by_getattr,
]  # fmt: skip


def complaints(path: Path) -> Iterator[str]:
    where = relative(path)
    for node in ast.walk(parsed(path)):
        for rule in RULES:
            if complaint := rule(node, where):
                yield f"{where}:{getattr(node, 'lineno', 0)}: {complaint}"


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_code_follows_the_rules(path: Path) -> None:
    assert not list(complaints(path))


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_sizes(path: Path) -> None:
    where, lines = relative(path), len(path.read_text(encoding="utf-8").splitlines())
    verb = path.parent == ROOT / "toolkit/bin" and path.name not in ("main.py", "__init__.py")
    limit = VERB_LIMIT if verb else KERNEL_LIMIT if path in KERNELS else FILE_LIMIT
    assert lines <= limit, f"{where}: {lines} lines, {limit} at most"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LIMIT, f"{where}:{node.lineno}: {node.name} has {length} lines, {FUNCTION_LIMIT} at most"


def test_a_recipe_is_thin() -> None:
    for script in ROOT.glob("recipes/*/run.sh"):
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_names_say_what_is_inside(path: Path) -> None:
    inside = path.relative_to(ROOT).with_suffix("").parts[1:]  # the folder tools/ itself holds programs, not code to import
    assert not BANNED_NAMES & set(inside)


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_everything_public_is_documented(path: Path) -> None:
    tree = parsed(path)
    assert ast.get_docstring(tree), f"{relative(path)}: no docstring"
    verb = path.parent.name == "bin"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if verb and node.name in ("add_arguments", "run"):  # the same in every verb; the module's docstring is its help
            continue
        assert ast.get_docstring(node), f"{relative(path)}:{node.lineno}: {node.name} has no docstring"


@pytest.mark.parametrize("path", TEXT, ids=relative)
def test_text_holds_nothing_that_belongs_elsewhere(path: Path) -> None:
    if path == Path(__file__).resolve():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{relative(path)}:{number}"
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line), f"{where}: unfinished"
        assert not re.search(r"(^|[\s\"'=(])/(root|work|home/\w+|Users/\w+)/", line), f"{where}: a path of one machine"


@pytest.mark.parametrize("path", SHELL, ids=relative)
def test_shell_scripts_are_strict(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*eval\b|[;&|]\s*eval\b", text, re.MULTILINE), f"{relative(path)}: eval"
    if text.startswith("#!"):
        assert text.startswith("#!/usr/bin/env bash\n") and "set -euo pipefail" in text
        assert path.stat().st_mode & 0o111, f"{relative(path)} is a program and must be executable"


@pytest.mark.parametrize("path", KERNELS, ids=relative)
def test_a_kernel_names_the_plain_twin_that_it_must_equal(path: Path) -> None:
    words = ast.get_docstring(parsed(path)) or ""
    assert re.search(r"Plain twins?: ", words), f"{relative(path)}: which plain code does it equal?"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_compiled_sources_can_be_read(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    opening = lines[: next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))]
    assert len(opening) >= 4, f"{relative(path)}: no comment at its top that says what it is"
    drawn = sum(bool(DRAWING.search(line)) for line in opening)
    assert path.suffix == ".hpp" or drawn >= 3, f"{relative(path)}: the comment at its top does not draw how data lies in memory"
    for number, line in enumerate(lines, start=1):
        assert len(line) <= 140, f"{relative(path)}:{number}: {len(line)} characters, at most 140"
        assert "\t" not in line and line == line.rstrip(), f"{relative(path)}:{number}: tab or blank at the end"
