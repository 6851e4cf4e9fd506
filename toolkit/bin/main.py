"""The command line: finds the verb, reads its options, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import ast
import importlib
import keyword
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from toolkit import __version__, plugins
from toolkit.errors import ConfigError, ToolkitError, nearest

VERBS = {
    "the stages of a recipe": (
        *("prepare", "validate-data", "extract", "vectors", "split", "tokens", "bpe"),
        *("stats", "align", "train", "gta", "borrow", "synthesize", "evaluate", "stamp"),
    ),
    "use a voice": ("say", "new-voice", "import", "export-features"),
    "look and check": ("parts", "explain", "describe", "check", "check-plugin", "doctor"),
    "judge": ("errors", "gta-effect", "ablation"),
    "be fast": ("build-kernels", "bench"),
}
OPENING = "Text-to-speech research toolkit.\n\nusage: toolkit [--version] [--help] VERB [options]"
CLOSING = """Every verb explains itself with --help. All take --debug, which shows where an error comes from, and --plugin FILE|MODULE,
which adds parts of your own."""


class Parser(argparse.ArgumentParser):
    """Option names in full only; a wrong option is a ``ConfigError`` that names the nearest right one. Knows what all verbs do."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_argument("--plugin", action="append", default=[], metavar="FILE|MODULE", help="parts of your own; may be repeated")
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}; see {self.prog} --help")

    def parse_all(self, words: Sequence[str]) -> argparse.Namespace:
        """All words, or an error about the first that means nothing here."""
        args, rest = self.parse_known_args(words)
        if rest:
            options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
            hint = nearest(rest[0].partition("=")[0], options) if rest[0].startswith("-") else f"see {self.prog} --help"
            raise ConfigError(f"{self.prog}: unknown argument, got {rest[0]!r}; {hint}")
        return args


def verb_file(verb: str) -> Path:
    """The file that holds a verb. One that is a word of Python has a ``_`` behind it."""
    return Path(__file__).with_name(f"{verb.replace('-', '_')}{'_' * keyword.iskeyword(verb)}.py")


def overview() -> str:
    """The help of the whole command: the first docstring line of each verb, read without importing it."""
    lines = [OPENING]
    for group, verbs in VERBS.items():
        lines += ["", f"{group}:"]
        for verb in verbs:
            if verb_file(verb).is_file():
                text = ast.get_docstring(ast.parse(verb_file(verb).read_text(encoding="utf-8"))) or ""
                lines.append(f"  {verb:<14} {text.splitlines()[0].rstrip('.')}")
    return "\n".join([*lines, "", CLOSING])


def with_dashes(words: Sequence[str]) -> list[str]:
    """Kaldi's ``--stop_stage`` is ``--stop-stage`` too. Only names of options change, and nothing after ``--``."""
    end = words.index("--") if "--" in words else len(words)
    split = [word.partition("=") if word.startswith("--") else (word, "", "") for word in words[:end]]
    return ["".join((name.replace("_", "-") if name.startswith("--") else name, *rest)) for name, *rest in split] + list(words[end:])


def verb_first(words: Sequence[str]) -> list[str]:
    """``--debug`` and ``--plugin``, which every verb takes, may stand before the verb too."""
    end = 0
    while end < len(words) and words[end].startswith(("--debug", "--plugin")):
        end += 2 if words[end] == "--plugin" else 1
    return [*words[end : end + 1], *words[:end], *words[end + 1 :]]


def dispatch(words: Sequence[str]) -> int:
    """Run one verb with its options. Its module is imported only now."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"toolkit {__version__}")
        return 0
    verb, known = words[0].replace("_", "-"), [verb for verbs in VERBS.values() for verb in verbs]
    if verb not in known:
        raise ConfigError(f"toolkit: unknown verb, got {words[0]!r}; {nearest(verb, known)}")
    module = importlib.import_module(f"toolkit.bin.{verb_file(verb).stem}")
    parser = Parser(
        prog=f"toolkit {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    args = parser.parse_all(with_dashes(words[1:]))
    with plugins.handed_on(args.plugin):
        return int(module.run(args))


class Console(logging.Handler):
    """What the toolkit logs goes to standard error as it is now, which a progress bar may have replaced for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        print(f"{prefix}{record.getMessage()}", file=sys.stderr, flush=True)


def explain_error(error: Exception) -> None:
    """Print an error as ``error:`` lines, one for each problem."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename or 'input or output'}: {error.strerror or error}"
    for line in text.splitlines() or [type(error).__name__]:
        print(f"error: {line}", file=sys.stderr)


def main(words: Sequence[str]) -> int:
    """The command line as a function: 0 for success, 1 or 2 for an error the user can mend, 130 when interrupted."""
    debug = "--debug" in words
    try:
        return dispatch(verb_first(words))
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    except (ToolkitError, OSError) as error:
        if debug:
            raise
        explain_error(error)
        return error.exit_code if isinstance(error, ToolkitError) else 1


def console() -> NoReturn:
    """Entry point of the console script."""
    logging.getLogger("toolkit").addHandler(Console())
    sys.exit(main(sys.argv[1:]))
