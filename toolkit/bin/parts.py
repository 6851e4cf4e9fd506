"""List the interchangeable parts by name, a line each."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which kind, and for whom."""
    parser.add_argument("kind", nargs="?", help="such as attention; default all")
    parser.add_argument("--json", action="store_true", help="for programs: kind -> name -> line")


def run(args: argparse.Namespace) -> int:
    """Print the registries that a configuration can name."""
    import toolkit.data.readers
    import toolkit.infer.importing
    import toolkit.tasks.schema  # noqa: F401 - registers every part
    from toolkit.errors import ConfigError, nearest
    from toolkit.registry import Registry

    if args.kind is not None and args.kind not in Registry.kinds:
        raise ConfigError(f"unknown kind of part, got {args.kind!r}; {nearest(args.kind, Registry.kinds)}")
    listed = {
        kind: {name: next(iter((registry.resolve(name).__doc__ or "").strip().splitlines()), "") for name in registry.names()}
        for kind, registry in sorted(Registry.kinds.items())
        if args.kind in (None, kind)
    }
    if args.json:
        print(json.dumps(listed, indent=1, ensure_ascii=False))
        return 0
    for kind, parts in listed.items():
        print(kind)
        for name, line in parts.items():
            print(f"  {name:<20} {line}")
    return 0
