"""YAML -> checked, frozen dataclasses, and back.

A section is a frozen dataclass. A swappable part is a field ``Annotated[Part[Attention], ATTENTIONS]``; in YAML it is a
name with its knobs beside it (ESPnet's form)::

    attention: location_sensitive
    attention_conf: {filters: 32}

With ``Part[Attention] | None`` the name may be null. Several parts of one kind, ``Annotated[tuple[Part[Loss], ...], LOSSES]``,
are a mapping from name to knobs.
Every key, type and name is checked before anything is built; each complaint has the dotted path, the value and the
nearest right thing. A field that ends in ``_`` is written without it (``global_`` -> ``global``).
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from toolkit import plugins
from toolkit.errors import ConfigError, nearest
from toolkit.registry import Part, Registry, knob_parameters, knob_types

T = TypeVar("T")
MAX_BYTES = 1_000_000
MAX_NODES = 10_000


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its traps: ``1e-3`` is a number, a key stands once, ``on`` is a word."""


_FLOAT = re.compile(r"[-+]?(\d[\d_]*)(\.[\d_]*)?([eE][-+]?\d+)|[-+]?\d[\d_]*\.[\d_]*|[-+]?\.\d+([eE][-+]?\d+)?|[-+]?\.(inf|nan)")
_Loader.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in pairs if tag not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")]
    for key, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+0123456789."))
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false|True|False)$"), list("tfTF"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise ConfigError(f"line {key_node.start_mark.line + 1}: key stands twice, got {key!r}")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_yaml(text: str, where: str) -> Any:
    """Plain data from YAML text. Size and number of nodes are bounded, so an alias bomb is refused."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where}: larger than {MAX_BYTES} bytes, got {len(text)}")
    try:
        data = yaml.load(text, _Loader)  # a SafeLoader
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
    budget, stack = MAX_NODES, [data]
    while stack:
        node = stack.pop()
        budget -= 1
        if budget < 0:
            raise ConfigError(f"{where}: more than {MAX_NODES} values")
        stack.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
    return data


def load_yaml(path: Path | str) -> dict[str, Any]:
    """A YAML file and, under it, the one parent that its key ``extends`` names, merged deeply."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration; {_nearest_file(path)}")
    data = parse_yaml(path.read_text(encoding="utf-8-sig"), str(path)) or {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys, got {type(data).__name__}")
    parent = data.pop("extends", None)
    if parent is None:
        return data
    if not isinstance(parent, str) or (path.parent / parent).resolve() == path.resolve():
        raise ConfigError(f"{path}: extends names another file, got {parent!r}")
    return merge(load_yaml(path.parent / parent), data)


def _nearest_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path()
    return nearest(path.name, [p.name for p in folder.glob("[!.]*.yaml")])


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``. Naming another part drops the knobs that were meant for the one before."""
    stale = {f"{key}_conf" for key, value in above.items() if value != below.get(key)}
    result = {key: value for key, value in below.items() if key not in stale}
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Apply ``a.b=value`` assignments of the command line in order; values are read as YAML. Classes that they name may be imported."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"--set: expected key=value, got {assignment!r}")
        nested: Any = parse_yaml(text, f"--set {path}")
        plugins.permit(nested)
        for key in reversed(path.strip().split(".")):
            nested = {key: nested}
        data = merge(data, nested)
    return dict(data)


def read(schema: type[T], data: Any, where: str = "") -> T:
    """Check plain data against a dataclass and build it, with the defaults of everything that is not given."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or 'config'}: expected a section of keys, got {data!r}")
    hints = typing.get_type_hints(schema, include_extras=True)
    fields = {f.name.rstrip("_"): f for f in dataclasses.fields(schema) if f.init}  # type: ignore[arg-type]
    known = set(fields) | {f"{key}_conf" for key, f in fields.items() if registry_of(hints[f.name]) and not _several(hints[f.name])}
    for key in data:
        if key not in known:
            raise ConfigError(f"{_join(where, key)}: no such key, got {data[key]!r}; {nearest(str(key), known)}")
    values: dict[str, Any] = {}
    for key, f in fields.items():
        registry = registry_of(hints[f.name])
        if registry is not None and not _several(hints[f.name]):
            if key in data or f"{key}_conf" in data or _required(f):
                values[f.name] = _read_part(registry, data, key, where, f, type(None) in typing.get_args(hints[f.name].__origin__))
        elif key in data:
            path = _join(where, key)
            values[f.name] = _read_parts(registry, data[key], path) if registry else _read_value(hints[f.name], data[key], path)
        elif _required(f):
            raise ConfigError(f"{_join(where, key)}: missing, and it has no default")
    try:
        return schema(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}" if where else str(error)) from error


def registry_of(hint: Any) -> Registry[Any] | None:
    """The registry in ``Annotated[Part[...], REGISTRY]``, or None for any other annotation."""
    return next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Registry)), None)


def _several(hint: Any) -> bool:
    return typing.get_origin(getattr(hint, "__origin__", hint)) is tuple


def dump(value: Any) -> Any:
    """A section as plain data that ``read`` turns into the same section again (resolved: every default written)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        result: dict[str, Any] = {}
        hints = typing.get_type_hints(type(value), include_extras=True)
        for f in dataclasses.fields(value):
            item, key = getattr(value, f.name), f.name.rstrip("_")
            if isinstance(item, Part):
                result[key] = item.name
                result[f"{key}_conf"] = {knob: dump(v) for knob, v in item.knobs.items()}
            elif registry_of(hints[f.name]) is not None and item is not None:  # several parts
                result[key] = {part.name: dump(part.knobs) for part in item}
            elif f.init:
                result[key] = dump(item)
        return result
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    return [dump(item) for item in value] if isinstance(value, (list, tuple)) else value


def to_yaml(value: Any) -> str:
    """``dump`` as YAML text, keys in the order of the schema."""
    return yaml.safe_dump(dump(value), sort_keys=False, width=120, allow_unicode=True)


def difference(old: Any, new: Any, where: str = "") -> list[str]:
    """Lines ``path: old -> new`` for every leaf in which two dumped configurations differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(old) + [key for key in new if key not in old]
        return [line for key in keys for line in difference(old.get(key), new.get(key), _join(where, key))]
    return [] if old == new else [f"{where}: {old!r} -> {new!r}"]


def _required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _read_part(
    registry: Registry[Any], data: Mapping[str, Any], key: str, where: str, f: dataclasses.Field[Any], optional: bool
) -> Part[Any] | None:
    path = _join(where, key)
    if optional and data.get(key) is None and not data.get(f"{key}_conf"):
        return None
    default = None if _required(f) else _default(f)
    name = data.get(key, default.name if default else None)
    if not isinstance(name, str):
        raise ConfigError(f"{path}: expected the name of a part, got {name!r}; known: {', '.join(registry.names())}")
    base = default.knobs if default is not None and default.name == name else {}
    return read_part(registry, name, data.get(f"{key}_conf"), f"{path}_conf", path, base)


def _read_parts(registry: Registry[Any], data: Any, where: str) -> tuple[Part[Any], ...]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected names with their knobs, got {data!r}; known: {', '.join(registry.names())}")
    return tuple(read_part(registry, str(name), knobs, f"{where}.{name}", where) for name, knobs in data.items())


def read_part(
    registry: Registry[Any], name: str, given: Any, knob_path: str, path: str = "", base: Mapping[str, Any] | None = None
) -> Part[Any]:
    """A part from its name and plain data of its knobs; ``base`` holds other defaults than the constructor's."""
    try:
        cls = registry.resolve(name, configured=True)
    except ConfigError as error:
        raise ConfigError(f"{path or knob_path}: {error}") from error
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{knob_path}: expected knobs as keys, got {given!r}")
    parameters, types = knob_parameters(cls), knob_types(cls)
    for knob in given:
        if knob not in parameters:
            raise ConfigError(f"{knob_path}.{knob}: no such knob of {name!r}, got {given[knob]!r}; {nearest(str(knob), parameters)}")
    knobs = {knob: (base or {}).get(knob, p.default) for knob, p in parameters.items()}
    knobs.update({knob: _read_value(types[knob], value, f"{knob_path}.{knob}") for knob, value in given.items()})
    for kind, inner in _inner_parts(knobs):
        read_part(Registry.kinds[kind], inner, None, f"{knob_path}.{kind}")
    return Part(name, cls, knobs)


def _inner_parts(knobs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A knob that is called like a kind, such as a tokenizer's ``g2p``, names a part of that kind."""
    return ((knob, value) for knob, value in knobs.items() if knob in Registry.kinds and isinstance(value, str))


def origins(value: Any) -> dict[str, str]:
    """``kind.name`` -> plugin, for each part of a section that is not the toolkit's own."""
    if isinstance(value, Part):
        bases = {registry.base: kind for kind, registry in Registry.kinds.items()}
        kind = next((bases[cls] for cls in value.cls.__mro__ if cls in bases), "part")
        own = plugins.origin(value.cls)
        inner = [Part(name, Registry.kinds[kind].resolve(name, configured=True)) for kind, name in _inner_parts(value.knobs)]
        return ({f"{kind}.{value.name}": own} if own else {}) | origins(inner)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    found: dict[str, str] = {}
    for item in value if isinstance(value, (list, tuple)) else ():
        found |= origins(item)
    return found


def _read_value(hint: Any, value: Any, where: str) -> Any:
    inner = next((h for h in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(h)), None)
    if inner is not None and not (value is None and hint is not inner):
        return read(typing.cast(type, inner), value, where)
    value = _as_number(hint, value)
    if isinstance(value, list) and tuple in [typing.get_origin(h) for h in (hint, *typing.get_args(hint))]:
        value = tuple(value)
    try:
        check_type(value, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError as error:
        raise ConfigError(f"{where}: {error}, got {value!r}") from error
    if isinstance(value, bool) and bool not in (hint, *typing.get_args(hint)) and hint is not Any:
        raise ConfigError(f"{where}: expected a number, got {value!r}")
    return value


def _as_number(hint: Any, value: Any) -> Any:
    """An int where a float is meant becomes one, also within lists and mappings."""
    arguments = typing.get_args(hint)
    if isinstance(value, int) and not isinstance(value, bool) and float in (hint, *arguments) and int not in arguments:
        return float(value)
    if isinstance(value, list) and arguments:
        return [_as_number(arguments[0], item) for item in value]
    if isinstance(value, dict) and len(arguments) == 2:
        return {key: _as_number(arguments[1], item) for key, item in value.items()}
    return value
