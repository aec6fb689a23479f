"""A data set -> packed uint8 arrays and the true labels of all images.

Reads the data set that `layout` and `root` name; writes semi/classification/data/packed/{train,test}.{npy,csv} and
classes.json, and prints what was read. Example: python -m semi.classification.prepare
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.classification.prepare")

from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.classification.packed import write_packed
from mutual.classification.params import FILE, read_classification_params
from mutual.classification.sources import read_source
from mutual.few.reading import place
from semi.classification import PACKED
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.classification.prepare").parse_args()
    params = read_classification_params()
    source = read_source(
        params.layout,
        place(FILE, params.root),
        params.image_height,
        params.image_width,
        params.data_seed,
    )
    for split, part in (("train", source.train), ("test", source.test)):
        print(f"{split}: {len(part.labels)} images of {len(source.classes)} classes", flush=True)
    print(*source.remarks, sep="\n", end="\n" if source.remarks else "", flush=True)
    with folder_beside(PACKED) as beside:
        write_packed(beside, source)
    return str(PACKED)


if __name__ == "__main__":
    run(main)
