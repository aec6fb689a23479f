"""Draw the demo's two data sets, in the published layouts, and a sheet that shows them.

Reads the keys demo_... of params.yaml alone; writes data/demo/ and docs/demo.png.
Example: python -m stages.synthesize
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.synthesize")

from pathlib import Path

from demo.contact_sheet import Panel, contact_sheet
from demo.data_sets import Sizes, draw_set, duke_name, market_name, planned_set
from demo.scenes import summer, winter
from mutual.base.errors import run
from mutual.base.params import read_params
from mutual.base.store import folder_beside, written_beside
from mutual.machine.processes import cpus
from stages import DEMO
from stages.door import arguments

SOURCE = "DukeMTMC-reID"
TARGET = "Market-1501-v15.09.15"
SHEET = Path("docs/demo.png")
SHEET_PEOPLE = 8
MOST_WORKERS = 8  # more of them take longer to start than they save


def main() -> str:
    """Both sets whole or not at all, then the sheet."""
    arguments(__doc__, "stages.synthesize").parse_args()
    params = read_params()
    seed, source, target = params.drawing.demo_seed, summer(), winter()
    # the source's query and gallery only choose its checkpoint: half as many people do
    source_sizes = Sizes(
        params.drawing.demo_source_pids,
        params.drawing.demo_images_per_source_pid,
        max(2, params.drawing.demo_test_pids // 2),
        params.drawing.demo_images_per_test_pid,
    )
    target_sizes = Sizes(
        params.drawing.demo_target_pids,
        params.drawing.demo_images_per_target_pid,
        params.drawing.demo_test_pids,
        params.drawing.demo_images_per_test_pid,
    )
    source_shots = planned_set(seed, source, source_sizes, duke_name, uneven=False, extras=False)
    target_shots = planned_set(seed, target, target_sizes, market_name, uneven=True, extras=True)
    workers = min(cpus(), MOST_WORKERS)
    with folder_beside(DEMO) as folder:
        draw_set(folder / SOURCE, seed, source, source_shots, workers)
        draw_set(folder / TARGET, seed, target, target_shots, workers)
    panels = (
        Panel("Source", "summer: a camera a row, a person a column", source, source_shots),
        Panel("Target", "winter: other cameras and people, no labels", target, target_shots),
    )
    with written_beside(SHEET) as temporary:
        contact_sheet(seed, panels, SHEET_PEOPLE).save(temporary, "PNG", optimize=True)
    return f"{DEMO / SOURCE} and {DEMO / TARGET}"


if __name__ == "__main__":
    run(main)
