"""Label the unlabelled images with the networks of the phase before, and choose those that the next phase uses.

Reads semi/classification/data/packed/, of it training images and names of classes alone, data/splits/
and data/runs/<after>/; writes semi/classification/data/labels/<phase>/.
Example: python -m semi.classification.label dmt-1 --after labelled --share 0.2
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.label")

from mutual.base.errors import run
from mutual.base.progress import Progress
from mutual.base.store import folder_beside
from mutual.classification.params import read_classification_params
from mutual.classification.runs import Form, Labelling
from mutual.few.phases import check_after, phase_of, share_of
from mutual.machine.device import deterministic_device
from semi.classification import LABELS, PACKED, RUNS, SPLITS
from stages.door import arguments


def main() -> str:
    """A phase's name, the run that labels, and the share of the images that is used."""
    parser = arguments(__doc__, "semi.classification.label")
    parser.add_argument("phase")
    parser.add_argument("--after", required=True)
    parser.add_argument("--share", required=True, type=share_of)
    args = parser.parse_args()
    params, device, phase = read_classification_params(), deterministic_device(), phase_of(args.phase)
    check_after(phase, args.after)
    form = Form(params.depth, params.width)
    with folder_beside(LABELS / phase.name) as folder:
        jobs = [
            Labelling(
                PACKED,
                SPLITS / f"seed{seed}.csv",
                RUNS / args.after / f"seed{seed}",
                folder / f"seed{seed}",
                form,
                params.selection,
                args.share,
                device.type,
            )
            for seed in params.seeds
        ]
        for job in Progress(jobs, desc=f"{phase.name}: labelling", unit="run"):
            job.do()
    return str(LABELS / phase.name)


if __name__ == "__main__":
    run(main)
