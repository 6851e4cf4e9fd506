# shellcheck shell=bash
# Sourced by a recipe: the stage engine. A stage is one line of a table:
#
#   stage 2 STAMP [--input PATH --config FILE --sections A,B --value K=V --output PATH ...] -- COMMAND [ARGUMENT ...]
#
# What stands before `--` goes to `toolkit stamp`: the stage is skipped while everything it depends on, and everything it has
# written, is as its stamp says. The stamp of the stage before is an input like others, and stands for all that it hashed. The command's output goes to $EXP/log/stageN.log; its last line is the stage's summary.
# The recipe sets STAGES (names by number), EXP, stage, stop_stage, force, ORIGINAL (its own arguments) and LIVE (numbers of the
# stages whose output is shown as it comes).
# shellcheck disable=SC2154 # set by the recipe

toolkit() { "$TOOLKIT_PYTHON" -m toolkit "$@"; }

stage_number() { # a number or a name -> the number
    local i
    for ((i = 0; i < ${#STAGES[@]}; i++)); do
        if [ "$1" = "$i" ] || [ "$1" = "${STAGES[i]}" ]; then
            printf '%s\n' "$i"
            return 0
        fi
    done
    printf "error: no such stage, got '%s'; known: %s (0-%d)\n" "$1" "${STAGES[*]}" $((${#STAGES[@]} - 1)) >&2
    return 2
}

list_stages() {
    local i
    for ((i = 0; i < ${#STAGES[@]}; i++)); do printf '%d  %s\n' "$i" "${STAGES[i]}"; done
}

duration() { if [ "$1" -lt 60 ]; then printf '%ds' "$1"; else printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); fi; }

quoted() { # a word as one would type it
    case $1 in
        '' | *[!A-Za-z0-9_./=,:+@%-]*) printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
        *) printf %s "$1" ;;
    esac
}

command_from() { # the user's own command, to go on at stage $1
    local word skip=no line
    line=$(quoted "$0")
    for word in ${ORIGINAL[@]+"${ORIGINAL[@]}"}; do
        if [ "$skip" = yes ]; then
            skip=no
            continue
        fi
        case $word in
            --stage) skip=yes ;;
            --stage=* | --force | --force=*) ;;
            *) line="$line $(quoted "$word")" ;;
        esac
    done
    printf '%s --stage %s\n' "$line" "$1"
}

# One run at a time in a folder: LOCK files name the process that holds them; those of dead ones are taken over.
LOCKS=()
release() { rm -f -- "$1/.lock"; }
release_locks() { [ ${#LOCKS[@]} -eq 0 ] || rm -f -- "${LOCKS[@]}"; }
trap release_locks EXIT

hold() {
    local lock=$1/.lock owner='' place
    mkdir -p -- "$1"
    place="$(uname -n) $$"
    if ! (set -o noclobber && printf '%s\n' "$place" >"$lock") 2>/dev/null; then
        read -r owner <"$lock" || true
        if [ "${owner% *}" = "$(uname -n)" ] && ! kill -0 "${owner##* }" 2>/dev/null; then
            printf '%s\n' "$place" >"$lock" # its owner is dead
        else
            printf 'error: %s: another run works here, on host and process %s; wait for it, or remove %s\n' "$1" "$owner" "$lock" >&2
            exit 1
        fi
    fi
    LOCKS=(${LOCKS[@]+"${LOCKS[@]}"} "$lock")
}

report_failure() { # number log status
    local cause
    cause=$(grep -a '^error: ' "$2" | head -n 1) || cause=$(tail -n 1 -- "$2")
    {
        is_live "$1" || printf 'failed\n'
        printf '\nStage %s (%s) failed: %s\n\n' "$1" "${STAGES[$1]}" "${cause#error: }"
        printf 'The last lines of %s/%s:\n' "$PWD" "$2"
        tail -n 15 -- "$2" | sed 's/^/    /'
        printf '\nTo continue once that is mended:\n    %s\n' "$(command_from "$1")"
    } >&2
    exit "$3"
}

is_live() { case " $LIVE " in *" $1 "*) ;; *) return 1 ;; esac; }

run_logged() { # number log command...
    local number=$1 log=$2
    shift 2
    if is_live "$number"; then
        printf '\n'
        "$@" 2>&1 | tee -- "$log"
    else
        "$@" >"$log" 2>&1
    fi
}

head_line() { printf '[ %d/%d %-8s ] ' "$1" $((${#STAGES[@]} - 1)) "${STAGES[$1]}"; }

stage() {
    local number=$1 log status=0 begin=$SECONDS keys=()
    shift
    while [ "$1" != -- ]; do
        keys=(${keys[@]+"${keys[@]}"} "$1")
        shift
    done
    shift
    [ "$number" -ge "$stage" ] && [ "$number" -le "$stop_stage" ] || return 0
    log=$EXP/log/stage$number.log
    mkdir -p -- "$EXP/log"
    head_line "$number"
    if [ "$force" = false ] && toolkit stamp check "${keys[@]}" >/dev/null 2>&1; then
        printf 'skipped: finished before, and nothing that it depends on has changed\n'
        return 0
    fi
    run_logged "$number" "$log" "$@" || status=$?
    [ "$status" -ne 130 ] || { printf '\ninterrupted; to continue:\n    %s\n' "$(command_from "$number")" >&2 && exit 130; }
    [ "$status" -eq 0 ] || report_failure "$number" "$log" "$status"
    toolkit stamp write "${keys[@]}" >>"$log" 2>&1 || report_failure "$number" "$log" 1
    if is_live "$number"; then head_line "$number"; else printf '%s   ' "$(grep -av '^ *$' "$log" | tail -n 1)"; fi
    printf 'ok   %s\n' "$(duration $((SECONDS - begin)))"
}
