"""Train networks on true labels: on the few there are, or on all of them, what more labels would bring.

Reads semi/classification/data/packed/ and data/splits/, with --labels all also the true labels of the unlabelled
images; writes semi/classification/data/runs/<labels>/.
Example: python -m semi.classification.supervise --labels labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.supervise")

from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.classification.fitting import Plan, Views
from mutual.classification.params import read_classification_params
from mutual.classification.runs import Form, Supervised
from mutual.few.phases import ALL, LABELLED
from mutual.machine.device import deterministic_device
from mutual.machine.jobs import all_done
from semi.classification import PACKED, RUNS, SPLITS
from stages.door import arguments


def main() -> str:
    """``--labels labelled`` or ``all``."""
    parser = arguments(__doc__, "semi.classification.supervise")
    parser.add_argument("--labels", required=True, choices=[LABELLED, ALL])
    name: str = parser.parse_args().labels
    params, device = read_classification_params(), deterministic_device()
    plan = Plan(
        params.labelled_epochs if name == LABELLED else params.all_epochs,
        params.batch_size,
        0,
        params.labelled_lr,
        params.momentum,
        params.weight_decay,
        params.average_kept,
        params.mixup,
    )
    views = Views(params.augment, params.padding, params.flip)
    form = Form(params.depth, params.width)
    with folder_beside(RUNS / name) as folder:
        jobs = [
            Supervised(
                PACKED, SPLITS / f"seed{seed}.csv", folder / f"seed{seed}", name, form, plan, views, seed, device.type
            )
            for seed in params.seeds
        ]
        all_done(Supervised.do, jobs, f"{name}: training", device)
    return str(RUNS / name)


if __name__ == "__main__":
    run(main)
