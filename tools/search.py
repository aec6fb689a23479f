"""Rank the pictures of a folder by how near they are to pictures of somebody.

Reads the pictures below GALLERY, the query pictures IMAGE and the peers; writes OUT/found.csv (query, rank, file,
distance), OUT/sheet.png and OUT/sheet.html, which needs no other file. Features and index of the gallery are kept in
GALLERY/.mutual-search, below data/index where DVC watches GALLERY, or in the folder that --index names, and made anew
when its pictures or the peers have changed.
A distance is the squared Euclidean distance of features of length 1: 0 to 4. A query that lies in the gallery does not
count among what it finds, unless --itself. Exit code 0, or 1 where something is wrong.
Example: python -m tools.search --gallery crops/ somebody.jpg --peers models/r05/peer1.safetensors
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.search")

import sys
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.datasets.folders import shown
from mutual.machine.processes import cpus
from mutual.search.listing import listed
from stages.door import arguments
from tools.chosen import add_peers, index_place, peers
from tools.watched import check_unwatched

MOST = 1000  # images to a query: a page of these is large enough


def main() -> str:
    """The queries that the command line names, in the gallery that it names."""
    parser = arguments(__doc__, "tools.search")
    parser.add_argument("queries", nargs="+", type=Path, metavar="IMAGE", help="pictures of whom to look for")
    parser.add_argument("--gallery", type=Path, required=True, metavar="GALLERY", help="the folder that is searched")
    parser.add_argument("--top", type=int, default=10, metavar="K", help=f"images to a query, 1 to {MOST} (10)")
    parser.add_argument(
        "--out", type=Path, default=Path("data/found"), metavar="OUT", help="the folder to write to (data/found)"
    )
    parser.add_argument("--index", type=Path, metavar="FOLDER", help="where features and index of the gallery are kept")
    parser.add_argument("--itself", action="store_true", help="let a query of the gallery find itself")
    add_peers(parser)
    args = parser.parse_args()
    if not 1 <= args.top <= MOST:
        raise InputError(f"--top: expected 1 to {MOST}, found {args.top}")
    # not above: processes that decode import this file again, and do without PyTorch
    from mutual.machine.device import deterministic_device
    from mutual.search.gallery import opened
    from mutual.search.ranking import ranked, read_queries
    from mutual.search.teachers import read_teachers
    from mutual.search.writing import WRITTEN, write_found

    check_unwatched("--out", args.out, [args.out / name for name in WRITTEN])
    files, listing = peers(args), listed(args.gallery)
    place = index_place(args)
    teachers = read_teachers(files, deterministic_device())
    images = read_queries(args.queries, teachers)  # before hours of work on the gallery
    gallery = opened(listing, place, teachers, cpus())
    for line in [*listing.remarks, *gallery.embedded.remarks(place)]:
        print(line, file=sys.stderr)
    found = ranked(gallery, args.queries, images, teachers, args.top, itself=args.itself)
    print(gallery.told)
    write_found(args.out, gallery.listing.folder, found, gallery.lines(files))
    print(f"queries: {len(found):,}, images: {len(gallery.embedded.files):,} -> {shown(args.out)}")
    return shown(args.out)


if __name__ == "__main__":
    run(main)
