"""Train both networks on true labels: on the few there are, or on all of them, what more labels would bring.

Reads semi/segmentation/data/packed/, of the masks those of the labelled pictures alone unless --labels all is given,
data/splits/, and `weights` where they name files; writes semi/segmentation/data/runs/<labels>/.
Example: python -m semi.segmentation.supervise --labels labelled
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.supervise")

from mutual.base.errors import run
from mutual.base.store import folder_beside, read_json
from mutual.few.phases import ALL, LABELLED
from mutual.machine.device import deterministic_device
from mutual.machine.jobs import all_done
from mutual.segmentation.fitting import Plan
from mutual.segmentation.form import forms_of
from mutual.segmentation.params import read_segmentation_params
from mutual.segmentation.runs import Supervised
from mutual.segmentation.views import cut_of
from semi.segmentation import PACKED, RUNS, SPLITS, TRAIN
from stages.door import arguments


def main() -> str:
    """``--labels labelled`` or ``all``."""
    parser = arguments(__doc__, "semi.segmentation.supervise")
    parser.add_argument("--labels", required=True, choices=[LABELLED, ALL])
    name: str = parser.parse_args().labels
    params, device = read_segmentation_params(), deterministic_device()
    masked: int = read_json(PACKED / "masked.json", int)
    plan = Plan(
        params.labelled_epochs if name == LABELLED else params.all_epochs,
        params.batch_size,
        0,
        params.labelled_lr,
        params.power,
        params.momentum,
        params.weight_decay,
    )
    cut = cut_of(params.views)
    forms = forms_of(params.network, params.classes)
    with folder_beside(RUNS / name) as folder:
        jobs = [
            Supervised(
                TRAIN,
                masked,
                SPLITS / f"seed{seed}.csv",
                folder / f"seed{seed}" / f"network{network}",
                name,
                form,
                plan,
                cut,
                params.labelled_share,
                seed,
                network,
                device.type,
            )
            for seed in params.seeds
            for network, form in enumerate(forms, start=1)
        ]
        all_done(Supervised.do, jobs, f"{name}: training", device)
    return str(RUNS / name)


if __name__ == "__main__":
    run(main)
