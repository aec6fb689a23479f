"""Which peers a tool looks with, and where it keeps an index: what the user names, else what the workspace has."""

import argparse
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, ROUNDS_FILE, read_params, read_rounds
from mutual.datasets.folders import shown
from mutual.search.listing import INDEX_FOLDER
from stages import MODELS


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

    DVC sees every file of a data set outside the project: there an index would make it run the whole pipeline again.
    Raises :class:`InputError` for a gallery in such a set, unless a folder is named.
    """
    if args.index:
        return Path(args.index)
    gallery = args.gallery.resolve()
    if PARAMS_FILE.exists() and ROUNDS_FILE.exists() and not gallery.is_relative_to(Path.cwd()):
        params = read_params()
        for key, root in (("source_root", params.source.root), ("target_root", params.target.root)):
            if gallery.is_relative_to(Path(root).expanduser().resolve()):
                fault = f"belongs to {key}, where DVC would take an index for a change of the data"
                raise InputError(f"{shown(args.gallery)}: {fault}: name a folder for it by --index")
    return Path(args.gallery) / INDEX_FOLDER
