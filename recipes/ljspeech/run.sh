#!/usr/bin/env bash
# Text to speech from recordings and their transcripts, stage by stage. Without options: the embedded corpus `mini`.
#
#   --corpus mini|ljspeech|PATH    embedded (default), LJSpeech-1.1 by download, or a corpus in a layout of `toolkit parts reader`
#   --reader NAME --speakers A,B   which layout, where it is not found out; only these speakers
#   --reader-conf YAML             settings of the reader, such as '{columns: [file, text]}'
#   --language NAME                which one it is, where the corpus does not say
#   --archive FILE                 an LJSpeech-1.1.tar.bz2 that is already here, instead of the download
#   --config NAME|FILE             conf/NAME.yaml or a file; default mini for the embedded corpus, small for others
#   --set KEY=VALUE                change a setting of the configuration; may be repeated
#   --plugin FILE.py|MODULE        parts of your own, for all stages; may be repeated
#   --exp NAME                     folder exp/NAME; default the corpus's name
#   --stage N --stop-stage N       first and last stage, by number or name (--list shows them)
#   --force                        run stages even where they are finished
#   --ngpu N                       0: none; more than one share the batch; default what is there, one at most
#   --nproc N                      processes that share the batch, on CPUs
#   --nj N                         processes for data stages; default the number of cores
#   --vocoder-input gta|natural    what the vocoder is trained on; default as the configuration says
#   --predictor NAME               use the trained predictor of exp/NAME and its aligned mels; only the vocoder is trained
#   --bpe N                        tokenizer bpe with N pieces, trained in stage 3
#   --report false                 no report after each training, only that of the last stage
#
# A finished stage is skipped; after an interruption the same command goes on. The folders data/, dump/ and exp/ are made
# beside this script, or in $TOOLKIT_WORK.
# shellcheck disable=SC2034,SC2317 # what the sourced files read and call
set -euo pipefail
{ # read as a whole before it runs, so that it may be edited meanwhile
ORIGINAL=("$@")
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=recipes/ljspeech/path.sh
. "$HERE/path.sh"

STAGES=(setup data features split stats text2mel gta vocoder speak score)
corpus=mini archive='' config='' exp='' stage=0 stop_stage=9 ngpu='' nproc=1 nj='' vocoder_input='' predictor='' bpe='' reader='' reader_conf='' speakers='' language=''
force=false list=false report=true
. "$TOOLKIT_ROOT/tools/parse_options.sh"
. "$TOOLKIT_ROOT/tools/choices.sh"
. "$TOOLKIT_ROOT/tools/stage.sh"
# shellcheck source=recipes/ljspeech/cmd.sh
. "$HERE/cmd.sh"

if [ "$list" = true ]; then list_stages && exit; fi
stage=$(stage_number "$stage") || exit 2
stop_stage=$(stage_number "$stop_stage") || exit 2

# ---- what is asked for
case $corpus in
    mini) NAME=mini CORPUS=$HERE/mini COST="about 10 minutes on 2 CPU cores, 0.2 GB of disk" ;;
    ljspeech) NAME=ljspeech CORPUS=$WORK/downloads/LJSpeech-1.1 COST="an evening on one CPU; 2.7 GB to download, 12 GB of disk" ;;
    *) given_corpus && COST="an evening on one CPU; disk: three times that of the recordings" ;; # CORPUS and NAME
esac
reading # READING: how the corpus is read; SOURCES: what its texts depend on
CONFIG=$(find_config "${config:-$([ "$corpus" = mini ] && echo mini || echo small)}") || exit 2
EXP=exp/$(checked_name --exp "${exp:-$NAME}") || exit 2
short_options # archive, SETTINGS, PREDICTOR and SOURCE
launcher # LAUNCH: what starts a training, from ngpu and nproc
LIVE='5 7'
if [ -t 1 ] && [ -w /dev/tty ]; then LIVE='' && export TOOLKIT_TTY=/dev/tty; fi # trainings draw a bar there
[ "$corpus" != ljspeech ] || LIVE="0 $LIVE"

printf 'corpus %s (%s) -> %s/%s\n' "$NAME" "$([ "$corpus" = mini ] && echo embedded || echo "$CORPUS")" "$WORK" "$EXP"
printf 'stages %s to %s: %s; set-up once, 1.5 GB with torch\n' "${STAGES[stage]}" "${STAGES[stop_stage]}" "$COST"
[ "$corpus" != mini ] || printf 'the real LJSpeech: %s --corpus ljspeech [--archive LJSpeech-1.1.tar.bz2]\n' "$(quoted "$0")"
"$TOOLKIT_ROOT/tools/setup.sh" train,eval
mkdir -p -- "$WORK" && cd -- "$WORK"
hold "$EXP"

# ---- the folders; what features and texts depend on names theirs, so experiments share them and never overwrite each other's
CONF=(--config "$CONFIG" ${SETTINGS[@]+"${SETTINGS[@]}"})
DATA=data/$NAME
FEATURES=dump/$NAME-$(toolkit stamp hash "${CONF[@]}" --sections features,trim,level,extras) || exit 2
DUMP=$FEATURES-$(toolkit stamp hash "${CONF[@]}" --sections limits,cleaner,tokenizer --value "bpe=$bpe") || exit 2
[ -z "$bpe" ] || CONF=("${CONF[@]}" --set "tokenizer_conf.model=$WORK/$DUMP/bpe.model")
S=$EXP/.stages
mkdir -p -- "$S" && printf '%s\n' "$DUMP" >"$S/data" # for who compares experiments

# ---- commands of more than one line
download() { "$TOOLKIT_PYTHON" "$HERE/local/download.py" --out downloads ${archive:+--archive "$archive"}; }
setup() { { [ "$corpus" != ljspeech ] || download; } && toolkit check "${CONF[@]:1}"; }
make_data() { toolkit prepare --corpus "$CORPUS" --out "$DATA" ${READING[@]+"${READING[@]}"} && toolkit validate-data "$DATA"; }
make_split() {
    toolkit split "${CONF[@]}" --data "$FEATURES" --out "$DUMP" && cp -- "$FEATURES/features.json" "$DUMP/" || return
    [ "$corpus" != mini ] || cp -- "$CORPUS/lexicon.txt" "$DUMP/" || return # its voice can say these words only
    [ -z "$bpe" ] || toolkit bpe --text "$DUMP/train/text" --model "$DUMP/bpe" --vocab-size "$bpe" || return
    toolkit tokens "${CONF[@]}" --text "$DUMP/train/text" --check "$DUMP/dev/text" "$DUMP/eval/text" --out "$DUMP/tokens.txt"
}
speak() { toolkit synthesize --exp "$EXP" --data "$DUMP" ${SETTINGS[@]+"${SETTINGS[@]}"} "$@"; }
train_predictor() { if [ -n "$predictor" ]; then toolkit borrow "${CONF[@]}" --data "$DUMP" --exp "$EXP" --source "$PREDICTOR"; else train text2mel; fi; }
train() { # the report is there from the first training on: alignments, and speech through Griffin-Lim
    [ "$1" = mel2wav ] || toolkit align "${CONF[@]}" --data "$DUMP" --if-needed || return
    "${LAUNCH[@]}" train "$1" "${CONF[@]}" --data "$DUMP" --exp "$EXP" || return
    [ "$report" = true ] || return 0
    [ "$1" = mel2wav ] || speak --without-vocoder || return
    toolkit evaluate --exp "$EXP" --data "$DUMP" --asr none
}

# ---- the stages: stamp, what each depends on and leaves, command
stage 0 "$S/0" "${CONF[@]}" "${SOURCES[@]}" -- setup
[ "$stage" -gt 4 ] || hold dump
stage 1 "data/.$NAME" --listing "$CORPUS" "${SOURCES[@]}" --output "$DATA" -- make_data
stage 2 "$FEATURES/.stage" --input "data/.$NAME" --output "$FEATURES" -- \
    data_command extract "${CONF[@]}" --data "$DATA" --out "$FEATURES" --nj "${nj:-$(cores)}"
stage 3 "$DUMP/.split" --input "$FEATURES/.stage" --output "$DUMP/tokens.txt" --output "$DUMP/features.json" \
    "--output=$DUMP"/{train,dev,eval}/{text,feats.scp,wav.scp,utt2dur,utt2num_frames,utt2spk,spk2utt} -- make_split
stage 4 "$DUMP/.stats" --input "$DUMP/.split" --output "$DUMP/stats.npz" -- toolkit stats --data "$DUMP/train" --out "$DUMP/stats.npz"
[ "$stage" -gt 4 ] || release dump
stage 5 "$S/5" "${CONF[@]}" --sections seed,encoder,conditioning,attention,decoder,postnet,losses,normalise,reduction,teacher_forcing,aligner,text2mel \
    --input "${SOURCE:-$DUMP/.stats}" --output "$EXP/text2mel/checkpoints" -- train_predictor
stage 6 "$S/6" --input "$S/5" --output "$EXP/gta" -- toolkit gta --exp "$EXP" --data "$DUMP"
stage 7 "$S/7" "${CONF[@]}" --sections seed,vocoder,crops,mel2wav --input "$S/6" --output "$EXP/mel2wav" -- train mel2wav
stage 8 "$S/8" "${CONF[@]}" --sections synthesis --input "$S/7" --output "$EXP/speech" -- speak
stage 9 "$S/9" --input "$S/8" --output "$EXP/report.html" -- toolkit evaluate --exp "$EXP" --data "$DUMP"

if [ "$stop_stage" -eq 9 ]; then
    printf 'Done in %s. Listen: %s\n' "$(duration $SECONDS)" "$WORK/$EXP/report.html"
    printf "Next: %s -m toolkit say %s%s --model %s --out hello.wav\n" "${TOOLKIT_PLUGINS:+TOOLKIT_PLUGINS=$(quoted "$TOOLKIT_PLUGINS") }$(quoted "$TOOLKIT_PYTHON")" "$(quoted "$(example_text)")" "$(first_voice "$EXP")" "$(quoted "$WORK/$EXP")"
fi
exit
}
