"""Image folders -> packed uint8 arrays and their index: data/packed/<set>/{train,query,gallery}.{npy,csv}."""

import argparse
import sys
from pathlib import Path

import numpy as np

from mutual.base.errors import run
from mutual.base.params import read_params
from mutual.base.store import folder_beside
from mutual.images.index import Index, check_counts, check_matches, identities, write_index
from mutual.images.layouts import read_dataset
from mutual.images.packing import pack
from mutual.machine.processes import cpus

PACKED = Path("data/packed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=["source", "target"], required=True, help="which of the two data sets")
    packed = PACKED / parser.parse_args().set
    params = read_params()
    if packed.name == "source":
        name, layout, root = params.source.name, params.source.layout, Path(params.source.root)
    else:
        name, layout, root = params.target.name, params.target.layout, Path(params.target.root)

    splits = read_dataset(root, layout)
    unmatched = check_matches(splits["query"], splits["gallery"])
    print(f"{packed.name}: {name} ({layout}, {root})\n{table(splits, layout)}", flush=True)
    for warning in check_counts(name, splits, layout):
        print(f"warning: {warning}", file=sys.stderr)
    if unmatched:
        without = "have no gallery image of the same pid in another camera and do not count in mAP"
        print(f"warning: {name}: {unmatched:,} of {len(splits['query']):,} queries {without}", file=sys.stderr)

    with folder_beside(packed) as folder:
        for split, index in splits.items():
            label = f"{name} {split}"
            pack(
                root,
                index.file,
                folder / f"{split}.npy",
                params.size.image_height,
                params.size.image_width,
                cpus(),
                label,
            )
            write_index(folder / f"{split}.csv", index)


def table(splits: dict[str, Index], layout: str) -> str:
    """One line for each split: images, identities, cameras, images of distractors."""
    lines = [f"{'split':8}{'images':>9}{'ids':>7}{'cameras':>9}{'distractors':>13}"]
    for split, index in splits.items():
        pids, distractors = identities(index, layout)
        lines.append(f"{split:8}{len(index):9,}{pids:7,}{len(np.unique(index.camid)):9}{distractors:13,}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
