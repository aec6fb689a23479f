"""Test what learned from true labels.

Reads semi/segmentation/data/packed/ and data/runs/<run>/; writes semi/segmentation/data/measured/<run>.csv.
Example: python -m semi.segmentation.test labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.test")

from mutual.base.errors import run
from mutual.base.progress import Progress
from mutual.base.store import write_text
from mutual.few.phases import ALL, LABELLED
from mutual.few.results import rows_text
from mutual.machine.device import deterministic_device
from mutual.segmentation.figures import Measured
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import read_segmentation_params
from semi.segmentation import MEASURED, RUNS, TEST, VALIDATION
from stages.door import arguments


def main() -> str:
    """``labelled`` or ``all``."""
    parser = arguments(__doc__, "semi.segmentation.test")
    parser.add_argument("run", choices=[LABELLED, ALL])
    name: str = parser.parse_args().run
    params, device = read_segmentation_params(), deterministic_device()
    forms = forms_of(params.network, params.classes)
    jobs = [
        Measured(
            VALIDATION,
            TEST,
            RUNS / name / f"seed{seed}" / f"network{network}",
            form,
            params.padded,
            {"run": name, "seed": seed, "network": network},
            device.type,
        )
        for seed in params.seeds
        for network, form in enumerate(forms, start=1)
    ]
    rows = [job.do() for job in Progress(jobs, desc=f"{name}: testing", unit="network")]
    write_text(MEASURED / f"{name}.csv", rows_text(rows))
    return str(MEASURED / f"{name}.csv")


if __name__ == "__main__":
    run(main)
