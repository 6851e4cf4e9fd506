#!/usr/bin/env bash
# The tables of Tacotron 2 in one command: trains what is missing, speaks held-out sentences, scores them, and sets the figures
# beside the published ones. Without options: the plan `ablation` at full size, on LJSpeech. After an interruption the same
# command goes on, cell by cell.
#
#   --plan NAME|FILE               conf/NAME.yaml or a file; default ablation; ablation_tiny ends within 100 minutes on 2 CPU cores
#   --corpus mini|ljspeech|DIR     as run.sh; default ljspeech
#   --archive FILE                 as run.sh
#   --set KEY=VALUE                change a setting of every experiment; may be repeated
#   --plugin FILE.py|MODULE        as run.sh
#   --list FILE                    a second list of sentences for the compared systems: id|text, or the text alone; % is a pause
#   --jobs N                       trainings at the same time, default 1
#   --asr NAME                     speech recogniser: auto (default), none, pocketsphinx, or the folder of a Whisper model
#   --out DIR                      tables, page and sounds; default ablation/PLAN in the working folder
#   --ngpu N, --nj N               as run.sh
#
# Experiments are exp/PLAN-NAME, logs stand in DIR/log. The working folder is that of run.sh, $TOOLKIT_WORK or this one.
# shellcheck disable=SC2034,SC2317 # what the sourced files read; what a signal calls
set -euo pipefail
{ # read as a whole before it runs, so that it may be edited meanwhile
ORIGINAL=("$@")
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=recipes/ljspeech/path.sh
. "$HERE/path.sh"
plan=ablation corpus=ljspeech archive='' list='' jobs=1 asr=auto out='' ngpu='' nj=''
. "$TOOLKIT_ROOT/tools/parse_options.sh"
. "$TOOLKIT_ROOT/tools/choices.sh"
. "$TOOLKIT_ROOT/tools/stage.sh"

checked_count --jobs "$jobs" 1
PLAN=$(find_config "$plan" --plan) || exit 2
NAME=$(checked_name --plan "$(basename -- "$PLAN" .yaml)") || exit 2
[ -z "$list" ] || [ -f "$list" ] || fail "--list: no such file, got '$list'"
[ -z "$list" ] || list=$(absolute "$list")
case $corpus in mini | ljspeech) ;; *) corpus=$(absolute "$corpus") ;; esac
case $asr in */*) asr=$(absolute "$asr") ;; esac
OUT=$(absolute "${out:-$WORK/ablation/$NAME}")
share=$(($(cores) / jobs))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((share > 0 ? share : 1))}

"$TOOLKIT_ROOT/tools/setup.sh" train,eval
mkdir -p -- "$WORK" "$OUT/log" && cd -- "$WORK"
hold "$OUT"
STEPS=$(toolkit ablation plan "$PLAN" ${SETTINGS[@]+"${SETTINGS[@]}"} --out "$OUT/conf") || exit 2
printf 'plan %s: %s experiments -> %s\n' "$NAME" "$(grep -c '^vocoder ' <<<"$STEPS")" "$OUT"

run_step() { # phase experiment predictor
    local log=$OUT/log/$2-$1.log begin=$SECONDS first=5 last=8
    case $1 in
        data) first=0 last=4 ;;
        predictor) last=6 ;;
        vocoder) [ -n "$3" ] || first=7 ;;
    esac
    if "$HERE/run.sh" --corpus "$corpus" ${archive:+--archive "$archive"} --config "$OUT/conf/$2.yaml" --exp "$NAME-$2" \
        ${3:+--predictor "$NAME-$3"} ${ngpu:+--ngpu "$ngpu"} ${nj:+--nj "$nj"} --report false \
        --stage "$first" --stop-stage "$last" >"$log" 2>&1; then
        printf '[ %-9s ] %-20s ok   %s\n' "$1" "$2" "$(duration $((SECONDS - begin)))"
    else
        printf '[ %-9s ] %-20s failed: %s; log: %s\n' "$1" "$2" "$(cause "$log")" "$log"
        return 1
    fi
}

cause() { grep -aE '^(error: |Stage .* failed: )' "$1" | head -n 1 || tail -n 1 -- "$1"; }

stop_all() { # each step is a group of processes of its own
    local pid
    trap - INT TERM
    for pid in $(jobs -rp); do kill -TERM -- "-$pid" 2>/dev/null || true; done
    wait
    printf 'interrupted; the same command goes on\n' >&2
    exit 130
}
trap stop_all INT TERM

FAILED=0
run_phase() { # phase processes: its steps side by side; one that fails does not keep the others from running
    local phase experiment predictor pid pids=()
    while read -r phase experiment predictor; do
        [ "$phase" = "$1" ] || continue
        while [ "$(jobs -rp | grep -c .)" -ge "$2" ]; do sleep 0.2; done
        set -m
        run_step "$phase" "$experiment" "$predictor" </dev/null &
        set +m
        pids=(${pids[@]+"${pids[@]}"} $!)
    done <<<"$STEPS"
    for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" || FAILED=$((FAILED + 1)); done
}

run_phase data 1 # one after the other: they share dump/
run_phase predictor "$jobs"
run_phase vocoder "$jobs"
LISTS=(${list:+--list "$list"})
[ -z "$list" ] || toolkit ablation speak "$PLAN" --work "$WORK" "${LISTS[@]}" || FAILED=$((FAILED + 1))
toolkit ablation tables "$PLAN" --work "$WORK" --out "$OUT" --asr "$asr" ${LISTS[@]+"${LISTS[@]}"} || FAILED=$((FAILED + 1))
if [ "$FAILED" -gt 0 ]; then
    printf 'error: %s steps failed; once that is mended, the same command goes on\n' "$FAILED" >&2
    exit 1
fi
printf 'Done in %s.\n' "$(duration $SECONDS)"
exit
}
