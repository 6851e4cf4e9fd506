"""Run the contract tests of every part that a plugin registers: a line each, exit code 1 where one is broken."""

import argparse
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which plugin."""
    parser.add_argument("name", metavar="FILE|MODULE|NAME", help="a file, a module, or the entry point of an installed package")


def checks(kind: str, name: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is tested of a part, and the tests. A decoder is tested with each attention of the toolkit."""
    from toolkit.attentions import ATTENTIONS
    from toolkit.contracts import check_settings
    from toolkit.plugins import is_ours
    from toolkit.registry import Registry
    from toolkit.testing import check

    registry = Registry.kinds[kind]
    yield "settings", lambda: check_settings(registry, name)
    if kind != "decoder":
        yield "contract", lambda: check(registry.part(name))
        return
    for other in ATTENTIONS.names():
        if is_ours(ATTENTIONS.resolve(other)):
            yield f"contract with attention {other}", partial(check, registry.part(name), ATTENTIONS.part(other))


def run(args: argparse.Namespace) -> int:
    """Every test runs, also after one that fails."""
    import toolkit.tasks.schema  # noqa: F401 - registers every part
    from toolkit import plugins
    from toolkit.errors import ConfigError

    with plugins.handed_on([args.name] if args.name.endswith(".py") else []):
        broken = 0
        parts = plugins.named(args.name)
        for part in parts:
            file = inspect.getfile(part.cls)
            for what, test in checks(part.kind, part.name):
                try:
                    plugins.guarded(test, file)
                    said = "ok"
                except ConfigError as error:
                    said, broken = f"broken: {str(error).removeprefix(f'{file}: ')}", broken + 1
                print(f"{part.kind} {part.name}: {what}: {said}")
    if not parts:
        raise ConfigError(f"{args.name}: it registers no part, so there is nothing to test")
    return 1 if broken else 0
