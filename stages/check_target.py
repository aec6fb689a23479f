"""Check what must fit the target's images before any network is trained on anything.

Reads the packed target and, where there is one, the list of `test_labels`; writes data/target_checked.txt, which is
always the same: pre-training does not run again for another number of clusters.
Example: python -m stages.check_target
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.check_target")

from pathlib import Path

from mutual.base.errors import run
from mutual.base.params import NONE, read_params
from mutual.base.store import write_text
from mutual.clusters.collapse import check_count
from mutual.clusters.given import labels_in_place
from mutual.evaluation.labelled import labelled_images
from mutual.images.index import read_cameras
from stages import PACKED
from stages.door import arguments

CHECKED = Path("data/target_checked.txt")


def main() -> None:
    """No arguments."""
    arguments(__doc__, "stages.check_target").parse_args()
    params, target = read_params(), PACKED / "target"
    files, _ = read_cameras(target / "train.csv")
    if params.clustering.clustering == "kmeans":
        check_count(params.clustering.clusters, len(files))
    labels_in_place(target / "train.csv", params.clustering.clustering, params.wrong.label_noise, params.peers.seed)
    if params.evaluation.test_labels != NONE:
        labelled_images(target, Path(params.evaluation.test_labels))
    write_text(CHECKED, "the target can be clustered and tested\n")


if __name__ == "__main__":
    run(main)
