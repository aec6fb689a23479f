"""Which peers a tool looks with, and where it keeps an index: what the user names, else what the workspace has."""

import argparse
import hashlib
import os
import re
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, ROUNDS_FILE, read_params, read_rounds
from mutual.datasets.folders import shown
from mutual.search.listing import INDEX_FOLDER
from stages import MODELS
from tools.watched import belonging, check_unwatched

INDICES = Path("data/index")  # of galleries that DVC watches; git and DVC leave it alone
NAME = 40  # characters of a gallery's name in there


def add_peers(parser: argparse.ArgumentParser) -> None:
    """The option that names peers, the same for all tools."""
    told = "peers, such as models/r05/peer1.safetensors: of several the mean feature (those of the last round)"
    parser.add_argument("--peers", nargs="+", type=Path, metavar="FILE", help=told)


def peers(args: argparse.Namespace) -> list[Path]:
    """The files that are named; else the last round's of params.yaml and rounds.yaml, which must be there."""
    if args.peers:
        return list(args.peers)
    if not (PARAMS_FILE.exists() and ROUNDS_FILE.exists()):
        raise InputError(f"--peers: expected peers, since there is no {PARAMS_FILE} that says which are the last ones")
    from mutual.networks.peers import peer_path  # needs PyTorch, which a process that decodes does without

    last = list(read_rounds())[-1]
    paths = [peer_path(MODELS / last, seed) for seed in read_params().peers.seeds]
    for path in paths:
        if not path.exists():
            raise InputError(
                f"{path}: not found: expected the peers of the last round (dvc repro), or others by --peers"
            )
    return paths


def index_place(args: argparse.Namespace) -> Path:
    """The folder that is named for the gallery's index, else a hidden one in the gallery.

    DVC sees a file in a data set of the pipeline as a change, and would run all of it again: the index of a gallery in
    there is kept in the project, which is said in a line. Raises :class:`InputError` where the folder that is named
    belongs to what DVC watches.
    """
    if args.index:
        from mutual.search.embedding import WRITTEN  # needs PyTorch, as above

        check_unwatched("--index", args.index, [args.index / name for name in WRITTEN])
        return Path(args.index)
    place = Path(args.gallery) / INDEX_FOLDER
    words = belonging([place])
    if not words:
        return place
    kept = INDICES / name_of(args.gallery)
    print(f"index of {shown(args.gallery)}: kept in {shown(kept)}, since DVC watches {words}")
    return kept


def name_of(gallery: Path) -> str:
    """A name for the gallery's index, the same whenever and wherever the same folder is named, links followed."""
    whole = gallery.resolve()
    words = re.sub(r"[^\w-]+", "-", whole.name, flags=re.ASCII).strip("-")[:NAME]
    return f"{words or 'gallery'}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"
