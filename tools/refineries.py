"""The table of methods x wrong labels: what each comes to, and whether it puts labels right.

Reads experiments/refineries.yaml, or the file named, and those of its experiments that the current commit has; writes
metrics/tables/refineries.md and prints it. `make refineries` runs the experiments first.
Example: python -m tools.refineries
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.refineries")

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.store import read_text, write_text
from stages.door import arguments
from tools.ablation import planned_of
from tools.states import SUMMARY, content, exp_show, flat, unusable
from tools.table import TABLES

PLAN = Path("experiments/refineries.yaml")
KEYS = ("last_mAP", "last_rank1", "last_ari", "last_believed_ari")
REFERENCE = "mmt"  # what the others are compared with, seeds by seeds
Figures = Mapping[str, float]


def main() -> None:
    """Of what has run; what is missing is told on stderr."""
    parser = arguments(__doc__, "tools.refineries")
    parser.add_argument("file", nargs="?", type=Path, default=PLAN, help=f"(default: {PLAN})")
    plan = planned_of(path := parser.parse_args().file, read_text(path))
    if not plan.methods:
        raise InputError(f"{path}: expected methods and noise")
    states = [state for state in flat(exp_show(), {"experiment"}) if not unusable(state)]
    found = {str(state["name"]): content(state, "metrics", SUMMARY) for state in states}
    firsts = [first for first, _ in plan.seeds]
    names = [f"{method}-{noise}-{first}" for method in plan.methods for noise in plan.noise for first in firsts]
    if missing := [name for name in names if name not in found]:
        print(f"not there yet: {len(missing)} of {len(names)}: {', '.join(missing)}", file=sys.stderr)
    if len(missing) == len(names):
        raise InputError(f"{path}: none of its experiments has run: make refineries")
    text = table(list(plan.methods), list(plan.noise), firsts, found)
    write_text(TABLES / "refineries.md", text)
    print(text)


def table(methods: Sequence[str], noises: Sequence[str], seeds: Sequence[int], found: Mapping[str, Figures]) -> str:
    """Markdown: for each kind of noise a table, a method a line, mean and sample standard deviation over the seeds."""
    head = ["method", "last mAP", "rank-1", f"mAP less that of {REFERENCE}, by seeds", "ARI given", "ARI believed"]
    parts = []
    for noise in noises:
        rows = [head, ["---", *["---:"] * (len(head) - 1)]]
        for method in methods:
            runs = {seed: found[name] for seed in seeds if (name := f"{method}-{noise}-{seed}") in found}
            others = {seed: found.get(f"{REFERENCE}-{noise}-{seed}", {}) for seed in runs}
            less = [
                f"{100 * (runs[seed]['last_mAP'] - others[seed]['last_mAP']):+.1f}" if others[seed] else "?"
                for seed in runs
            ]
            told = [spread([run.get(key) for run in runs.values()]) for key in KEYS]
            rows.append([method, *told[:2], "" if method == REFERENCE else ", ".join(less), *told[2:]])
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        parts.append("\n".join([f"**{noise}**", "", *lines]))
    return "\n\n".join(parts) + "\n"


def spread(values: Sequence[float | None]) -> str:
    """``67.5 ± 1.2`` of shares, in percent; of one value no spread, of a missing one nothing."""
    known = [100 * value for value in values if value is not None]
    if not known or len(known) < len(values):
        return ""
    return f"{statistics.mean(known):.1f}" + (f" ± {statistics.stdev(known):.1f}" if len(known) > 1 else "")


if __name__ == "__main__":
    run(main)
