"""What a folder of pictures is like as a data set, before anything long runs, and what to set for it.

Reads the folder; nothing is written. Printed are images, identities and cameras of each split, what is left out and
why, sizes, colours, copies, how the labels are spread, and suggestions. What is a guess is called so. Without --layout
the layout is a guess, too. Exit code 1 says that the pipeline would refuse the folder, in the same words.
Example: python -m tools.check /data/mine --layout folders
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.check")

import os
from pathlib import Path
from typing import get_args

from mutual.base.errors import InputError, run
from mutual.base.params import Layout
from mutual.datasets.advice import advice
from mutual.datasets.checks import check_source, check_target, table
from mutual.datasets.guess import guessed_layout
from mutual.datasets.layouts import read_dataset
from mutual.datasets.places import image_folders
from mutual.datasets.survey import copy_lines, label_lines, looked_at, picture_lines
from mutual.datasets.tracked import unseen
from mutual.machine.processes import cpus
from stages.door import arguments

CHECKS = {"target": check_target, "source": check_source}


def main() -> None:
    """The folder that the command line names."""
    parser = arguments(__doc__, "tools.check")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of a data set")
    parser.add_argument("--layout", choices=get_args(Layout), help="how it is laid out; a guess without it")
    parser.add_argument("--set", choices=list(CHECKS), default="target", help="what it is to be (target)")
    args = parser.parse_args()
    root = Path(os.path.normpath(args.folder.absolute()))
    layout, why = (args.layout, "") if args.layout else guessed_layout(root)
    print(f"{root}: layout {layout}", f" (a guess: {why})" if why else "", sep="", flush=True)
    splits, remarks, _ = read_dataset(root, layout)
    print(table(splits, layout), *remarks, sep="\n", flush=True)
    pictures = looked_at(root, splits, cpus())
    print(*picture_lines(pictures), *copy_lines(pictures, splits), *label_lines(splits, layout), sep="\n")
    faults = [InputError(fault) for fault in unseen(root, image_folders(layout), f"{args.set}_root")]
    for role, check in CHECKS.items():
        try:
            lines = check(root, splits)
            for fault in pictures.faults:  # packing ends at the first
                raise fault
        except InputError as error:
            print(f"as {role}: refused: {error}")
            faults += [error] if role == args.set and error not in pictures.faults else []
        else:
            print(f"as {role}: {'accepted' if not lines else '; '.join(lines)}")
    if pictures.files:
        print(
            "suggestions, all of them guesses:", *advice(splits["train"], pictures.widths, pictures.heights), sep="\n  "
        )
    for fault in [*faults, *pictures.faults]:
        raise fault
    print(f"to use it: {args.set}_layout: {layout}, {args.set}_root: {root}")


if __name__ == "__main__":
    run(main)
