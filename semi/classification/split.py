"""Which training images are labelled, which are not, and which are kept for validation: for each seed.

Reads semi/classification/data/packed/train.csv; writes semi/classification/data/splits/seed<seed>.csv, with the labels
of the labelled images alone. Example: python -m semi.classification.split
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.split")

from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.classification.packed import PARTS, read_classes, read_labels, write_split
from mutual.classification.params import read_classification_params
from mutual.classification.splits import divided
from semi.classification import PACKED, SPLITS
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.classification.split").parse_args()
    params = read_classification_params()
    classes, labels = read_classes(PACKED), read_labels(PACKED, "train")
    with folder_beside(SPLITS) as beside:
        for seed in params.seeds:
            parts = divided(labels, classes, params.labels_per_class, params.validation_per_class, seed)
            write_split(beside / f"seed{seed}.csv", parts, labels)
    counts = ", ".join(f"{len(getattr(parts, part))} {part}" for part in PARTS)
    print(f"{len(params.seeds)} seeds, {counts}", flush=True)
    return str(SPLITS)


if __name__ == "__main__":
    run(main)
