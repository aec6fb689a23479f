"""What a network that learned from the true labels makes of the training images: by it pattern noise is made.

Reads noisy/data/packed/train.{npy,csv} and `weights` where that names a file; writes noisy/data/clean/logits.npy and
mirrored.npy, float32 rows of the images and of their mirror images.
Example: python -m noisy.clean --method hard_labels
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.clean")

import numpy as np

from mutual.base.errors import run
from mutual.base.progress import Progress
from mutual.base.store import folder_beside, write_array
from mutual.images.index import read_split, relabel
from mutual.machine.device import deterministic_device
from mutual.noise.fitting import Plan, fit
from mutual.noise.network import logits_of
from mutual.noise.params import read_noisy_params, start_of
from mutual.noise.runs import Form, refinery_values
from mutual.refineries.contract import find_refinery
from noisy import CLEAN, PACKED
from stages.door import arguments


def main() -> str:
    """``--method hard_labels``: the refinery by which the network learns; from the first seed."""
    parser = arguments(__doc__, "noisy.clean")
    parser.add_argument("--method", required=True)
    method = find_refinery(parser.parse_args().method)
    params, device = read_noisy_params(), deterministic_device()
    images, index = read_split(PACKED, "train")
    labels = relabel(index.pid)
    form = Form(params.backbone, params.stem, params.last_stride, params.dropout, start_of(params.weights))
    plan = Plan(
        params.epochs,
        params.batch_size,
        params.backbone_lr,
        params.head_lr,
        params.milestones,
        params.momentum,
        params.weight_decay,
        params.padding,
        params.flip,
    )
    network = form.drawn(int(labels.max()) + 1, params.seeds[0], 1)
    refinery = method.of(refinery_values(method.keys, {}, 0.0))
    epochs = fit(refinery, [network], images, labels, plan, params.seeds[0], device)
    for loss in (bar := Progress(epochs, desc="learning from the true labels", total=plan.epochs, unit="epoch")):
        bar.note(loss=f"{loss:.3f}")
    with folder_beside(CLEAN) as folder:
        for name in ("logits", "mirrored"):
            found = logits_of(network, images, device, mirrored=name == "mirrored")
            write_array(folder / f"{name}.npy", np.ascontiguousarray(found))
    return str(CLEAN)


if __name__ == "__main__":
    run(main)
