"""A task of experiments/slurm.sh on the tiny demo, with a stand-in for SLURM: preempted, killed, gone on, and compared.

The scheduler's signal comes to the script alone while a round is trained, then a kill to all that it started; queued
again, the task comes to its end. What the project then has must be what the same experiment comes to undisturbed.
Writes to a temporary folder alone; the exit code is 1 where anything is another. Example: python -m tests.slurm_run
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from difflib import unified_diff
from functools import partial
from pathlib import Path

from tests.meeting import newer, sbatch, waited_for
from tests.tiny_demo import ROOT, TINY, commit, dvc, sh, stages_run, tiny_demo

SETTINGS = ["method=hard_labels", "iterations=40", "checkpoint_seconds=0.01"]
PLAN = "seeds: [[1, 2]]\nrows:\n  plain:\n" + "".join(f"  - {setting}\n" for setting in SETTINGS)


def main() -> None:
    """Print what happens, and what it came to."""
    with tempfile.TemporaryDirectory() as name:
        top, tools, plan = Path(name) / "project", Path(name) / "tools", Path(name) / "plan.yaml"
        top.mkdir()
        tools.mkdir()
        tiny_demo(top, TINY)
        dvc(top, "repro")
        commit(top)
        plan.write_text(PLAN, encoding="utf-8")
        # SLURM, too, runs a copy of the script
        command = str(shutil.copy(ROOT / "experiments/slurm.sh", tools / "script")), str(plan)
        task, output = top.with_name("project.tasks") / "1", tools / "output"
        told = partial(output.read_text, errors="replace")
        for number in (signal.SIGTERM, signal.SIGKILL):
            since = time.time_ns()
            run = sbatch(top, tools, 1, *command)
            waited_for(partial(newer, task, "train-*", since), told)
            run.send_signal(number) if number == signal.SIGTERM else kill_all(run.pid)
            print(f"{number.name}: exit code {run.wait(60)}", flush=True)
        run = sbatch(top, tools, 1, *command)
        ended = run.wait(600)
        went_on, left = told().count("goes on from iteration"), task.exists()
        print(f"asked of scontrol: {(tools / 'asked').read_text(encoding='utf-8').strip()}")
        print(f"queued again: exit code {ended}, went on from a checkpoint {went_on} times, clone left: {left}")
        dvc(top, "exp", "apply", "plain-1")
        again = stages_run(dvc(top, "repro"))
        theirs = (top / "dvc.lock").read_text(encoding="utf-8")
        shutil.rmtree(top / ".dvc/cache/runs")
        # DVC writes what it changes in params.yaml its own way, and its text is an input: of both from the same
        assert sh(top, "git", "checkout", "--quiet", "--force", ".").returncode == 0
        change = [part for setting in ["seeds=[1,2]", "seed=1", *SETTINGS] for part in ("-S", setting)]
        dvc(top, "exp", "run", "--force", "--name", "undisturbed", *change)
        ours = (top / "dvc.lock").read_text(encoding="utf-8")
        print("".join(unified_diff(theirs.splitlines(True), ours.splitlines(True), "gone on", "undisturbed")), end="")
        print(f"applied: stages that run again: {again or 'none'}; undisturbed it comes to the same: {ours == theirs}")
        sys.exit(ended != 0 or went_on < 2 or left or bool(again) or ours != theirs)


def kill_all(session: int) -> None:
    """As when the machine goes: the task and all that it started, whatever groups they are in."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(int(place.name)) == session:
                os.kill(int(place.name), signal.SIGKILL)


if __name__ == "__main__":
    main()
