"""Train the networks of one method on the labels of every cell, with every seed.

Reads noisy/data/packed/, of its index the file names alone, noisy/data/labels/, and `weights` where that names a file;
writes noisy/data/runs/<method>/: of network 1, after each epoch that is tested, the features of the test images and
what it takes each training image for. Several runs at a time, one thread each, on a CPU.
Example: python -m noisy.train --method core
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.train")

from mutual.base.errors import InputError, run
from mutual.base.store import folder_beside
from mutual.machine.device import deterministic_device
from mutual.machine.jobs import all_done
from mutual.noise.cells import of_each
from mutual.noise.fitting import Plan
from mutual.noise.params import read_noisy_params, start_of
from mutual.noise.runs import Form, Job, refinery_values, unaugmented
from mutual.refineries.contract import find_refinery
from noisy import LABELS, PACKED, RUNS
from stages.door import arguments


def main() -> str:
    """``--method core``: one of those in noisy/params.yaml."""
    parser = arguments(__doc__, "noisy.train")
    parser.add_argument("--method", required=True)
    method: str = parser.parse_args().method
    params = read_noisy_params()
    chosen = params.methods.chosen()
    if method not in chosen:
        raise InputError(f"--method: expected {', '.join(chosen)}, as noisy/params.yaml has them, got {method!r}")
    device, keys = deterministic_device(), find_refinery(method).keys
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
    with folder_beside(RUNS / method) as folder:
        jobs = [
            Job(
                PACKED,
                (LABELS / place).with_suffix(".csv"),
                folder / place,
                method,
                refinery_values(keys, chosen[method], cell.ratio),
                chosen[method]["networks"],
                form,
                plan if cell.kind != "pattern" or params.pattern_augmented else unaugmented(plan),
                params.test_epochs,
                seed,
                device.type,
            )
            for cell, seed, place in of_each(params.noises, params.ratios, params.seeds)
        ]
        all_done(Job.do, jobs, f"{method}: training", device)
    return str(RUNS / method)


if __name__ == "__main__":
    run(main)
