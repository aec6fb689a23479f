"""Features of all pictures below a folder, at any depth.

Reads the pictures of FOLDER and the peers; writes OUT/features.npy, (N, D) float32 of length 1, OUT/images.csv with the
file of each row, and OUT/left_out.csv with the pictures that cannot be read and why. Of several peers the features are
averaged and made of length 1 again. A run that was stopped goes on where it was. Pictures that cannot be read are left
out, with a count; --strict refuses them. Exit code 0 where features are written, 1 where something is wrong.
Example: python -m tools.embed crops/ features/ --peers models/r05/peer1.safetensors
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.embed")

import sys
from pathlib import Path

from mutual.base.errors import run
from mutual.datasets.folders import shown
from mutual.machine.processes import cpus
from mutual.search.listing import listed
from stages.door import arguments
from tools.chosen import add_peers, peers
from tools.watched import check_unwatched


def main() -> str:
    """The folder that the command line names."""
    parser = arguments(__doc__, "tools.embed")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="its pictures are looked at")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to")
    parser.add_argument("--strict", action="store_true", help="refuse a folder with a picture that cannot be read")
    add_peers(parser)
    args = parser.parse_args()
    # not above: processes that decode import this file again, and do without PyTorch
    from mutual.machine.device import deterministic_device
    from mutual.search.embedding import WRITTEN, embed_folder
    from mutual.search.teachers import read_teachers

    check_unwatched("OUT", args.out, [args.out / name for name in WRITTEN])
    listing = listed(args.folder)
    teachers = read_teachers(peers(args), deterministic_device())
    for line in listing.remarks:
        print(line)
    embedded = embed_folder(listing, args.out, teachers, cpus(), strict=args.strict)
    for line in embedded.remarks(args.out):
        print(line, file=sys.stderr)
    print(f"{len(embedded.files):,} images of {shown(args.folder)} -> {shown(args.out)}: {embedded.features.shape}")
    return shown(args.out)


if __name__ == "__main__":
    run(main)
