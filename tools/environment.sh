# shellcheck shell=bash
# Sourced. Finds the Python that everything runs with and leaves it in TOOLKIT_PYTHON:
#   1. TOOLKIT_PYTHON itself, where the user has set it: used as it is, nothing is ever installed into it
#   2. the active environment (venv or conda), where it has torch
#   3. .venv in the checkout, whether it exists yet or not
# Programs are started as "$TOOLKIT_PYTHON" -m NAME, never by their scripts: those cannot cope with quotes in the path.

TOOLKIT_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
export TOOLKIT_ROOT
export PYTHONPATH="$TOOLKIT_ROOT${PYTHONPATH:+:$PYTHONPATH}"

has_torch() {
    [ -x "$1" ] && "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null
}

find_environment() {
    local folder
    [ -z "${TOOLKIT_PYTHON:-}" ] || return 0
    for folder in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
        if [ -n "$folder" ] && has_torch "$folder/bin/python"; then
            TOOLKIT_PYTHON=$folder/bin/python
            return 0
        fi
    done
    TOOLKIT_PYTHON=$TOOLKIT_ROOT/.venv/bin/python
}

# shellcheck disable=SC2034 # read by tools/setup.sh
ENVIRONMENT_GIVEN=${TOOLKIT_PYTHON:+yes}
find_environment
