"""Image folders -> packed uint8 arrays and their index.

Reads the folder that source_root or target_root names; writes data/packed/<set>/{train,query,gallery}.{npy,csv}, and
prints what was read and what was left out. Of a source_root none all of these are empty. Where it was stopped or killed
it goes on from what lies beside them.
Example: python -m stages.prepare --set target
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.prepare")

import os
import sys
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import NONE, read_params
from mutual.base.store import ask_room, folder_beside
from mutual.datasets.checks import check_counts, check_source, check_target, table
from mutual.datasets.fingerprint import fingerprint
from mutual.datasets.half_packed import half_packed
from mutual.datasets.layouts import read_dataset
from mutual.datasets.own import numbered
from mutual.datasets.packing import pack
from mutual.datasets.places import image_folders
from mutual.datasets.tracked import unseen
from mutual.images.index import write_index
from mutual.machine.making import made_of
from mutual.machine.processes import cpus
from stages import PACKED
from stages.door import arguments


def main() -> str:
    parser = arguments(__doc__, "stages.prepare")
    parser.add_argument("--set", choices=["source", "target"], required=True, help="which of the two data sets")
    packed = PACKED / parser.parse_args().set
    params = read_params()
    if packed.name == "source":
        name, layout, folder = params.source.name, params.source.layout, params.source.root
    else:
        name, layout, folder = params.target.name, params.target.layout, params.target.root
    root = Path(os.path.expanduser(folder))  # unlike expanduser() of a path this never raises
    fault = next(unseen(Path(folder), image_folders(layout), f"{packed.name}_root"), None)
    if fault and "DVC_STAGE" in os.environ:  # by hand, the stage reads it all the same
        raise InputError(fault)
    if packed.name == "source" and folder == NONE:
        splits, _, further = numbered({}, [])
        warnings: list[str] = []
        print("source: none: the networks start from weights, or are given", flush=True)
    else:
        splits, remarks, further = read_dataset(root, layout)
        # of the target no pid is trained on
        warnings = check_source(root, splits) if packed.name == "source" else check_target(root, splits)
        warnings = check_counts(name, splits, layout) + warnings
        print(f"{packed.name}: {name} ({layout}, {root})", table(splits, layout), *remarks, sep="\n", flush=True)
    for warning in [fault, *warnings] if fault else warnings:
        print(f"warning: {warning}", file=sys.stderr)

    pixels = 3 * params.size.image_height * params.size.image_width
    ask_room(packed, 2 * pixels * sum(map(len, splits.values())))  # there, and in DVC's cache
    size, seconds = (params.size.image_height, params.size.image_width), params.running.checkpoint_seconds
    made = made_of({"size": size, "images": [fingerprint(root, index.file) for index in splits.values()]}, [])
    with folder_beside(packed) as beside, half_packed(packed, made) as half:
        for split, index in splits.items():
            pack(root, index.file, half / f"{split}.npy", *size, cpus(), f"{name} {split}", seconds)
        for split, index in splits.items():
            os.replace(half / f"{split}.npy", beside / f"{split}.npy")
            write_index(beside / f"{split}.csv", index, further.get(split))
    return str(packed)


if __name__ == "__main__":
    run(main)
