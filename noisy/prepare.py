"""Image folders -> packed uint8 arrays and their index, of the set whose labels are made wrong.

Reads the folder that root names; writes noisy/data/packed/{train,query,gallery}.{npy,csv}, and prints what was read.
Example: python -m noisy.prepare
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.prepare")

import sys

from mutual.base.errors import InputError, run
from mutual.base.params import NONE
from mutual.base.store import ask_room, folder_beside
from mutual.datasets.checks import check_matches, table, untested
from mutual.datasets.layouts import read_dataset
from mutual.datasets.packing import pack
from mutual.images.index import write_index
from mutual.machine.processes import cpus
from mutual.noise.cameras import cameras_from_names
from mutual.noise.params import place, read_noisy_params
from noisy import PACKED
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "noisy.prepare").parse_args()
    params = read_noisy_params()
    root = place(params.root)
    splits, remarks, _ = read_dataset(root, params.layout)
    if params.camera_names != NONE:
        splits = {split: cameras_from_names(root, index, params.camera_names) for split, index in splits.items()}
    if reason := untested(root, splits["query"], splits["gallery"]):
        raise InputError(f"{root}: {reason}: expected a labelled test set")
    if (splits["train"].pid < 0).any() or len(set(splits["train"].pid)) < 2:
        raise InputError(f"{root}: expected training images of two identities at least, all of them labelled")
    print(f"{params.layout}, {root}", table(splits, params.layout), *remarks, sep="\n", flush=True)
    for warning in check_matches(root, splits["query"], splits["gallery"]):
        print(f"warning: {warning}", file=sys.stderr)
    height, width = params.image_height, params.image_width
    ask_room(PACKED, 2 * 3 * height * width * sum(map(len, splits.values())))  # there, and in DVC's cache
    with folder_beside(PACKED) as beside:
        for split, index in splits.items():
            pack(root, index.file, beside / f"{split}.npy", height, width, cpus(), split)
            write_index(beside / f"{split}.csv", index)
    return str(PACKED)


if __name__ == "__main__":
    run(main)
