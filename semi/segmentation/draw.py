"""Draw pedestrians, of the kind of the demo's source, with masks of their parts.

Reads the keys drawn_... of semi/segmentation/params.yaml; writes semi/segmentation/data/people/{images,masks}/.
Example: python -m semi.segmentation.draw
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.draw")

from demo.part_sets import draw_parts, planned_parts
from demo.scenes import summer
from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.machine.processes import cpus
from mutual.segmentation.params import read_segmentation_params
from semi.segmentation import DRAWN
from stages.door import arguments

MOST_WORKERS = 8  # more of them take longer to start than they save


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.segmentation.draw").parse_args()
    params, domain = read_segmentation_params(), summer()
    people = {"train": params.drawn_train, "val": params.drawn_validation, "test": params.drawn_test}
    shots = planned_parts(params.drawn_seed, domain, people, 1)
    with folder_beside(DRAWN) as beside:
        draw_parts(beside, params.drawn_seed, domain, shots, min(cpus(), MOST_WORKERS))
    return str(DRAWN)


if __name__ == "__main__":
    run(main)
