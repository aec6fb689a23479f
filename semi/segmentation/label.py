"""Label the unlabelled pictures with the networks of the phase before, and keep what they are sure of.

Reads semi/segmentation/data/packed/, of the training pictures the pixels alone, data/splits/ and data/runs/<after>/;
writes semi/segmentation/data/labels/<phase>/.
Example: python -m semi.segmentation.label dmt-1 --method dmt --after labelled --share 0.2
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.label")

from mutual.base.errors import run
from mutual.base.progress import Progress
from mutual.base.store import folder_beside
from mutual.few.methods import chosen
from mutual.few.phases import check_after, phase_of, share_of
from mutual.machine.device import deterministic_device
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import FILE, NETWORKS, read_segmentation_params
from mutual.segmentation.runs import Labelling
from semi.segmentation import LABELS, RUNS, SPLITS, TRAIN
from stages.door import arguments


def main() -> str:
    """A phase's name and method, the run that labels, and the share of the pixels that is kept."""
    parser = arguments(__doc__, "semi.segmentation.label")
    parser.add_argument("phase")
    parser.add_argument("--method", required=True)
    parser.add_argument("--after", required=True)
    parser.add_argument("--share", required=True, type=share_of)
    args = parser.parse_args()
    params, device, phase = read_segmentation_params(), deterministic_device(), phase_of(args.phase)
    check_after(phase, args.after)
    method = chosen(args.method, params.methods, FILE)
    forms = forms_of(params.network, params.classes)
    with folder_beside(LABELS / phase.name) as folder:
        jobs = [
            Labelling(
                TRAIN,
                SPLITS / f"seed{seed}.csv",
                RUNS / args.after / f"seed{seed}" / f"network{by}",
                folder / f"seed{seed}" / f"network{learner}",
                forms[by - 1],
                params.padded,
                args.share,
                params.sampled,
                params.selection == "global",
                device.type,
            )
            for seed in params.seeds
            for learner in range(1, NETWORKS + 1)
            for by in [learner if method.labelled_by == "itself" else NETWORKS + 1 - learner]
        ]
        for job in Progress(jobs, desc=f"{phase.name}: labelling", unit="network"):
            job.do()
    return str(LABELS / phase.name)


if __name__ == "__main__":
    run(main)
