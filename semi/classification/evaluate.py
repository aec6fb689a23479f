"""Test a phase, and its pseudo labels against the true ones.

Reads semi/classification/data/packed/, data/splits/, data/runs/<phase>/ and data/labels/<phase>/; writes
semi/classification/data/measured/<phase>.csv. Example: python -m semi.classification.evaluate dmt-1
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.evaluate")

from mutual.base.errors import run
from mutual.base.store import write_text
from mutual.classification.figures import accuracies, beliefs
from mutual.classification.params import read_classification_params
from mutual.classification.runs import Form
from mutual.few.phases import phase_of
from mutual.few.results import rows_text
from mutual.machine.device import deterministic_device
from semi.classification import LABELS, MEASURED, PACKED, RUNS, SPLITS
from stages.door import arguments


def main() -> str:
    """A phase's name."""
    parser = arguments(__doc__, "semi.classification.evaluate")
    parser.add_argument("phase")
    phase = phase_of(parser.parse_args().phase)
    params, device = read_classification_params(), deterministic_device()
    form, rows = Form(params.depth, params.width), []
    for seed in params.seeds:
        split, run_, labels = SPLITS / f"seed{seed}.csv", RUNS / phase.name / f"seed{seed}", LABELS / phase.name
        figures = accuracies(PACKED, split, run_, form, device)
        figures |= beliefs(PACKED, split, run_, labels / f"seed{seed}")
        rows.append({"run": phase.name, "seed": seed, "network": 1} | figures)
    write_text(MEASURED / f"{phase.name}.csv", rows_text(rows))
    return str(MEASURED / f"{phase.name}.csv")


if __name__ == "__main__":
    run(main)
