"""Test what learned from true labels.

Reads semi/classification/data/packed/, data/splits/ and data/runs/<run>/; writes
semi/classification/data/measured/<run>.csv. Example: python -m semi.classification.test labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.test")

from mutual.base.errors import run
from mutual.base.store import write_text
from mutual.classification.figures import accuracies
from mutual.classification.params import read_classification_params
from mutual.classification.runs import Form
from mutual.few.phases import ALL, LABELLED
from mutual.few.results import rows_text
from mutual.machine.device import deterministic_device
from semi.classification import MEASURED, PACKED, RUNS, SPLITS
from stages.door import arguments


def main() -> str:
    """``labelled`` or ``all``."""
    parser = arguments(__doc__, "semi.classification.test")
    parser.add_argument("run", choices=[LABELLED, ALL])
    name: str = parser.parse_args().run
    params, device = read_classification_params(), deterministic_device()
    form = Form(params.depth, params.width)
    rows = [
        {"run": name, "seed": seed, "network": 1}
        | accuracies(PACKED, SPLITS / f"seed{seed}.csv", RUNS / name / f"seed{seed}", form, device)
        for seed in params.seeds
    ]
    write_text(MEASURED / f"{name}.csv", rows_text(rows))
    return str(MEASURED / f"{name}.csv")


if __name__ == "__main__":
    run(main)
