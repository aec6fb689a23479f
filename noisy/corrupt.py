"""Labels of which a share is wrong, for each kind of noise, ratio and seed.

Reads noisy/data/packed/train.csv, whose labels are the true ones, and noisy/data/clean/; writes noisy/data/labels/, a
list of files and classes for each cell and seed. Example: python -m noisy.corrupt
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.corrupt")

import numpy as np

from mutual.base.errors import InputError, run
from mutual.base.store import folder_beside, read_array
from mutual.clusters.pseudo_labels import PseudoLabels, write_pseudo_labels
from mutual.images.index import read_index, relabel
from mutual.noise.cells import of_each
from mutual.noise.corruption import corrupted, second_label
from mutual.noise.params import read_noisy_params
from noisy import CLEAN, LABELS, PACKED
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "noisy.corrupt").parse_args()
    params, index = read_noisy_params(), read_index(PACKED / "train.csv")
    true = relabel(index.pid)
    shape = (len(index), int(true.max()) + 1)
    logits = np.array(read_array(CLEAN / "mirrored.npy", dtype=np.float32, shape=shape, finite=True))
    if not params.pattern_mirrored:
        logits += read_array(CLEAN / "logits.npy", dtype=np.float32, shape=shape, finite=True)
    second = second_label(logits, true)
    with folder_beside(LABELS) as folder:
        for cell, seed, place in of_each(params.noises, params.ratios, params.seeds):
            labels = true if cell.kind is None else corrupted(true, cell.kind, cell.ratio, second, seed)
            if missing := int(shape[1] - len(np.unique(labels))):
                expected = "a lower ratio, with which every identity keeps an image"
                raise InputError(
                    f"{place}: {missing} identities have no image that is labelled so: expected {expected}"
                )
            write_pseudo_labels(folder / place.with_suffix(".csv"), index.file, PseudoLabels(labels))
    return str(LABELS)


if __name__ == "__main__":
    run(main)
