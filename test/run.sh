#!/usr/bin/env bash
# All set-up, then everything that a change must pass: ./test/run.sh [--full] [arguments of pytest]
# --full adds what takes too long for every change.
set -euo pipefail
# shellcheck source=tools/environment.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../tools/environment.sh"
cd -- "$TOOLKIT_ROOT"

selection='not full'
arguments=()
for argument in "$@"; do
    if [ "$argument" = --full ]; then selection=''; else arguments=(${arguments[@]+"${arguments[@]}"} "$argument"); fi
done

"$TOOLKIT_ROOT/tools/setup.sh" train,eval,dev
# one environment for everything below, also for recipes that tests start; one thread, so that results do not depend on cores
export TOOLKIT_PYTHON OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

check() { # name command...
    local name=$1 log
    shift
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        printf '%-12s ok\n' "$name"
        rm -f -- "$log"
    else
        cat -- "$log"
        rm -f -- "$log"
        printf '%-12s failed: %s\n' "$name" "$(printf '%q ' "$@")" >&2
        exit 1
    fi
}

scripts() { find .ci test tools recipes -path '*/exp' -prune -o -path '*/dump' -prune -o -path '*/data' -prune -o \( -name '*.sh' -o -path .ci/run \) -print0; }

check_shell() { scripts | xargs -0 shellcheck -x; }

check ruff "$TOOLKIT_PYTHON" -m ruff check .
check format "$TOOLKIT_PYTHON" -m ruff format --check .
check mypy "$TOOLKIT_PYTHON" -m mypy
check codespell "$TOOLKIT_PYTHON" -m codespell_lib
if command -v shellcheck >/dev/null 2>&1; then check shellcheck check_shell; else printf '%-12s skipped: not installed\n' shellcheck; fi
[ -z "$selection" ] || printf '%-12s skipped: tests marked full (./test/run.sh --full runs them)\n' full

"$TOOLKIT_PYTHON" -m pytest ${selection:+-m "$selection"} ${arguments[@]+"${arguments[@]}"}
