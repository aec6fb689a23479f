"""All runs -> the tables of results.

Reads semi/segmentation/phases.yaml and data/measured/; writes semi/segmentation/metrics/runs.csv, results.md and
summary.json, and prints the tables. Example: python -m semi.segmentation.report
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m semi.segmentation.report")

from mutual.base.errors import run
from mutual.few.phases import read_phases
from mutual.few.report import write_report
from mutual.segmentation.params import PHASES, read_segmentation_params
from semi.segmentation import MEASURED, RESULTS
from stages.door import arguments


def main() -> str:
    """No arguments."""
    arguments(__doc__, "semi.segmentation.report").parse_args()
    params = read_segmentation_params()
    print(write_report(RESULTS, MEASURED, read_phases(PHASES), "mIoU", params.published))
    return str(RESULTS / "results.md")


if __name__ == "__main__":
    run(main)
