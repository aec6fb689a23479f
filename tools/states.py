"""Commits and experiments, as DVC knows them: their parameters, their figures, and whether the two belong together."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mutual.base.documents import parse_yaml
from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, unfolded
from mutual.experiments.comparison import FIGURES, Experiment, needed, without_copies
from tools.watched import LOCKS

SUMMARY = "metrics/summary.json"
WORKSPACE = "workspace"  # as `dvc exp show` calls it


# --- which are asked for ---------------------------------------------------------------------------------------------


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The options that name commits and experiments, the same for all tools."""
    parser.add_argument("revs", nargs="*", metavar="REV", help="a commit, or an experiment's name")
    parser.add_argument("--experiments", action="store_true", help="also the experiments of the commits named")
    parser.add_argument("--all-commits", action="store_true", help="all commits and all experiments")


def chosen(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The states that are asked for: without a name the workspace and the experiments of the current commit."""
    if args.all_commits:
        return list(flat(exp_show("--all-commits"), {WORKSPACE, "commit", "experiment"}))
    if args.revs:
        named = exp_show(*(part for rev in args.revs for part in ("--rev", rev)))
        return list(flat(named, {"commit", "experiment"} if args.experiments else {"commit"}))
    return list(flat(exp_show(), {WORKSPACE, "experiment"}))


def usable(states: list[dict[str, Any]]) -> list[Experiment]:
    """Those that can be compared, each once; what is left out is said on stderr.

    Raises :class:`InputError` where nothing is left.
    """
    experiments = []
    for state in states:
        if fault := unusable(state):
            print(f"left out: {title(state)}: {fault}", file=sys.stderr)
        else:
            experiments.append(Experiment(title(state), parameters(state), figures(state)))
    experiments, others = without_copies(experiments)
    for name in (other.name for other in others):
        print(f"left out: {name}: another has the same parameters and seeds, and other figures", file=sys.stderr)
    if not experiments:
        raise InputError("nothing to compare: expected experiments that ran to the end")
    return experiments


# --- what DVC knows --------------------------------------------------------------------------------------------------


def exp_show(*options: str) -> list[dict[str, Any]]:
    """The workspace and the commits, each with its experiments."""
    found: list[dict[str, Any]] = json.loads(dvc("exp", "show", "--json", *options))
    return found


def dvc(*arguments: str) -> str:
    """What a command of DVC prints; :class:`InputError` with its message when it fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"dvc {' '.join(arguments[:2])}: {' '.join(done.stderr.split()).removeprefix('ERROR: ')}")
    return done.stdout


def flat(baselines: list[dict[str, Any]], kinds: set[str]) -> Iterator[dict[str, Any]]:
    """Of the workspace, the commits and the experiments those kinds that are asked for, with their ``fate``."""
    for baseline in baselines:
        if (WORKSPACE if baseline["rev"] == WORKSPACE else "commit") in kinds:
            yield baseline | {"fate": "success"}
        for experiment in (baseline["experiments"] or []) if "experiment" in kinds else []:
            fate = (experiment["executor"] or {}).get("state", "success")
            yield from (state | {"fate": fate} for state in experiment["revs"])


def title(state: Mapping[str, Any]) -> str:
    """The name of a branch, tag or experiment; else the commit."""
    name: str = state["name"] or (state["rev"] if state["rev"] == WORKSPACE else state["rev"][:7])
    return name


def parameters(state: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml, with dots in the keys of one method, and the number of rounds."""
    values = unfolded(content(state, "params", str(PARAMS_FILE)))
    return values | {"rounds": content(state, "metrics", SUMMARY).get("last_round")}


def figures(state: Mapping[str, Any]) -> dict[str, float]:
    """The accuracies of metrics/summary.json."""
    return {key: value for key, value in content(state, "metrics", SUMMARY).items() if key in FIGURES}


def content(state: Mapping[str, Any], kind: str, file: str) -> dict[str, Any]:
    """A file as DVC read it; empty where it could not."""
    found: dict[str, Any] = (state["data"] or {}).get(kind, {}).get(file, {}).get("data") or {}
    return found


# --- what can be compared --------------------------------------------------------------------------------------------


def unusable(state: Mapping[str, Any]) -> str:
    """Why a state has no place in the table; empty if it has one."""
    if state["fate"] != "success":  # its metrics are still those of the commit that it starts from
        return str(state["fate"])
    if state["error"]:
        return str(state["error"]["msg"])
    # without labelled test images there is a last round, and no accuracy
    if set(figures(state)) not in (set(), set(FIGURES)) or "last_round" not in content(state, "metrics", SUMMARY):
        return f"no results in {SUMMARY}"
    params = parameters(state)
    if missing := [key for key in needed(params) if key not in params]:
        return f"parameters of another version, without {', '.join(missing)}"
    changed = changed_since(params, lock(state["rev"]))
    return f"its results were made with other values of {', '.join(changed)}" if changed else ""


def lock(rev: str) -> dict[str, Any]:
    """The stages of all dvc.lock files of a commit or of the workspace; none where there are none."""
    stages: dict[str, Any] = {}
    for path in LOCKS:
        if rev == WORKSPACE:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        else:
            text = subprocess.run(["git", "show", f"{rev}:{path}"], capture_output=True, text=True, check=False).stdout
        stages |= (parse_yaml(text) or {}).get("stages", {})
    return stages


def changed_since(params: Mapping[str, Any], stages: Mapping[str, Any]) -> list[str]:
    """The parameters that are others than those with which the stages of the last round, and before all, were run."""
    before = ["synthesize", "prepare@source", "prepare@target", *(f"pretrain@{seed}" for seed in params["seeds"])]
    last = [f"{stage}@r{params['rounds']:02d}" for stage in ("extract", "cluster", "train", "evaluate")]
    used = [stages.get(name, {}).get("params", {}).get(str(PARAMS_FILE), {}) for name in [*before, *last, "direct"]]
    return sorted({key for values in used for key in values if values[key] != params.get(key)})
