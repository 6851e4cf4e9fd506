# shellcheck shell=bash
# Sourced by run.sh: where things are.
RECIPE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tools/environment.sh
. "$RECIPE/../../tools/environment.sh"

# shellcheck disable=SC2034 # read by run.sh: data/, dump/ and exp/ are made here
WORK=${TOOLKIT_WORK:-$RECIPE}
export LC_ALL=C PYTHONUTF8=1 PYTHONUNBUFFERED=1
# glibc keeps freed memory instead of handing it back: a vocoder's step on a CPU is an eighth faster
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=10000000000
