"""Compile the fast paths for this kind of machine; needs a C++ compiler."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--compiler", metavar="CXX", help="C++ compiler (default: $CXX, or the first of g++, clang++, c++)")
    parser.add_argument(
        "--targets", nargs="+", default=[], metavar="NAME", help="amx, avx512, avx2, portable (default: all for this machine)"
    )
    parser.add_argument("--force", action="store_true", help="also what was built from the same sources before")


def run(args: argparse.Namespace) -> int:
    """One line a target; 1 if none could be built."""
    import time

    from toolkit.kernels import native
    from toolkit.kernels.build import build, choose_targets, compiler_version, find_compiler

    targets, compiler = choose_targets(args.targets), find_compiler(args.compiler)
    start, good = time.perf_counter(), 0
    for built in build(compiler, targets, args.force):
        good += not built.problem
        missing = native.lacking(native.TARGETS[built.target])
        fits = f"not for this processor, which has no {', '.join(missing)}" if missing else "runs on this processor"
        said = (
            f"not built: {built.problem}"
            if built.problem
            else f"{f'built in {built.seconds:.1f} s' if built.seconds else 'is there'}; {fits}"
        )
        print(f"{built.target}: {said}", flush=True)
    loaded = native.library()
    print(f"kernels: {good} of {len(targets)} by {compiler_version(compiler)} in {time.perf_counter() - start:.0f} s, in {native.folder()}")
    print(f"kernels: {loaded.target} is used on this machine" if loaded else f"kernels: none is used on this machine: {native.why_not()}")
    return 0 if good else 1
