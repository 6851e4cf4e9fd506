# shellcheck shell=bash
# Sourced by a recipe: checks of what its options say, and how many processes a command gets.
# shellcheck disable=SC2154 # set by the recipe

fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }

checked_name() { # option value: one plain word that can name a folder
    case $2 in
        '' | [.-]* | *[!A-Za-z0-9._-]*) fail "$1: a name of letters, digits, '.', '_' and '-' that starts with neither '.' nor '-', got '$2'" ;;
    esac
    printf '%s\n' "$2"
}

checked_count() { # option value least
    case $2 in '' | *[!0-9]*) fail "$1: a whole number, got '$2'" ;; esac
    [ "$2" -ge "$3" ] || fail "$1: at least $3, got '$2'"
}

given_corpus() { # CORPUS and NAME from --corpus: a folder, or the file of a table or manifest
    [ -e "$corpus" ] || fail "--corpus: mini, ljspeech, a folder, a table or a manifest, got '$corpus', which does not exist here"
    if [ -d "$corpus" ]; then CORPUS=$(cd -- "$corpus" && pwd -P); else CORPUS=$(absolute "$corpus"); fi
    NAME=$(basename -- "$CORPUS" | tr -c 'A-Za-z0-9._\n-' _)
}

# shellcheck disable=SC2034 # read by the recipe
reading() { # READING for `toolkit prepare`, SOURCES for stamps; what is read of a corpus names its folders
    local name
    READING=() SOURCES=()
    for name in "$CORPUS" "$CORPUS"/{metadata.csv,text,wav.scp,utt2spk,utt2lang} "$CORPUS"/*.jsonl "$CORPUS"/*manifest*.json; do
        [ ! -f "$name" ] || SOURCES=(${SOURCES[@]+"${SOURCES[@]}"} --input "$name")
    done
    [ ${#SOURCES[@]} -gt 0 ] || SOURCES=(--listing "$CORPUS")
    [ "$corpus" != ljspeech ] || SOURCES=(--input "$CORPUS/metadata.csv") # not downloaded yet
    [ -z "$reader" ] || READING=(--reader "$reader")
    [ -z "$speakers" ] || READING=(${READING[@]+"${READING[@]}"} --speakers "$speakers")
    [ -z "$reader_conf" ] || READING=(${READING[@]+"${READING[@]}"} --reader-conf "$reader_conf")
    [ -z "$language" ] || READING=(${READING[@]+"${READING[@]}"} --language "$language")
    [ ${#READING[@]} -gt 0 ] || return 0
    NAME=$NAME-$(printf '%s\n' "${READING[@]}" | cksum | cut -d ' ' -f 1)
    SOURCES=("${SOURCES[@]}" --value "reading=${READING[*]}")
}

short_options() { # options that stand for settings or paths
    [ -z "$archive" ] || archive=$(absolute "$archive")
    case $vocoder_input in '' | gta | natural) ;; *) fail "--vocoder-input: gta or natural, got '$vocoder_input'" ;; esac
    [ -z "$vocoder_input" ] || SETTINGS=(${SETTINGS[@]+"${SETTINGS[@]}"} --set "crops.input=$vocoder_input")
    [ -z "$bpe" ] || SETTINGS=(${SETTINGS[@]+"${SETTINGS[@]}"} --set tokenizer=bpe)
    [ -n "$predictor" ] || return 0
    PREDICTOR=exp/$(checked_name --predictor "$predictor") || exit 2
    [ "$PREDICTOR" != "$EXP" ] || fail "--predictor: another experiment than --exp, got '$predictor'"
    # shellcheck disable=SC2034 # read by the recipe
    SOURCE=$PREDICTOR/.stages/6
}

example_text() { # what to say with the voice
    case $corpus in
        mini) echo 'it is twenty five past eleven' ;;
        ljspeech) echo 'Printing is the art that keeps all others.' ;;
        *) head -n 1 "$DUMP/eval/text" | cut -d ' ' -f 2- ;; # in its own language
    esac
}

first_voice() { # experiment: options that name the first of its speakers and languages
    local kind
    for kind in speaker language; do [ ! -f "$1/${kind}s.txt" ] || printf ' --%s %s' "$kind" "$(head -n 1 "$1/${kind}s.txt")"; done
}

find_config() { # NAME of conf/NAME.yaml, or a file; the option that it comes from: --config or --plan
    local option=${2:---config} which=-v
    [ "$option" = --config ] || which=-e
    if [ -f "$1" ]; then
        absolute "$1"
    elif [ -f "$HERE/conf/$1.yaml" ]; then
        printf '%s\n' "$HERE/conf/$1.yaml"
    else
        fail "$option: no such file, got '$1'; known names: $(cd -- "$HERE/conf" && printf '%s\n' *.yaml | grep "$which" '^ablation' | tr '\n' ' ' | sed 's/\.yaml//g')"
    fi
}

cores() { nproc 2>/dev/null || getconf _NPROCESSORS_ONLN; }

gpus() { if command -v nvidia-smi >/dev/null 2>&1; then nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true; else echo 0; fi; }

# LAUNCH: what starts a training, from ngpu and nproc; NVIDIA's own variable hides GPUs that are not to be used
launcher() {
    local processes=$nproc
    checked_count --nproc "$nproc" 1
    if [ -n "$ngpu" ]; then
        checked_count --ngpu "$ngpu" 0
        [ "$ngpu" -le "$(gpus)" ] || fail "--ngpu: $(gpus) are here, got '$ngpu'; give --ngpu 0 and --nproc N to share the work on CPUs"
        [ "$ngpu" -eq 0 ] || processes=$ngpu
    fi
    if [ "${ngpu:-1}" -eq 0 ] || { [ -z "$ngpu" ] && [ "$nproc" -gt 1 ]; }; then
        export CUDA_VISIBLE_DEVICES=''
    fi
    LAUNCH=(${TRAIN_CMD[@]+"${TRAIN_CMD[@]}"} "$TOOLKIT_PYTHON" -m)
    if [ "$processes" -gt 1 ]; then
        LAUNCH=("${LAUNCH[@]}" torch.distributed.run --standalone --nproc-per-node "$processes" -m)
    fi
    LAUNCH=("${LAUNCH[@]}" toolkit)
}

data_command() { ${DATA_CMD[@]+"${DATA_CMD[@]}"} "$TOOLKIT_PYTHON" -m toolkit "$@"; }
