"""The recipe's shell: options, stages that are skipped, fail and go on, locks, and folders with hostile names."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "recipes/ljspeech/run.sh"
HOSTILE = "a b'c\"$(touch PWN);é"

# a recipe whose commands leave a line in `history`, so that a test sees what ran
RECIPE = """#!/usr/bin/env bash
set -euo pipefail
ORIGINAL=("$@")
. "$TOOLS/environment.sh"
STAGES=(first second third)
stage=0 stop_stage=2 force=false text='' EXP=exp/try LIVE=''
. "$TOOLS/parse_options.sh"
. "$TOOLS/stage.sh"
stage=$(stage_number "$stage") || exit 2
hold "$EXP"
work() { printf '%s\\n' "$1" >>history; cp -- "$2" "$3"; echo "done with $1"; }
stage 0 .first --input source --value "text=$text" --output one -- work first source one
stage 1 .second --input .first --output two -- work second one two
stage 2 .third --input .second --output three -- ${FAIL:-work third two three}
"""


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "TOOLKIT_PYTHON": sys.executable, "TOOLS": str(ROOT / "tools"), "OMP_NUM_THREADS": "1", **extra}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / HOSTILE
    folder.mkdir()
    (folder / "source").write_text("1")
    script = folder / "run it.sh"
    script.write_text(RECIPE)
    script.chmod(0o755)
    return script


def play(script: Path, *options: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script), *options], cwd=script.parent, env=environment(**extra), capture_output=True, text=True, timeout=60
    )


def history(script: Path) -> list[str]:
    return (script.parent / "history").read_text().split()


def test_stages_run_once_and_say_that_they_are_skipped(recipe: Path) -> None:
    first = play(recipe)
    assert first.returncode == 0, first.stderr
    assert "[ 1/2 second   ] done with second   ok" in first.stdout
    again = play(recipe)
    assert again.returncode == 0 and again.stdout.count("skipped") == 3
    assert history(recipe) == ["first", "second", "third"]
    assert not list(recipe.parent.rglob("PWN"))


def test_a_stage_runs_again_when_what_it_depends_on_or_wrote_changed(recipe: Path) -> None:
    play(recipe)
    (recipe.parent / "source").write_text("2")
    play(recipe)
    assert history(recipe)[3:] == ["first", "second", "third"]
    (recipe.parent / "two").write_text("damaged")
    play(recipe)
    assert history(recipe)[6:] == ["second"], "what it writes is the same again, so the third stage stands"
    play(recipe, "--text", "other")
    assert history(recipe)[7:] == ["first", "second", "third"]


def test_first_and_last_stage_by_name_and_force(recipe: Path) -> None:
    play(recipe)
    result = play(recipe, "--stage", "second", "--stop_stage=1", "--force")
    assert result.returncode == 0, result.stderr
    assert history(recipe)[3:] == ["second"]


def test_a_failure_names_stage_cause_and_the_command_that_continues(recipe: Path) -> None:
    failed = play(recipe, "--stage", "0", "--text", 'it\'s "a" $(touch PWN)', FAIL="false_command_that_does_not_exist")
    assert failed.returncode == 127
    assert "Stage 2 (third) failed: " in failed.stderr and "command not found" in failed.stderr
    command = failed.stderr.strip().splitlines()[-1].strip()
    assert shlex.split(command)[1:] == ["--text", 'it\'s "a" $(touch PWN)', "--stage", "2"]
    mended = subprocess.run(["bash", "-c", command], cwd=recipe.parent, env=environment(), capture_output=True, text=True, timeout=60)
    assert mended.returncode == 0, mended.stderr
    assert history(recipe) == ["first", "second", "third"]
    assert not list(recipe.parent.rglob("PWN"))


def test_the_cause_is_the_error_line_of_the_log(recipe: Path) -> None:
    failed = play(recipe, FAIL="toolkit stamp nonsense")
    assert failed.returncode == 2
    assert "Stage 2 (third) failed: toolkit stamp: argument action: invalid choice" in failed.stderr
    assert len([line for line in failed.stderr.splitlines() if line.startswith("    ")]) <= 16


def test_plugins_reach_the_commands_of_every_stage(recipe: Path) -> None:
    (recipe.parent / "mine.py").write_text("")
    options = ("--plugin", "own.parts", "--plugin=mine.py", "--set", "attention=pkg.mod:Class", "--set", "a.b=c:/d", "--set", "e=16:9")
    play(recipe, *options, FAIL="printenv TOOLKIT_PLUGINS", TOOLKIT_PLUGINS="mine.py:first")
    log = recipe.parent / "exp/try/log/stage2.log"
    mine = str(recipe.parent / "mine.py")
    assert log.read_text().splitlines()[0] == f"{mine}:first:own.parts:{mine}:pkg.mod"
    play(recipe, FAIL="env")
    assert "TOOLKIT_ROOT=" in log.read_text() and "TOOLKIT_PLUGINS=" not in log.read_text()


def test_two_runs_in_one_folder_and_the_lock_of_a_dead_process(recipe: Path) -> None:
    lock = recipe.parent / "exp/try/.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{os.uname().nodename} {os.getpid()}\n")
    refused = play(recipe)
    assert refused.returncode == 1 and refused.stderr.startswith("error: exp/try: another run works here")
    assert lock.exists()
    dead = subprocess.Popen(["true"])
    dead.wait()
    lock.write_text(f"{os.uname().nodename} {dead.pid}\n")
    assert play(recipe).returncode == 0
    assert not lock.exists()


def run(*options: str, work: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(RUN), *options], cwd=work, env=environment(TOOLKIT_WORK=str(work), **extra), capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stages", "3"), "run.sh: no such option, got '--stages'"),
        (("--stage",), "run.sh: --stage needs a value"),
        (("--set",), "run.sh: --set needs KEY=VALUE"),
        (("--plugin",), "run.sh: --plugin needs FILE.py or package.module"),
        (("--plugin=mine.py",), "run.sh: --plugin: no such file, got 'mine.py'"),
        (("three",), "run.sh: expected an option, got 'three'"),
        (("--stage", "tree"), "no such stage, got 'tree'; known: setup data"),
        (("--corpus", "nowhere"), "--corpus: mini, ljspeech, a folder, a table or a manifest, got 'nowhere'"),
        (("--config", "tiny"), "--config: no such file, got 'tiny'; known names:"),
        (("--exp", "../x"), "--exp: a name of letters"),
        (("--vocoder-input", "gat"), "--vocoder-input: gta or natural, got 'gat'"),
        (("--nproc", "two"), "--nproc: a whole number, got 'two'"),
        (("--nproc", "0"), "--nproc: at least 1, got '0'"),
    ],
)
def test_wrong_options_are_one_line(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = run(*options, work=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir()), "nothing is begun"


def test_help_and_list(tmp_path: Path) -> None:
    text = run("--help", work=tmp_path).stdout
    assert text.startswith("Text to speech") and "--stop-stage" in text and "set -e" not in text
    assert [line.split()[1] for line in run("--list", work=tmp_path).stdout.splitlines()][4:6] == ["stats", "text2mel"]


def test_data_stage_in_a_hostile_folder(tmp_path: Path) -> None:
    work = tmp_path / HOSTILE
    work.mkdir()
    first = run("--stage", "data", "--stop-stage", "data", work=work)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("corpus mini (embedded)") and "the real LJSpeech: " in first.stdout
    assert (work / "data/mini/wav.scp").exists()
    assert "skipped" in run("--stage", "1", "--stop-stage", "1", work=work).stdout
    assert not list(tmp_path.rglob("PWN"))


def test_a_missing_transcript_column_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "metadata.csv").write_text("one|a text\ntwo\n")
    result = run("--corpus", str(corpus), "--config", "mini", "--stage", "1", "--stop-stage", "1", work=tmp_path)
    assert result.returncode == 1
    assert "Stage 1 (data) failed: " in result.stderr and "metadata.csv:2" in result.stderr
    assert not (tmp_path / "data/corpus/wav.scp").exists()


def test_a_table_of_speakers_is_a_corpus_too(tmp_path: Path) -> None:
    for path in sorted((ROOT / "recipes/ljspeech/mini/wavs").glob("mini-d000[1-4].ogg")):
        shutil.copy(path, tmp_path)
    table, stage = tmp_path / "list.txt", ("--config", "mini", "--stage", "1", "--stop-stage", "1")
    table.write_text("".join(f"mini-d000{n}.ogg|{'anna' if n < 3 else 'ben'}|one two\n" for n in range(1, 5)))
    first = run("--corpus", "list.txt", *stage, work=tmp_path)
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "data/list.txt/spk2utt").read_text() == "anna mini-d0001 mini-d0002\nben mini-d0003 mini-d0004\n"
    assert "skipped" in run("--corpus", "list.txt", *stage, work=tmp_path).stdout
    chosen = ("--reader", "table", "--reader-conf", "{delimiter: '|'}", "--speakers", "ben", "--language", "en")
    one = run("--corpus", "list.txt", *chosen, *stage, work=tmp_path)
    assert one.returncode == 0 and "2 utterances" in one.stdout, one.stderr
    languages = [path.read_text() for path in tmp_path.glob("data/list.txt-*/utt2lang")]
    assert languages == ["mini-d0003 en\nmini-d0004 en\n"]
    assert len((tmp_path / "data/list.txt/text").read_text().splitlines()) == 4, "another selection has a folder of its own"
    table.write_text(table.read_text().replace("one two\n", "two one\n"))
    assert "skipped" not in run("--corpus", "list.txt", *stage, work=tmp_path).stdout
    assert "two one" in (tmp_path / "data/list.txt/text").read_text()


def choices(lines: str) -> str:
    script = f"set -euo pipefail; . {shlex.quote(str(ROOT / 'tools/choices.sh'))}; {lines}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_command_that_speaks_names_a_voice_where_there_are_several(tmp_path: Path) -> None:
    lines = f"first_voice {shlex.quote(str(tmp_path))}"
    assert choices(lines) == ""
    (tmp_path / "speakers.txt").write_text("anna\nben\n")
    assert choices(lines) == " --speaker anna"
    (tmp_path / "languages.txt").write_text("de_DE\nen_US\n")
    assert choices(lines) == " --speaker anna --language de_DE"


def test_how_a_corpus_is_read_names_its_folders(tmp_path: Path) -> None:
    names = set()
    for given in ("reader=table", "reader=table reader_conf='{delimiter: ;}'", "speakers=a,b", "language='en'", ""):
        none = "NAME=x reader='' reader_conf='' speakers='' language=''"
        lines = f"corpus=x CORPUS={shlex.quote(str(tmp_path))} {none}; {given or ':'}; reading"
        name, *words = choices(lines + '; printf "%s\\n" "$NAME" ${READING[@]+"${READING[@]}"} "${SOURCES[@]}"').splitlines()
        values = [word.partition("=")[2] for word in shlex.split(given)]
        read = words[: 2 * len(values)]
        assert read[1::2] == values and [f"--{word.partition('=')[0].replace('_', '-')}" for word in shlex.split(given)] == read[::2]
        assert words[len(read) :][:2] == ["--listing", str(tmp_path)]
        assert not values or words[-2:] == ["--value", f"reading={' '.join(read)}"]
        names.add(name)
    assert len(names) == 5 and "x" in names
    (tmp_path / "all.jsonl").write_text("{}")
    assert f"--input {tmp_path}/all.jsonl\n" == choices(lines + "; echo ${SOURCES[@]}"), "the text of a manifest counts"


def sandbox(tmp_path: Path, python: str) -> dict[str, str]:
    """A checkout without an environment, and a machine whose only Python is this script."""
    (tmp_path / "tools").mkdir()
    for name in ("setup.sh", "environment.sh"):
        (tmp_path / "tools" / name).write_text((ROOT / "tools" / name).read_text())
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "python3.10", "python3.11", "python3.12", "python3.13"):
        (programs / name).write_text(f"#!/bin/sh\n{python}\n")
        (programs / name).chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if key not in ("TOOLKIT_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX")}
    return {**kept, "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)}


def set_up(tmp_path: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(tmp_path / "tools/setup.sh")], env=env, capture_output=True, text=True, timeout=60)


def test_set_up_names_the_package_where_python_cannot_make_environments(tmp_path: Path) -> None:
    python = f'case $2 in *ensurepip*) exit 1;; esac; exec {shlex.quote(sys.executable)} "$@"'
    result = set_up(tmp_path, sandbox(tmp_path, python))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert result.returncode == 1
    assert result.stderr.startswith("error: set-up: ") and f"install the package python{version}-venv" in result.stderr
    assert result.stderr.count("\n") == 1 and not (tmp_path / ".venv").exists()


def test_set_up_without_a_new_enough_python(tmp_path: Path) -> None:
    result = set_up(tmp_path, sandbox(tmp_path, "exit 1"))
    assert result.returncode == 1
    assert result.stderr.startswith("error: set-up: no Python >= 3.10 found") and result.stderr.count("\n") == 1


def test_set_up_never_touches_a_python_that_the_user_names(tmp_path: Path) -> None:
    env = {**sandbox(tmp_path, "exit 1"), "TOOLKIT_PYTHON": str(tmp_path / "bin/python3")}
    result = set_up(tmp_path, env)
    assert result.returncode == 1 and "is no Python with torch" in result.stderr
