"""Parts from outside the toolkit: files and modules that the user names, and what installed packages offer.

What the user names stands in the environment, so that every process that the toolkit starts has it too. A configuration
never causes an import: it may have come with a model from elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from toolkit.errors import ConfigError, ToolkitError, nearest

VARIABLE, GROUP = "TOOLKIT_PLUGINS", "toolkit.plugins"
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
REFERENCE = re.compile(rf"({MODULE.pattern}):([A-Za-z_]\w*)")
TOOLKIT = f"{Path(__file__).parent}{os.sep}"
log = logging.getLogger(__name__)

__path__: list[str] = []  # files are submodules of this module, so that whoever unpickles a class of theirs imports the finder first


class Registered(NamedTuple):
    """A class in a registry. ``names`` is the registry's own table."""

    kind: str
    name: str
    cls: type
    names: dict[str, Any]


@dataclass
class _State:
    registered: list[Registered] = field(default_factory=list)
    loaded: dict[str, list[Registered]] = field(default_factory=dict)  # plugin -> its parts
    bases: list[type] = field(default_factory=list)  # the contracts
    permitted: set[str] = field(default_factory=set)  # references that the user wrote
    given: str = ""  # value of the variable whose plugins are imported
    installed: bool = False  # whether entry points were imported


STATE = _State()


# ---- what the user names


def _is_file(spec: str) -> bool:
    return spec.endswith(".py") or os.sep in spec


def checked(spec: str) -> str:
    """A plugin as it is handed to other processes: the absolute path of a file, or a module's name.

    Raises:
        ConfigError: no such file, or neither a file nor a module's name.
    """
    if _is_file(spec):
        path = Path(spec).resolve()
        if not path.is_file() or path.suffix != ".py":
            raise ConfigError(f"--plugin: no such file, got {spec!r}; give FILE.py or package.module")
        if os.pathsep in str(path):
            raise ConfigError(f"--plugin: a path with {os.pathsep!r} cannot stand in {VARIABLE}, got {spec!r}; rename it")
        return str(path)
    if not MODULE.fullmatch(spec):
        raise ConfigError(f"--plugin: expected FILE.py or package.module, got {spec!r}")
    return spec


def given() -> list[str]:
    """What ``TOOLKIT_PLUGINS`` names, each once."""
    return list(dict.fromkeys(checked(spec) for spec in os.environ.get(VARIABLE, "").split(os.pathsep) if spec))


@contextlib.contextmanager
def handed_on(specs: Sequence[str]) -> Iterator[None]:
    """Name these plugins too, for this process and those that it starts, until the end of the block."""
    before = os.environ.get(VARIABLE)
    if specs or before:
        os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*given(), *map(checked, specs)]))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def permit(value: Any) -> None:
    """Note each ``package.module:Class`` in what the user wrote on the command line: these may be imported."""
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        STATE.permitted.add(value)
    elif isinstance(value, dict):
        permit([*value, *value.values()])
    elif isinstance(value, list):
        for item in value:
            permit(item)


def permitted(reference: str) -> bool:
    """Whether the user has named this class, or has given its module as a plugin."""
    return reference in STATE.permitted or reference.partition(":")[0] in given()


# ---- importing


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the files that are given, by the names of their modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(f"{__name__}."):
            return None
        files = (spec for spec in given() if _is_file(spec) and module_name(spec) == fullname)
        return next((importlib.util.spec_from_file_location(fullname, file) for file in files), None)


sys.meta_path.append(_Finder())


def module_name(spec: str) -> str:
    """The name under which a plugin is imported; that of a file depends on nothing but its path."""
    if not _is_file(spec):
        return spec
    digest = hashlib.sha256(os.fsencode(spec)).hexdigest()[:8]
    return f"{__name__}.{re.sub(r'[^0-9A-Za-z]', '_', Path(spec).stem)}_{digest}"


def located(error: BaseException, name: str) -> str:
    """``FILE:LINE: what``: the last line of the plugin ``name``, or of anything outside the toolkit, that led to the error."""
    what = str(error) if isinstance(error, ToolkitError | AssertionError) else f"{type(error).__name__}: {error}"
    what = next(iter(what.strip().splitlines()), type(error).__name__)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith(("<frozen", TOOLKIT)) and "importlib" not in f.filename]
    own = [f for f in frames if f.filename == name] or [f for f in outside if f.name == "<module>"] or outside
    return f"{own[-1].filename}:{own[-1].lineno}: {what}" if own else f"{name}: {what}"


def guarded(call: Callable[[], Any], name: str) -> Any:
    """Call what belongs to a plugin. Whatever it raises becomes a ``ConfigError`` of one line that says where."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        raise ConfigError(located(error, name)) from error


def _import(name: str, load: Callable[[], Any]) -> Any:
    """Import with ``load``; if that fails, nothing that it registered stays."""
    before = len(STATE.registered)
    try:
        return guarded(load, name)
    except ConfigError:
        for part in [part for part in STATE.registered[before:] if not is_ours(part.cls)]:
            STATE.registered.remove(part)
            part.names.pop(part.name, None)
            sys.modules.pop(part.cls.__module__, None)
        raise


def is_ours(cls: type) -> bool:
    """Whether a class belongs to the toolkit itself."""
    return cls.__module__.startswith("toolkit.") and not cls.__module__.startswith(f"{__name__}.")


def _module(name: str) -> ModuleType:
    """A module by name; one that is not there is an error that says so."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # another one, which the plugin imports
        raise ConfigError("no such module; install it, or put its folder into PYTHONPATH") from None


def load(spec: str) -> list[Registered]:
    """Import a plugin, once. Code may call it; so does the first question to any registry for what the user gave.

    Args:
        spec: a file that ``TOOLKIT_PLUGINS`` names, or a module.

    Returns:
        The parts that it registers.

    Raises:
        ConfigError: no such file or module, an error inside it (with its line), or no part in it.
    """
    spec = checked(spec)
    if spec in STATE.loaded:
        return STATE.loaded[spec]
    before, name = len(STATE.registered), module_name(spec)
    module = _import(spec, lambda: _module(name))
    parts = [part for part in STATE.registered[before:] if not is_ours(part.cls)]
    parts = parts or [part for part in STATE.registered if f"{part.cls.__module__}.".startswith(f"{name}.")]
    classes = [value for value in vars(module).values() if isinstance(value, type) and not is_ours(value)]
    if not parts and not (not _is_file(spec) and any(issubclass(cls, base) for cls in classes for base in STATE.bases)):
        if _is_file(spec):
            sys.modules.pop(name, None)  # so that the mended one is imported
        raise ConfigError(f'{spec}: no part is registered in it; write @ATTENTIONS.register("name") above the class, or as its kind says')
    STATE.loaded[spec] = parts
    return parts


def load_given() -> None:
    """Import what ``TOOLKIT_PLUGINS`` names, unless that has been done."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == STATE.given:
        return
    before, STATE.given = STATE.given, wanted  # first, as a plugin asks registries for what it extends
    try:
        for spec in given():
            load(spec)
    except ConfigError:
        STATE.given = before
        raise


def _entry_points() -> Iterable[importlib.metadata.EntryPoint]:
    return importlib.metadata.entry_points(group=GROUP)


def load_installed() -> None:
    """Import the entry points of installed packages, once. One that fails is a warning, and its names stay unknown."""
    if STATE.installed:
        return
    STATE.installed = True
    for point in _entry_points():
        try:
            _import(point.value, point.load)
        except ConfigError as error:
            log.warning("plugin %s of %s is left out: %s", point.name, _release(point.dist), error)


def named(word: str) -> list[Registered]:
    """The parts of a file, a module, or an installed entry point by its name."""
    points = {point.name: point for point in _entry_points()}
    if _is_file(word) or word not in points:
        if not _is_file(word) and "." not in word and importlib.util.find_spec(word) is None:
            raise ConfigError(f"plugin: no file, module or installed plugin, got {word!r}; {nearest(word, points)}")
        return load(word)
    return load(points[word].value.partition(":")[0].strip())


def referred(reference: str) -> Any:
    """The object ``package.module:Class``. Who calls this has made sure that the user wants the import."""
    found = REFERENCE.fullmatch(reference)
    if found is None:
        raise ConfigError(f"expected package.module:Class, got {reference!r}")
    module, name = found[1], found[found.re.groups]
    names = vars(_import(module, lambda: _module(module)))
    if name not in names:
        raise ConfigError(f"{module}: no such class, got {name!r}; {nearest(name, [n for n, v in names.items() if isinstance(v, type)])}")
    return names[name]


# ---- where a part comes from


def _release(distribution: importlib.metadata.Distribution | None) -> str:
    return "unknown" if distribution is None else f"{distribution.metadata['Name']} {distribution.version}"


def origin(cls: type) -> str | None:
    """What a saved configuration says about a part: a file's name, or a module with its distribution; None for the toolkit's own."""
    if is_ours(cls):
        return None
    module = cls.__module__
    if module.startswith(f"{__name__}."):
        return Path(str(sys.modules[module].__file__)).name
    names = importlib.metadata.packages_distributions().get(module.partition(".")[0])
    return f"{module} ({_release(importlib.metadata.distribution(names[0]))})" if names else module
