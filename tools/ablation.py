"""The ablation: queue each row with each pair of seeds, run the queue, print the table.

Reads experiments/ablation.yaml, or the file named; writes experiments and, as tools.table does, metrics/tables/. An
experiment that the current commit has is not run again, so that an ablation that was stopped goes on; `dvc exp remove
NAME` makes it run anew. --experiment N, for an array of tasks (experiments/slurm.sh), prints name and settings of the
Nth, a line each, and runs nothing. Example: python -m tools.ablation --jobs 2
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.ablation")

import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mutual.base.documents import DocumentError, parse_yaml
from mutual.base.errors import InputError, run
from mutual.base.store import read_text
from stages.door import arguments
from tools.states import dvc, exp_show, flat, usable
from tools.table import write_tables

ABLATION = Path("experiments/ablation.yaml")
POLL_SECONDS = 15
IDLE_POLLS = 8  # a worker takes a while to start, and when busy does not always answer


def main() -> None:
    """Returns when all have run; :class:`InputError` names what did not."""
    parser = arguments(__doc__, "tools.ablation")
    parser.add_argument("--jobs", type=int, default=1, help="experiments at a time (default: 1)")
    parser.add_argument("--experiment", type=int, metavar="N", help="print the Nth, from 1 on, and run nothing")
    parser.add_argument("file", nargs="?", type=Path, default=ABLATION, help=f"(default: {ABLATION})")
    args = parser.parse_args()
    planned = experiments(args.file, read_text(args.file))
    if args.experiment is not None:
        print(*numbered(args.file, planned, args.experiment), sep="\n")
        return
    status = dvc("queue", "status")
    # without a worker, what DVC still calls running was killed
    known = finished() | in_queue(status, "Queued", *(["Running"] if has_worker(status) else []))
    for name, settings in planned.items():
        if name not in known:
            dvc("exp", "run", "--queue", "--name", name, *(part for each in settings for part in ("-S", each)))
            print(f"queued: {name}: {' '.join(settings)}", flush=True)
    if planned.keys() - finished():
        start_queue(args.jobs)
        print("the queue runs in the background: `dvc queue stop --kill` ends it", flush=True)
        wait_for(planned.keys())
    done = finished()
    missing = [name for name in planned if name not in done]
    if len(missing) < len(planned):
        write_tables(usable([state for state in flat(exp_show(), {"experiment"}) if state["name"] in planned]))
    if missing:
        raise InputError(f"not finished: {', '.join(missing)}: see dvc queue logs {missing[0]}")


Rows = dict[str, list[Annotated[str, Field(pattern=r"^\w+(\.\w+)?=")]]]


class Plan(BaseModel):
    """What a file of experiments/ holds: rows, or methods and kinds of noise, each of which meets each."""

    model_config = ConfigDict(extra="forbid")

    seeds: list[tuple[int, int]]
    rows: Rows = {}
    methods: Rows = {}
    noise: Rows = {}

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if bool(self.rows) == bool(self.methods) or bool(self.methods) != bool(self.noise):
            raise ValueError("rows, or methods and noise")
        return self


def planned_of(path: Path, text: str) -> Plan:
    """The file's text, checked. Raises :class:`InputError` that names the file."""
    try:
        return Plan.model_validate(parse_yaml(text))
    except (DocumentError, ValidationError) as error:
        rows = "`rows`, each a list of settings such as alpha=0, or `methods` and `noise` of such rows"
        expected = f"`seeds`, a list of pairs of numbers, and {rows}"
        raise InputError(f"{path}: expected {expected}: {' '.join(str(error).split())}") from None


def experiments(path: Path, text: str) -> dict[str, list[str]]:
    """Name of each experiment -> its settings, pair by pair, so that the first numbers of all rows come early."""
    plan = planned_of(path, text)
    rows = plan.rows or {
        f"{method}-{noise}": [*chosen, *given]
        for noise, given in plan.noise.items()
        for method, chosen in plan.methods.items()
    }
    planned = {}
    for first, second in plan.seeds:
        for row, settings in rows.items():
            chosen = {"seeds": "[{first},{second}]", "seed": "{first}"} | dict(each.split("=", 1) for each in settings)
            planned[f"{row}-{first}"] = [filled(f"{key}={value}", first, second) for key, value in chosen.items()]
    return planned


def numbered(path: Path, planned: dict[str, list[str]], number: int) -> list[str]:
    """Name and settings of the experiment with this number, from 1 on. Raises :class:`InputError` where none has it."""
    if not 1 <= number <= len(planned):
        raise InputError(f"{path}: it has experiments 1 to {len(planned)}, not {number}")
    name = list(planned)[number - 1]
    return [name, *planned[name]]


def filled(setting: str, first: int, second: int) -> str:
    """The setting with the pair's seeds."""
    return setting.replace("{first}", str(first)).replace("{second}", str(second))


def start_queue(jobs: int) -> None:
    """Start the queue's workers. They keep what they inherit: a pipe from here would only end with them."""
    command = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", str(jobs)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        raise InputError("dvc queue start: failed; what is queued stays")


def finished() -> set[str]:
    """The experiments that the current commit has."""
    return set(dvc("exp", "list", "--name-only").split())


def in_queue(status: str, *states: str) -> set[str]:
    """The experiments in these states, of what ``dvc queue status`` prints: task, name, created, status."""
    lines = [line.split() for line in status.splitlines()]
    return {words[1] for words in lines if words and words[-1] in states}


def has_worker(status: str) -> bool:
    """Whether a worker is running an experiment."""
    return "Worker status: 0 active" not in status


def wait_for(names: Collection[str]) -> None:
    """Return when none of them is queued or running, or no worker has been at it for a while; print what changes."""
    before, idle = "", 0
    while idle < IDLE_POLLS:
        time.sleep(POLL_SECONDS)
        status = dvc("queue", "status")
        left = in_queue(status, "Queued", "Running").intersection(names)
        running = sorted(in_queue(status, "Running"))
        now = f"{len(names) - len(left)} of {len(names)} are through, running: {', '.join(running) or 'none'}"
        if now != before:
            print(now, flush=True)
        if not left:
            return
        before, idle = now, 0 if has_worker(status) else idle + 1


if __name__ == "__main__":
    run(main)
