#!/usr/bin/env bash
# A file of experiments/ on a cluster with SLURM, an experiment for each task of an array, from the project's top:
#
#     sbatch --array=1-30 experiments/slurm.sh experiments/ablation.yaml
#
# Each task works in a clone of its own beside the project, <project>.tasks/N, with the project's cache of artefacts, at
# the commit that is checked out when it starts; what it comes to is an experiment of the project, as if it had run there.
# A task that is preempted or runs out of time stops where it is and is queued again: it goes on from there.
# See docs/machines.md.
#
#SBATCH --job-name=mmt
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%A_%a.out
set -euo pipefail
set -m # what runs in the background is a group of processes, which can be sent a signal as one

top=${SLURM_SUBMIT_DIR:?this is for sbatch} number=${SLURM_ARRAY_TASK_ID:?expected sbatch --array=1-N}
place=$top.tasks/$number
export PATH=$top/.venv/bin:$PATH OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}

stopped() {
  trap '' TERM
  for group in $(jobs -p); do
    # DVC and its stages: a stage writes down where it stands
    kill -INT -- "-$group" || true
    wait "$group" || true
  done
  scontrol requeue "$SLURM_JOB_ID"
  exit
}
trap stopped TERM

cd "$top"
wanted=$(python -m tools.ablation "${1:?expected a file of experiments/}" --experiment "$number")
mapfile -t lines <<<"$wanted"
name=${lines[0]} settings=()
for line in "${lines[@]:1}"; do settings+=(-S "$line"); done
there=$(dvc exp list --name-only)
if grep --quiet --line-regexp --fixed-strings "$name" <<<"$there"; then
  echo "$name: the project has it"
  exit
fi
if [ ! -e "$place/.git/cloned" ]; then
  rm -rf "$place"
  git clone --quiet "$top" "$place"
  touch "$place/.git/cloned"
fi
cd "$place"
# where an earlier run of this task was killed: nobody else works here
rm -rf .dvc/tmp
git fetch --quiet origin
git checkout --quiet --force --detach "$(git -C "$top" rev-parse HEAD)"
cache=$(cd "$top" && dvc cache dir)
dvc config --local cache.dir "$cache"

dvc exp run --name "$name" "${settings[@]}" &
wait $!
dvc exp push --no-cache --quiet origin "$name"
cd "$top"
rm -rf "$place"
