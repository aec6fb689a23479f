"""What exported files cost: agreement with the project's own features, mAP, images a second, size, as a table.

Reads files that tools.export made, the peers that they name and the target's test images in data/packed, without such
its training images; prints the table, and nothing is written. Without test labels there is no mAP.
Example: python -m tools.measure fp32.onnx fp16.onnx int8.onnx
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.measure")

from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.export.comparison import Test, as_markdown, measured
from mutual.export.extractor import read_extractor
from mutual.export.running import origin
from mutual.images.index import read_images, read_index, read_split
from mutual.networks.peers import check_size
from stages import PACKED
from stages.door import arguments

MOST = 256  # images of which speed and agreement are measured
TARGET = PACKED / "target"


def main() -> None:
    """All files must be made of the same peers."""
    parser = arguments(__doc__, "tools.measure")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="an exported file: .onnx or .pt2")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="numbers of threads (1 2)")
    args = parser.parse_args()
    if min(args.threads) < 1:
        raise InputError(f"--threads: expected 1 or more, got {min(args.threads)}")
    peers = origin(args.files[0])
    for file in args.files[1:]:
        if origin(file) != peers:
            raise InputError(f"{file}: expected a file made of {', '.join(map(str, peers))} as {args.files[0]} is")
    test = labelled_test()
    images = read_images(TARGET / "train.npy") if test is None else test["query"][0]
    check_size(peers[0], {"target": images})
    rows = measured(read_extractor(peers), args.files, images[:MOST], test, args.threads)
    print(as_markdown(rows, args.threads))


def labelled_test() -> Test | None:
    """Query and gallery; None where there are none, or nobody knows who is on them."""
    indices = [read_index(TARGET / f"{split}.csv") for split in ("query", "gallery")]
    if not all(len(index) and (index.pid >= 0).any() for index in indices):
        return None
    return {split: read_split(TARGET, split) for split in ("query", "gallery")}


if __name__ == "__main__":
    run(main)
