"""Train both networks on, on the labelled pictures and on those that were labelled for them, weighted by the method.

Reads semi/segmentation/data/packed/, of the masks those of the labelled pictures alone, data/splits/,
data/labels/<phase>/ and data/runs/<after>/; writes semi/segmentation/data/runs/<phase>/.
Example: python -m semi.segmentation.train dmt-1 --method dmt --after labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.train")

from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.few.methods import chosen
from mutual.few.phases import check_after, phase_of
from mutual.few.weighting import weighting_of
from mutual.machine.device import deterministic_device
from mutual.machine.jobs import all_done
from mutual.segmentation.fitting import Plan
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import FILE, read_segmentation_params
from mutual.segmentation.runs import Mutual
from mutual.segmentation.views import cut_of
from semi.segmentation import LABELS, RUNS, SPLITS, TRAIN
from stages.door import arguments


def main() -> str:
    """A phase's name and method, and the run that it goes on from."""
    parser = arguments(__doc__, "semi.segmentation.train")
    parser.add_argument("phase")
    parser.add_argument("--method", required=True)
    parser.add_argument("--after", required=True)
    args = parser.parse_args()
    params, device, phase = read_segmentation_params(), deterministic_device(), phase_of(args.phase)
    check_after(phase, args.after)
    method = chosen(args.method, params.methods, FILE)
    plan = Plan(
        params.phase_epochs,
        params.batch_size,
        params.labelled_in_batch,
        params.lr,
        params.power,
        params.momentum,
        params.weight_decay,
    )
    cut = cut_of(params.views)
    forms = forms_of(params.network, params.classes)
    with folder_beside(RUNS / phase.name) as folder:
        jobs = [
            Mutual(
                TRAIN,
                SPLITS / f"seed{seed}.csv",
                RUNS / args.after / f"seed{seed}" / f"network{network}",
                LABELS / phase.name / f"seed{seed}" / f"network{network}",
                folder / f"seed{seed}" / f"network{network}",
                phase.name,
                form,
                plan,
                cut,
                weighting_of(method),
                seed,
                network,
                device.type,
            )
            for seed in params.seeds
            for network, form in enumerate(forms, start=1)
        ]
        all_done(Mutual.do, jobs, f"{phase.name}: training", device)
    return str(RUNS / phase.name)


if __name__ == "__main__":
    run(main)
