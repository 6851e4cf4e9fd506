"""Parts from files, modules and installed packages: found by every verb, refused in one line, never imported for a configuration."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit import plugins
from toolkit.attentions import ATTENTIONS
from toolkit.attentions.content import ContentAttention
from toolkit.bin.main import main, verb_first
from toolkit.errors import ConfigError
from toolkit.evaluate import metrics  # noqa: F401 - a kind like others
from toolkit.registry import Registry
from toolkit.tasks.schema import as_saved, load_system
from toolkit.text.base import TextError

ROOT = Path(__file__).resolve().parents[1]
MINI = ROOT / "recipes/ljspeech/conf/mini.yaml"
PART = '''from toolkit.attentions import ATTENTIONS
from toolkit.attentions.content import ContentAttention
@ATTENTIONS.register("{name}")
class Mine(ContentAttention):
    """Mine."""
'''
UNREGISTERED = "from toolkit.attentions.content import ContentAttention\nclass Mine(ContentAttention):\n    pass\n"


def traced(folder: Path) -> str:
    """A line that leaves a letter in ``imports`` each time it is run."""
    return f"with open({str(folder / 'imports')!r}, 'a') as trace: trace.write('i')\n"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a test registers, imports or permits stays."""
    classes = {kind: dict(registry._classes) for kind, registry in Registry.kinds.items()}
    modules = set(sys.modules)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    monkeypatch.setattr(plugins, "STATE", plugins._State(list(plugins.STATE.registered), {}, list(plugins.STATE.bases)))
    yield
    for kind, known in classes.items():
        Registry.kinds[kind]._classes.clear()
        Registry.kinds[kind]._classes.update(known)
    for name in set(sys.modules) - modules:
        if name.startswith(("toolkit.plugins.", "own_")):
            del sys.modules[name]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with one attention, ``mine``, and a list of its imports beside it."""
    path = tmp_path / "my part's.py"
    path.write_text(traced(tmp_path) + PART.format(name="mine"))
    return path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module on the path that registers nothing, and leaves a trace when it is imported."""
    (tmp_path / "own_module.py").write_text(traced(tmp_path) + UNREGISTERED)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_module"


def imports(folder: Path) -> int:
    trace = folder / "imports"
    return len(trace.read_text()) if trace.exists() else 0


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def test_a_file_is_found_by_verbs_wherever_it_is_named_and_imported_once(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    assert "  mine " not in listed(capsys, "parts", "attention")
    assert "  mine                 Mine." in listed(capsys, "--plugin", mine.name, "--debug", "parts", "attention", "--plugin", str(mine))
    assert os.environ.get(plugins.VARIABLE) is None and imports(mine.parent) == 1
    monkeypatch.setenv(plugins.VARIABLE, f"{mine}:{mine}:")
    assert "dim" in listed(capsys, "explain", "attention.mine") and imports(mine.parent) == 1


def test_processes_that_a_verb_starts_have_its_plugins(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "own_first")
    with plugins.handed_on([str(mine), "own_second", str(mine)]):
        assert os.environ[plugins.VARIABLE].split(os.pathsep) == ["own_first", str(mine), "own_second"]
    assert os.environ[plugins.VARIABLE] == "own_first"


def test_the_verb_stands_first() -> None:
    words = ["--plugin", "say", "--debug", "--plugin=b", "parts", "--json"]
    assert verb_first(words) == ["parts", *words[:4], "--json"]
    assert verb_first(["--debug", "--help"]) == ["--help", "--debug"] and verb_first([]) == []


def test_a_class_of_a_file_reaches_a_worker_process_under_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(
        "from toolkit.text.base import CLEANERS, Cleaner\n@CLEANERS.register('shout')\nclass Shout(Cleaner):\n"
        "    '''Loud.'''\n    def __call__(self, text):\n        return text.upper()\n"
    )
    (tmp_path / "work.py").write_text(
        "import multiprocessing\nfrom toolkit.text.base import CLEANERS\nif __name__ == '__main__':\n"
        "    cleaner = CLEANERS.part('shout').build()\n    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(cleaner, ['hi']), pool.map(type, [cleaner])[0] is type(cleaner))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), plugins.VARIABLE: "shout.py"}
    done = subprocess.run([sys.executable, "work.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['HI'] True", done.stderr


BASES = {
    "encoder": "toolkit.encoders:ENCODERS:Encoder", "attention": "toolkit.attentions:ATTENTIONS:Attention",
    "decoder": "toolkit.decoders:DECODERS:Decoder", "postnet": "toolkit.postnets:POSTNETS:Postnet",
    "vocoder": "toolkit.vocoders:VOCODERS:Vocoder", "loss": "toolkit.models.losses:LOSSES:Loss",
    "schedule": "toolkit.train.schedules:SCHEDULES:Schedule", "optimiser": "toolkit.train.optimisers:OPTIMISERS:Optimiser",
    "tokenizer": "toolkit.text.base:TOKENIZERS:Tokenizer", "cleaner": "toolkit.text.base:CLEANERS:Cleaner",
    "g2p": "toolkit.text.base:G2PS:G2P", "metric": "toolkit.evaluate.metrics:METRICS:Metric",
}  # fmt: skip


@pytest.mark.parametrize("kind", BASES)
def test_every_kind_takes_parts_of_a_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, registry, base = BASES[kind].split(":")
    (tmp_path / "own.py").write_text(f"from {where} import {registry}, {base}\n@{registry}.register('own')\nclass Own({base}):\n    pass\n")
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "own.py"))
    assert Registry.kinds[kind].resolve("own", configured=True).__name__ == "Own" and "own" in Registry.kinds[kind].names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "--plugin: no such file, got '{file}'; give FILE.py or package.module"),
        ("import math\n", "{file}: no part is registered in it; write @ATTENTIONS.register("),
        (UNREGISTERED, "{file}: no part is registered in it; write @ATTENTIONS.register("),
        (PART.format(name="a") + "\n1 / 0\n", "{file}:7: ZeroDivisionError: division by zero"),
        ("def half():\n    return 1 / 0\n\nhalf()\n", "{file}:2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('bye')\n", "{file}:2: SystemExit: bye"),
        ("import math\ndef broken(:\n", "{file}:2: SyntaxError: invalid syntax"),
        ("import no_such_package_of_mine\n", "{file}:1: ModuleNotFoundError: No module named 'no_such_package_of_mine'"),
        (PART.format(name="content"), "{file}:3: attention 'content' is registered already, by ContentAttention"),
        (PART.format(name="a") + PART.format(name="a"), "{file}:8: attention 'a' is registered already, by Mine"),
    ],
)
def test_mistakes_in_a_file_are_one_line(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broken.py"
    if text is not None:
        file.write_text(text)
    assert main(["--plugin", str(file), "parts"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {message.format(file=file)}") and said.err.count("\n") == 1 and not said.out
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert "a" not in ATTENTIONS._classes, "nothing of a broken plugin stays"
    file.write_text(f"# {'mended':9999}\n" + PART.format(name="a"))
    assert "  a  " in listed(capsys, "--plugin", str(file), "parts", "attention")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_missing.parts", "own_missing.parts: no such module; install it, or put its folder into PYTHONPATH"),
        ("not a module", "--plugin: expected FILE.py or package.module, got 'not a module'"),
        ("folder/", "--plugin: no such file, got 'folder/'"),
        ("math", "math: no part is registered in it"),
    ],
)
def test_wrong_names_of_plugins_are_one_line(spec: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parts", "--plugin", spec]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}") and said.count("\n") == 1


def test_a_plugin_may_ask_registries_for_what_it_extends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "more.py").write_text(PART.format(name="more").replace("(ContentAttention)", "(ATTENTIONS.resolve('content'))"))
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "more.py"))
    assert issubclass(ATTENTIONS.resolve("more"), ContentAttention)


def test_inline_phones_are_those_of_the_g2p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "egs_docs/plugin_example/toolkit_example_parts/g2p.py", tmp_path / "own.py")
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "own.py"))
    system = load_system(MINI, ["tokenizer=phone", "tokenizer_conf={g2p: spelling, word_boundary: true}"])
    assert system.tokenizer.build().symbols("ab {c d}-e") == ["a", "b", " ", "c", "d", "-", "e"]
    assert as_saved(system).endswith("plugins:\n  g2p.spelling: own.py\n")
    with pytest.raises(TextError, match="no such phone, got 'HH'"):
        system.tokenizer.build().symbols("{HH}")


def own_config(folder: Path, name: str) -> Path:
    (folder / "own.yaml").write_text(f"extends: {MINI}\nattention: '{name}'\n")
    return folder / "own.yaml"


def test_a_configuration_alone_imports_nothing(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = own_config(tmp_path, f"{module}:Mine")
    message = f"attention: a configuration alone imports nothing, got '{module}:Mine'; give --plugin {module}, or name it with --set"
    with pytest.raises(ConfigError, match=message):
        load_system(config)
    (tmp_path / "g2p.yaml").write_text(f"extends: {MINI}\ntokenizer: phone\ntokenizer_conf: {{g2p: '{module}:Mine'}}\n")
    with pytest.raises(ConfigError, match=r"tokenizer_conf\.g2p: a configuration alone imports nothing"):
        load_system(tmp_path / "g2p.yaml")
    assert imports(tmp_path) == 0 and module not in sys.modules
    monkeypatch.setenv(plugins.VARIABLE, module)
    assert load_system(config).attention.cls.__name__ == "Mine"


def test_a_class_that_the_user_names_is_a_part(module: str, tmp_path: Path) -> None:
    given = load_system(MINI, [f"attention={module}:Mine", "attention_conf.dim=7"]).attention
    assert given.cls.__name__ == "Mine" and given.knobs == {"dim": 7} and imports(tmp_path) == 1
    assert load_system(own_config(tmp_path, f"{module}:Mine")).attention.cls is given.cls, "the user has named it in this process"


def test_in_code_a_class_is_named_directly(module: str) -> None:
    assert ATTENTIONS.part(f"{module}:Mine", dim=3).knobs == {"dim": 3}
    with pytest.raises(ConfigError, match="own_module: no such class, got 'Mien'; did you mean 'Mine'?"):
        ATTENTIONS.part(f"{module}:Mien")
    with pytest.raises(ConfigError, match="no subclass of Attention"):
        ATTENTIONS.part("collections:OrderedDict")


def test_a_saved_configuration_says_which_plugin_is_missing(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, str(mine))
    saved, again = tmp_path / "config.yaml", tmp_path / "again.yaml"
    saved.write_text(as_saved(load_system(MINI, ["attention=mine"])))
    assert saved.read_text().endswith("plugins:\n  attention.mine: my part's.py\n")
    again.write_text(as_saved(load_system(saved)))
    assert again.read_text() == saved.read_text() and "plugins:" not in as_saved(load_system(saved, ["attention=content"]))
    monkeypatch.delenv(plugins.VARIABLE)
    ATTENTIONS._classes.pop("mine")
    for origin, end in (("mine.py", "give --plugin mine.py"), ("own.parts (own-parts 1.0)", "give --plugin own.parts")):
        saved.write_text(again.read_text().replace("my part's.py", origin))
        with pytest.raises(ConfigError, match=f"attention 'mine' comes from plugin {origin.partition(' ')[0]}.*; {end}$"):
            load_system(saved)
    saved.write_text(again.read_text().replace("my part's.py", '"\\e]0;x\\a"'))
    with pytest.raises(ConfigError, match="^attention: unknown attention, got 'mine'"):
        load_system(saved)


def installed(folder: Path, name: str, value: str, text: str) -> None:
    """What an installer leaves of a package with one module and one entry point."""
    info = folder / f"{value}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[toolkit.plugins]\n{name} = {value}\n")
    (info / "top_level.txt").write_text(f"{value}\n")
    (folder / f"{value}.py").write_text(text)


def test_an_installed_plugin_is_found_by_name_and_a_broken_one_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    installed(tmp_path, "own-good", "own_good", traced(tmp_path) + PART.format(name="good"))
    installed(tmp_path, "own-bad", "own_bad", PART.format(name="bad") + "raise OSError('disk')\n")
    installed(tmp_path, "own-late", "own_late", PART.format(name="content"))
    monkeypatch.syspath_prepend(tmp_path)
    assert ATTENTIONS.resolve("content") is ContentAttention and imports(tmp_path) == 0, "nobody needs it yet"
    assert ATTENTIONS.resolve("good", configured=True).__module__ == "own_good"
    warned = [record.getMessage() for record in caplog.records]
    assert sorted(warned) == [
        f"plugin own-bad of own-bad 1.2 is left out: {tmp_path / 'own_bad.py'}:6: OSError: disk",
        f"plugin own-late of own-late 1.2 is left out: {tmp_path / 'own_late.py'}:3: "
        "attention 'content' is registered already, by ContentAttention",
    ]
    assert main(["explain", "attention.bad"]) == 2 and "unknown attention, got 'bad'" in capsys.readouterr().err
    assert "good" in ATTENTIONS.names() and imports(tmp_path) == 1 and len(caplog.records) == 2
    assert plugins.origin(ATTENTIONS.resolve("good")) == "own_good (own-good 1.2)"
    assert main(["check-plugin", "own-godo"]) == 2
    assert "got 'own-godo'; did you mean 'own-good'?" in capsys.readouterr().err


def test_check_plugin_says_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.py"
    file.write_text(
        PART.format(name="good") + "class Base(ContentAttention):\n    pass\n"
        '@ATTENTIONS.register("bad")\nclass Bad(ContentAttention):\n    """Bad."""\n'
        "    def forward(self, query, output, state, allowed=None):\n"
        "        context, weights, state = super().forward(query, output, state, allowed)\n        return context, weights + 1, state\n"
        '@ATTENTIONS.register("worse")\nclass Worse(ContentAttention):\n'
        "    def __init__(self, memory_dim: int, *, dim: int = 2.5) -> None:\n        raise KeyError(dim)\n"
    )
    assert main(["check-plugin", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "attention good: settings: ok",
        "attention good: contract: ok",
        "attention bad: settings: ok",
        "attention bad: contract: broken: weights is 0 on padding",
        "attention worse: settings: broken: a docstring, whose first line toolkit parts shows",
        f"attention worse: contract: broken: {file}:17: KeyError: 2.5",
    ]
