"""Train a fresh network on the labelled images and on those that the phase before labelled, weighted by the method.

Reads semi/classification/data/packed/, of it training images and names of classes alone, data/splits/
and data/labels/<phase>/; writes semi/classification/data/runs/<phase>/.
Example: python -m semi.classification.train dmt-1 --method dmt
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.train")

from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.classification.fitting import Dynamics, Plan, Views
from mutual.classification.params import FILE, read_classification_params
from mutual.classification.runs import Form, Mutual
from mutual.few.methods import chosen
from mutual.few.phases import phase_of
from mutual.few.weighting import weighting_of
from mutual.machine.device import deterministic_device
from mutual.machine.jobs import all_done
from semi.classification import LABELS, PACKED, RUNS, SPLITS
from stages.door import arguments


def main() -> str:
    """A phase's name and its method, one of those in semi/classification/params.yaml."""
    parser = arguments(__doc__, "semi.classification.train")
    parser.add_argument("phase")
    parser.add_argument("--method", required=True)
    args = parser.parse_args()
    params, device, phase = read_classification_params(), deterministic_device(), phase_of(args.phase)
    method = chosen(args.method, params.methods, FILE)
    plan = Plan(
        params.phase_epochs,
        params.batch_size,
        params.labelled_in_batch,
        params.lr,
        params.momentum,
        params.weight_decay,
        params.average_kept,
        params.mixup,
    )
    views = Views(params.augment, params.padding, params.flip)
    form = Form(params.depth, params.width)
    with folder_beside(RUNS / phase.name) as folder:
        jobs = [
            Mutual(
                PACKED,
                SPLITS / f"seed{seed}.csv",
                LABELS / phase.name / f"seed{seed}",
                folder / f"seed{seed}",
                phase.name,
                form,
                plan,
                views,
                Dynamics(weighting_of(method), method.ramp, params.first_full),
                seed,
                device.type,
            )
            for seed in params.seeds
        ]
        all_done(Mutual.do, jobs, f"{phase.name}: training", device)
    return str(RUNS / phase.name)


if __name__ == "__main__":
    run(main)
