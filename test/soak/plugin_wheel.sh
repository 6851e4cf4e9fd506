#!/usr/bin/env bash
# The example of a plugin, from wheels in an empty environment: it is found, keeps its contracts, trains, resumes and speaks.
#
#   test/soak/plugin_wheel.sh FOLDER      FOLDER: for the environment and what it makes, some 2 GB; must not exist
#
# TOOLKIT_TORCH: which torch is installed, default torch==2.13.0. Results stand in test/soak/README.md.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
folder=${1:?usage: plugin_wheel.sh FOLDER}
mkdir -- "$folder"
cd -- "$folder"
unset PYTHONPATH TOOLKIT_PLUGINS
export OMP_NUM_THREADS=1 HOME="$PWD/home"
mkdir -- home

python3 -m venv env
env/bin/python -m pip install -q "${TOOLKIT_TORCH:-torch==2.13.0}" setuptools wheel
cp -r -- "$root/egs_docs/plugin_example" source
(cd -- "$root" && git archive --prefix=toolkit-source/ HEAD) | tar -x
env/bin/python -m pip wheel -q --no-deps --no-build-isolation --wheel-dir wheels ./toolkit-source ./source
env/bin/python -m pip install -q wheels/*.whl
rm -rf -- source toolkit-source/toolkit
PATH="$PWD/env/bin:$PATH"

cat >tiny.yaml <<'YAML'
extends: toolkit-source/recipes/ljspeech/conf/mini.yaml
attention: sharp
vocoder: frames
tokenizer: phone
tokenizer_conf: {g2p: spelling}
reduction: 8
encoder_conf: {embedding: 8, channels: 8, lstm: 8, layers: 1}
decoder_conf: {prenet: [8, 8], lstm: 8}
postnet_conf: {channels: 8, layers: 2}
text2mel: {batch: {global: 4, micro: 4}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}
mel2wav: {batch: {global: 2, micro: 2}, max_steps: 2, save_every: 2, validate_every: 2, threads: 1}
crops: {frames: 4, input: natural}
synthesis: {stop_threshold: 0.0}
YAML

echo "toolkit of $(python -c 'import toolkit; print(toolkit.__file__)')"
toolkit check-plugin example
toolkit prepare --corpus toolkit-source/recipes/ljspeech/mini --out data
toolkit extract --config tiny.yaml --data data --out features --nj 2
toolkit split --config tiny.yaml --data features --out dump
cp -- features/features.json dump/
toolkit tokens --config tiny.yaml --text dump/train/text --out dump/tokens.txt
toolkit stats --data dump/train --out dump/stats.npz
for task in text2mel mel2wav; do
    toolkit train "$task" --config tiny.yaml --data dump --exp exp
    toolkit train "$task" --config tiny.yaml --data dump --exp exp --set "$task.max_steps=4"
    [ "$(wc -l <"exp/$task/metrics.jsonl")" -ge 2 ]
done
status=0
toolkit say seven --model exp --out seven.wav || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] # 3: this voice of four updates did not find its end
[ -s seven.wav ]
echo "passed"
