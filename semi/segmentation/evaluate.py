"""Test a phase, and its pseudo labels against the true ones.

Reads semi/segmentation/data/packed/, data/splits/, data/runs/<phase>/, data/runs/<after>/ and data/labels/<phase>/;
writes semi/segmentation/data/measured/<phase>.csv.
Example: python -m semi.segmentation.evaluate dmt-1 --method dmt --after labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.evaluate")

from mutual.base.errors import run
from mutual.base.store import read_json, write_text
from mutual.few.jobs import all_done
from mutual.few.methods import chosen
from mutual.few.phases import phase_of
from mutual.few.results import rows_text
from mutual.machine.device import deterministic_device
from mutual.segmentation.figures import Believed, Tested
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
    padded = params.padded
    forms = forms_of(params.network, params.classes)
    which = [
        (seed, network, form, f"seed{seed}/network{network}")
        for seed in params.seeds
        for network, form in enumerate(forms, start=1)
    ]
    tested = [
        Tested(
            VALIDATION,
            TEST,
            RUNS / phase.name / place,
            form,
            padded,
            {"run": phase.name, "seed": seed, "network": network},
            device.type,
        )
        for seed, network, form, place in which
    ]
    believed = [
        Believed(
            TRAIN,
            masked,
            SPLITS / f"seed{seed}.csv",
            RUNS / args.after / place,
            LABELS / phase.name / place,
            method.weighting(),
            form,
            padded,
            device.type,
        )
        for seed, _, form, place in which
    ]
    figures = all_done(Tested.do, tested, f"{phase.name}: testing", device)
    beliefs = all_done(Believed.do, believed, f"{phase.name}: its labels", device)
    rows = [of | what for of, what in zip(figures, beliefs, strict=True)]
    write_text(MEASURED / f"{phase.name}.csv", rows_text(rows))
    return str(MEASURED / f"{phase.name}.csv")


if __name__ == "__main__":
    run(main)
