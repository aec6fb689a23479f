"""Put a preset into params.yaml and phases.yaml of semi/classification or semi/segmentation; without a name, list them.

Reads presets/ and params.yaml there; writes the latter and phases.yaml: for each method a chain of the preset's shares.
All presets of a task name the same keys, so that nothing is left of another one; what none of them names stays as it is
in params.yaml.
Example: python -m tools.semi_preset classification cifar10-4000
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.semi_preset")

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutual.base.errors import run
from mutual.base.params import View
from mutual.base.store import formed
from mutual.classification import params as classification
from mutual.segmentation import params as segmentation
from stages.door import arguments
from tools.preset_files import Pipeline


def checked(form: type[View]) -> Callable[[Any, Path], object]:
    """Raises :class:`InputError` for a content of another form."""
    return lambda content, path: formed(path, content, form)


PUBLISHED = ("published",)  # the authors' figures: each preset has its own, or none
TASKS = {
    "classification": Pipeline(
        classification.FILE, checked(classification.ClassificationParams), PUBLISHED, classification.PHASES
    ),
    "segmentation": Pipeline(
        segmentation.FILE, checked(segmentation.SegmentationParams), PUBLISHED, segmentation.PHASES
    ),
}


def main() -> None:
    """A task and a name, or a task, or nothing."""
    parser = arguments(__doc__, "tools.semi_preset")
    parser.add_argument("task", nargs="?", choices=TASKS, help="without one the presets of both are listed")
    parser.add_argument("name", nargs="?", metavar="NAME", help="without a name the presets are listed")
    args = parser.parse_args()
    if args.name is not None:
        print(TASKS[args.task].put_in(args.name))
    elif args.task is not None:
        print(TASKS[args.task].listing())
    else:
        print("\n\n".join(f"{task}:\n{pipeline.listing()}" for task, pipeline in TASKS.items()))


if __name__ == "__main__":
    run(main)
