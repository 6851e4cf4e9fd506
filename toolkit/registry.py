"""Names -> classes: one ``Registry`` for each kind of part.

A part is an ordinary class. Arguments before ``*`` are *wired* by whoever builds it, arguments after ``*`` are *knobs*
that a configuration may set; their annotations and defaults are the schema.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from toolkit import plugins
from toolkit.errors import ConfigError, nearest

T = TypeVar("T")


class UnknownPartError(ConfigError):
    """A name that no part of the kind has, here and now."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind}, got {name!r}; {nearest(name, known)}")
        self.kind, self.name = kind, name


@dataclass(frozen=True)
class Part(Generic[T]):
    """A chosen part that is not built yet: its class and the values of all its knobs."""

    name: str
    cls: type[T]
    knobs: dict[str, Any] = field(default_factory=dict)

    def build(self, **wired: Any) -> T:
        """Make the part. Of the values offered, it receives those that its constructor names."""
        wanted = wired_names(self.cls)
        missing = [name for name in wanted if name not in wired]
        if missing:
            raise ConfigError(f"{self.name}: nobody here wires {', '.join(missing)}, offered {', '.join(wired)}")
        try:
            return self.cls(**{name: wired[name] for name in wanted}, **self.knobs)
        except ConfigError as error:
            raise ConfigError(f"{self.name}_conf: {error}") from error


class Registry(Generic[T]):
    """The parts of one kind by name.

    Args:
        kind: the word used in configurations and messages, such as ``attention``.
        base: the contract; everything registered is a subclass.
        wired: what the builder of this kind offers, in the order of the contract.
    """

    kinds: dict[str, Registry[Any]] = {}

    def __init__(self, kind: str, base: type[T], wired: Sequence[str] = ()) -> None:
        self.kind, self.base, self.wired = kind, base, tuple(wired)
        self._classes: dict[str, type[T]] = {}
        Registry.kinds[kind] = self
        plugins.STATE.bases.append(base)

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator. Refuses a second class of the same name, another base, and an argument nobody wires."""

        def add(cls: type[T]) -> type[T]:
            if name in self._classes:
                raise ConfigError(f"{self.kind} {name!r} is registered already, by {self._classes[name].__qualname__}")
            if not issubclass(cls, self.base):
                raise ConfigError(f"{self.kind} {name!r}: {cls.__qualname__} is no subclass of {self.base.__name__}")
            unknown = [argument for argument in wired_names(cls) if argument not in self.wired]
            if unknown:
                raise ConfigError(
                    f"{self.kind} {name!r}: argument {unknown[0]!r} stands before '*' but nobody wires it;"
                    f" wired: {', '.join(self.wired) or '(none)'}"
                )
            self._classes[name] = cls
            plugins.STATE.registered.append(plugins.Registered(self.kind, name, cls, self._classes))
            return cls

        return add

    def resolve(self, name: str, *, configured: bool = False) -> type[T]:
        """The class of that name, also of a plugin, or a ``ConfigError`` with the nearest right name.

        Args:
            name: of a registered part, or ``package.module:Class``.
            configured: the name comes from a configuration, which never causes an import: only what the user has named is.
        """
        plugins.load_given()
        if name not in self._classes and plugins.REFERENCE.fullmatch(name):
            if configured and not plugins.permitted(name):
                module = name.partition(":")[0]
                raise ConfigError(f"a configuration alone imports nothing, got {name!r}; give --plugin {module}, or name it with --set")
            self.register(name)(plugins.referred(name))
        if name not in self._classes:
            plugins.load_installed()
        if name not in self._classes:
            raise UnknownPartError(self.kind, name, self._classes)
        return self._classes[name]

    def names(self) -> list[str]:
        """All names, with those of plugins."""
        plugins.load_given()
        plugins.load_installed()
        return sorted(self._classes)

    def part(self, name: str, **knobs: Any) -> Part[T]:
        """A part by name with some knobs set, for use in code: ``ATTENTIONS.part("content", dim=64)``."""
        cls = self.resolve(name)
        return Part(name, cls, {key: p.default for key, p in knob_parameters(cls).items()} | knobs)


def _parameters(cls: type) -> list[inspect.Parameter]:
    return list(inspect.signature(cls).parameters.values())


def wired_names(cls: type) -> list[str]:
    """Names of the constructor's arguments before ``*``."""
    return [p.name for p in _parameters(cls) if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


def knob_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's keyword-only arguments: what a configuration may set."""
    return {p.name: p for p in _parameters(cls) if p.kind is inspect.Parameter.KEYWORD_ONLY}


def knob_types(cls: type) -> dict[str, Any]:
    """Annotations of the knobs, resolved."""
    hints = typing.get_type_hints(inspect.getattr_static(cls, "__init__"))
    return {name: hints.get(name, Any) for name in knob_parameters(cls)}
