"""Draw people to learn from, others to test on, and yet others to start from, as the demo's source shows them.

Reads the keys drawn_..., start_pids and start_images of noisy/params.yaml; writes noisy/data/people/ and others/.
Example: python -m noisy.draw
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m noisy.draw")

from dataclasses import replace

from demo.data_sets import Sizes, draw_set, duke_name, planned_set
from demo.scenes import summer
from mutual.base.errors import run
from mutual.base.store import folder_beside
from mutual.machine.processes import cpus
from mutual.noise.params import read_noisy_params
from noisy import OTHERS, PEOPLE
from stages.door import arguments

MOST_WORKERS = 8  # more of them take longer to start than they save


def main() -> str:
    """No arguments."""
    arguments(__doc__, "noisy.draw").parse_args()
    params = read_noisy_params()
    sizes = Sizes(params.drawn_pids, params.drawn_images, params.drawn_test_pids, params.drawn_test_images)
    start_sizes = Sizes(params.start_pids, params.start_images, 2, 2)  # the layout has a query and a gallery
    domain, seed = summer(), params.drawn_seed
    others = replace(domain, name=f"{domain.name}, others")  # its cameras stand elsewhere, too
    for folder, place, of in ((PEOPLE, domain, sizes), (OTHERS, others, start_sizes)):
        shots = planned_set(seed, place, of, duke_name, uneven=False, extras=False)
        with folder_beside(folder) as beside:
            draw_set(beside, seed, place, shots, min(cpus(), MOST_WORKERS))
    return f"{PEOPLE} and {OTHERS}"


if __name__ == "__main__":
    run(main)
