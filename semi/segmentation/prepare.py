"""Pictures and masks -> packed uint8 arrays.

Reads the data set that `layout` and `root` name; writes semi/segmentation/data/packed/: train/, test/ and, where the
set has both, validation/, of each the pixels, the masks and a table of sizes, and masked.json, the number of training
pictures with a mask. Example: python -m semi.segmentation.prepare
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.prepare")

from mutual.base.errors import InputError, run
from mutual.base.store import folder_beside, write_json
from mutual.few.reading import place
from mutual.machine.processes import cpus
from mutual.segmentation.packing import pack_pictures
from mutual.segmentation.params import FILE, read_segmentation_params
from mutual.segmentation.sources import label_table, read_sources
from semi.segmentation import PACKED
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.segmentation.prepare").parse_args()
    params = read_segmentation_params()
    root = place(FILE, params.root)
    sources, table = read_sources(root, params.layout), label_table(params.layout, params.classes)
    # where a published set has one further split, that is what everybody tests with
    test, validation = (sources.test, sources.validation) if sources.test else (sources.validation, [])
    if not test:
        raise InputError(f"{root}: no pictures to test with: expected some for test, or for validation")
    splits = {"train": [*sources.train, *sources.unlabelled], "validation": validation, "test": test}
    print(", ".join(f"{split}: {len(entries)} pictures" for split, entries in splits.items()), flush=True)
    print(*sources.remarks, sep="\n", end="\n" if sources.remarks else "", flush=True)
    with folder_beside(PACKED) as beside:
        for split, entries in splits.items():
            if entries:
                counts = pack_pictures(entries, beside / split, table, params.shrink, cpus(), split)
                shares = 100 * counts[: params.classes] / max(1, counts[: params.classes].sum())
                print(f"{split}: % of each class: {' '.join(f'{share:.1f}' for share in shares)}", flush=True)
        write_json(beside / "masked.json", len(sources.train))
    return str(PACKED)


if __name__ == "__main__":
    run(main)
