#!/usr/bin/env bash
# Runs every benchmark that needs neither a trained net nor a GPU: FOLDER/NAME.json, FOLDER/NAME.md, and all pages in FOLDER/all.md.
#
#   tools/benchmarks/run_all.sh FOLDER [NAME ...]      NAME: only these, such as features
set -euo pipefail
# shellcheck source=tools/environment.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../environment.sh"

[ $# -ge 1 ] || { printf 'usage: %s FOLDER [NAME ...]\n' "$0" >&2; exit 2; }
folder=$1
shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(teacher_forced decoder_synthesis wavenet_generation wavenet_without_compiler wavenet_training features griffin_lim)

mkdir -p -- "$folder"
failed=0
for name in "${names[@]}"; do
    script=$TOOLKIT_ROOT/tools/benchmarks/$name.py
    [ -f "$script" ] || { printf 'error: no such benchmark, got %s; see tools/benchmarks/README.md\n' "$name" >&2; exit 2; }
    printf '%s\n' "$name" >&2
    if ! "$TOOLKIT_PYTHON" "$script" --json "$folder/$name.json" >"$folder/$name.md"; then
        printf '%s failed; what it said stands above\n' "$name" >&2
        failed=1
    fi
done
for name in "${names[@]}"; do
    cat -- "$folder/$name.md"
    printf '\n'
done >"$folder/all.md"
printf '%s\n' "$folder/all.md"
exit "$failed"
