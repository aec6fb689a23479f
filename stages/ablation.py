"""The ablation of experiments/ablation.yaml: queue each row with each pair of seeds, run the queue, print the table.

An experiment that the current commit has is not run again, so that an ablation that was stopped goes on; ``dvc exp
remove NAME`` makes it run anew.
"""

import argparse
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.reid.errors import InputError, run
from stages.reid.store import existing
from stages.table import dvc, exp_show, flat, write_tables

ABLATION = Path("experiments/ablation.yaml")
POLL_SECONDS = 15
IDLE_POLLS = 8  # a worker takes a while to start


def main() -> None:
    parser = argparse.ArgumentParser(description="Run experiments/ablation.yaml and print its table.")
    parser.add_argument("--jobs", type=int, default=1, help="experiments at a time (default: 1)")
    jobs = parser.parse_args().jobs
    planned = experiments(existing(ABLATION).read_text(encoding="utf-8"))
    known = finished() | waiting(dvc("queue", "status"))
    for name, settings in planned.items():
        if name not in known:
            dvc("exp", "run", "--queue", "--name", name, *(part for each in settings for part in ("-S", each)))
            print(f"queued: {name}: {' '.join(settings)}", flush=True)
    if planned.keys() - finished():
        dvc("queue", "start", "--jobs", str(jobs))
        print("the queue runs in the background: `dvc queue stop --kill` ends it", flush=True)
        wait_for(planned.keys())
    missing = [name for name in planned if name not in finished()]
    write_tables([state for state in flat(exp_show(), {"experiment"}) if state["name"] in planned])
    if missing:
        raise InputError(f"not finished: {', '.join(missing)}: see dvc queue logs {missing[0]}")


class Ablation(BaseModel):
    """What experiments/ablation.yaml holds."""

    model_config = ConfigDict(extra="forbid")

    seeds: list[tuple[int, int]]
    rows: dict[str, list[Annotated[str, Field(pattern=r"^\w+=")]]]


def experiments(text: str) -> dict[str, list[str]]:
    """Name of each experiment -> its settings, pair by pair, so that the first numbers of all rows come early."""
    try:
        ablation = Ablation.model_validate(YAML(typ="safe", pure=True).load(text))
    except (YAMLError, ValidationError) as error:
        expected = "`seeds`, a list of pairs of numbers, and `rows`, each a list of settings such as alpha=0"
        raise InputError(f"{ABLATION}: expected {expected}: {' '.join(str(error).split())}") from None
    planned = {}
    for first, second in ablation.seeds:
        for row, settings in ablation.rows.items():
            chosen = {"seeds": "[{first},{second}]", "seed": "{first}"} | dict(each.split("=", 1) for each in settings)
            planned[f"{row}-{first}"] = [filled(f"{key}={value}", first, second) for key, value in chosen.items()]
    return planned


def filled(setting: str, first: int, second: int) -> str:
    """The setting with the pair's seeds."""
    return setting.replace("{first}", str(first)).replace("{second}", str(second))


def finished() -> set[str]:
    """The experiments that the current commit has."""
    return set(dvc("exp", "list", "--name-only").split())


def waiting(status: str) -> set[str]:
    """The experiments that are queued or running, of what ``dvc queue status`` prints: task, name, created, status."""
    lines = [line.split() for line in status.splitlines()]
    return {words[1] for words in lines if words and words[-1] in ("Queued", "Running")}


def wait_for(names: Collection[str]) -> None:
    """Return when none of them is queued or running, or no worker has been at it for a while; print what changes."""
    before, idle = "", 0
    while idle < IDLE_POLLS:
        time.sleep(POLL_SECONDS)
        status = dvc("queue", "status")
        left = waiting(status).intersection(names)
        running = sorted(line.split()[1] for line in status.splitlines() if line.endswith("Running"))
        now = f"{len(names) - len(left)} of {len(names)} are through, running: {', '.join(running) or 'none'}"
        if now != before:
            print(now, flush=True)
        if not left:
            return
        before, idle = now, idle + 1 if "Worker status: 0 active" in status else 0


if __name__ == "__main__":
    run(main)
