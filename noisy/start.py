"""Where networks start that know nothing of ImageNet: a backbone that learned from other drawn people, truly labelled.

Reads noisy/data/others/; writes noisy/data/start.safetensors.
Example: python -m noisy.start --method hard_labels
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.start")

from safetensors.torch import save

from mutual.base.errors import run
from mutual.base.params import NONE
from mutual.base.progress import Progress
from mutual.base.store import write_bytes
from mutual.datasets.layouts import read_dataset
from mutual.datasets.packing import decode
from mutual.images.index import relabel
from mutual.machine.device import deterministic_device
from mutual.noise.fitting import Plan, fit
from mutual.noise.params import read_noisy_params
from mutual.noise.runs import Form, refinery_values
from mutual.refineries.contract import find_refinery
from noisy import OTHERS, START
from stages.door import arguments


def main() -> str:
    """``--method hard_labels``: the refinery by which the network learns."""
    parser = arguments(__doc__, "noisy.start")
    parser.add_argument("--method", required=True)
    method = find_refinery(parser.parse_args().method)
    params, device = read_noisy_params(), deterministic_device()
    index = read_dataset(OTHERS, "dukemtmc").splits["train"]
    images = decode((str(OTHERS / file) for file in index.file), params.image_height, params.image_width)
    labels = relabel(index.pid)
    form = Form(params.backbone, params.stem, params.last_stride, params.dropout, NONE)
    plan = Plan(
        params.start_epochs,
        params.batch_size,
        params.start_lr,
        params.head_lr,
        params.start_milestones,
        params.momentum,
        params.weight_decay,
        params.padding,
        params.flip,
    )
    network = form.drawn(int(labels.max()) + 1, params.drawn_seed, 1)
    refinery = method.of(refinery_values(method.keys, {}, 0.0))
    epochs = fit(refinery, [network], images, labels, plan, params.drawn_seed, device)
    for loss in (bar := Progress(epochs, desc="learning from other people", total=plan.epochs, unit="epoch")):
        bar.note(loss=f"{loss:.3f}")
    backbone = {name: tensor.cpu().contiguous() for name, tensor in network.backbone.state_dict().items()}
    write_bytes(START, save(backbone))
    return str(START)


if __name__ == "__main__":
    run(main)
