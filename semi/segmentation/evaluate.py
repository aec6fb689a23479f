"""Test a phase, and its pseudo labels against the true ones.

Reads semi/segmentation/data/packed/, data/splits/, data/runs/<phase>/, data/runs/<after>/ and data/labels/<phase>/;
writes semi/segmentation/data/measured/<phase>.csv.
Example: python -m semi.segmentation.evaluate dmt-1 --method dmt --after labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.evaluate")

from mutual.base.errors import run
from mutual.base.progress import Progress
from mutual.base.store import read_json, write_text
from mutual.few.methods import chosen
from mutual.few.phases import phase_of
from mutual.few.results import rows_text
from mutual.few.weighting import weighting_of
from mutual.machine.device import deterministic_device
from mutual.segmentation.figures import Beliefs, Measured
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import FILE, read_segmentation_params
from semi.segmentation import LABELS, MEASURED, PACKED, RUNS, SPLITS, TEST, TRAIN, VALIDATION
from stages.door import arguments


def main() -> str:
    """A phase's name and its method, whose weights are measured, and the run that it went on from."""
    parser = arguments(__doc__, "semi.segmentation.evaluate")
    parser.add_argument("phase")
    parser.add_argument("--method", required=True)
    parser.add_argument("--after", required=True)
    args = parser.parse_args()
    params, device, phase = read_segmentation_params(), deterministic_device(), phase_of(args.phase)
    method = chosen(args.method, params.methods, FILE)
    masked: int = read_json(PACKED / "masked.json", int)
    forms = forms_of(params.network, params.classes)
    jobs = [
        Measured(
            VALIDATION,
            TEST,
            RUNS / phase.name / f"seed{seed}" / f"network{network}",
            form,
            params.padded,
            {"run": phase.name, "seed": seed, "network": network},
            device.type,
            Beliefs(
                TRAIN,
                masked,
                SPLITS / f"seed{seed}.csv",
                RUNS / args.after / f"seed{seed}" / f"network{network}",
                LABELS / phase.name / f"seed{seed}" / f"network{network}",
                weighting_of(method),
            ),
        )
        for seed in params.seeds
        for network, form in enumerate(forms, start=1)
    ]
    rows = [job.do() for job in Progress(jobs, desc=f"{phase.name}: testing", unit="network")]
    write_text(MEASURED / f"{phase.name}.csv", rows_text(rows))
    return str(MEASURED / f"{phase.name}.csv")


if __name__ == "__main__":
    run(main)
