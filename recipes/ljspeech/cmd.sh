# shellcheck shell=bash
# Sourced by run.sh: what stands before a command, to run it elsewhere. Empty: on this machine, now.
# On a Slurm cluster, for example:
#   DATA_CMD=(srun --cpus-per-task=16 --time=4:00:00)
#   TRAIN_CMD=(srun --gres=gpu:1 --cpus-per-task=8 --time=3-00:00:00)
# shellcheck disable=SC2034 # read by run.sh
DATA_CMD=()
# shellcheck disable=SC2034
TRAIN_CMD=()
