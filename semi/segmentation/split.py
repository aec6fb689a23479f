"""Which training pictures are labelled, and which are not: for each seed.

Reads semi/segmentation/data/packed/; writes semi/segmentation/data/splits/seed<seed>.csv. A class that no labelled
picture shows is told: no network can learn it. Example: python -m semi.segmentation.split
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.split")

import sys

from mutual.base.errors import run
from mutual.base.store import folder_beside, read_json
from mutual.segmentation.params import read_segmentation_params
from mutual.segmentation.ragged import Pictures
from mutual.segmentation.splits import divided, missing_classes, write_split
from semi.segmentation import PACKED, SPLITS, TRAIN
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.segmentation.split").parse_args()
    params, pictures = read_segmentation_params(), Pictures(TRAIN)
    masked: int = read_json(PACKED / "masked.json", int)
    with folder_beside(SPLITS) as beside:
        for seed in params.seeds:
            parts = divided(masked, len(pictures), params.labelled_images, seed)
            missing = missing_classes([pictures.mask(row) for row in parts.labelled.tolist()], params.classes)
            if missing:
                classes = ", ".join(map(str, missing))
                print(f"warning: seed {seed}: no labelled picture shows class {classes}", file=sys.stderr)
            write_split(beside / f"seed{seed}.csv", parts)
    print(f"{len(params.seeds)} seeds, {len(parts.labelled)} labelled, {len(parts.unlabelled)} unlabelled", flush=True)
    return str(SPLITS)


if __name__ == "__main__":
    run(main)
