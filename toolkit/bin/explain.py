"""Show one part: what it does, what a configuration may set, and the defaults."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which part."""
    parser.add_argument("part", metavar="KIND.NAME", help="such as attention.location_sensitive")


def run(args: argparse.Namespace) -> int:
    """Print docstring, wired arguments and knobs with types and defaults."""
    import inspect

    import toolkit.data.readers
    import toolkit.infer.importing
    import toolkit.tasks.schema  # noqa: F401 - registers every part
    from toolkit.errors import ConfigError, nearest
    from toolkit.registry import Registry, knob_parameters, knob_types, wired_names

    kind, _, name = args.part.partition(".")
    if kind not in Registry.kinds:
        raise ConfigError(f"unknown kind of part, got {kind!r}; {nearest(kind, Registry.kinds)}")
    cls = Registry.kinds[kind].resolve(name)
    print(f"{kind}: {name}   ({cls.__module__}.{cls.__qualname__})\n\n{inspect.getdoc(cls)}\n")
    print(f"wired by its builder: {', '.join(wired_names(cls)) or '(nothing)'}")
    knobs, types = knob_parameters(cls), knob_types(cls)
    print(f"settings ({kind}_conf):" if knobs else "settings: (none)")
    for knob, parameter in knobs.items():
        hint = types[knob].__name__ if isinstance(types[knob], type) and not hasattr(types[knob], "__args__") else str(types[knob])
        default = "required" if parameter.default is parameter.empty else f"default {parameter.default!r}"
        print(f"  {knob:<20} {hint.replace('typing.', '')}, {default}")
    return 0
