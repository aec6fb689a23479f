"""Check params.yaml and rounds.yaml whole, before any other stage runs and any experiment is recorded.

Reads params.yaml, rounds.yaml, the names of the files in mutual/refineries and in the data sets, and looks whether the
files that parameters name are there. Writes data/checked.txt, which is always the same: what follows runs again where
its own parameters change, not for this stage.
Peers and results of seeds and rounds that are listed no more are removed: they lie in folders that other stages read,
and are in DVC's cache. Example: python -m stages.check
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.check")

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mutual.base.errors import InputError, run
from mutual.base.params import FIRST_ROUND, DataSet, Evaluation, Start, is_round, read_params, read_rounds
from mutual.base.store import write_text
from mutual.datasets.places import image_folders
from mutual.datasets.tracked import absent, unseen
from stages import DEMO, LOSSES, MODELS, RESULTS, RETRIEVAL, ROUNDS
from stages.door import arguments

CHECKED = Path("data/checked.txt")
REFINERIES = Path("mutual/refineries")


def main() -> None:
    """No arguments."""
    arguments(__doc__, "stages.check").parse_args()
    params, rounds = read_params(), list(read_rounds())
    check_method(params.adaptation.method, len(params.peers.seeds))
    for fault in unusable(params.source, params.target, params.start, params.evaluation):
        raise InputError(fault)  # of what DVC cannot hash it says little itself
    for path in left_over(params.peers.seeds, [FIRST_ROUND, *rounds]):
        print(f"{path}: of a seed or round that is listed no more: removed from the workspace")
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    write_text(CHECKED, "params.yaml and rounds.yaml can be run\n")


def unusable(source: DataSet, target: DataSet, start: Start, evaluation: Evaluation) -> Iterator[str]:
    """What other stages depend on that is not there, or that DVC could not watch, a line each."""
    for key, data_set in (("source_root", source), ("target_root", target)):
        root = Path(data_set.root)
        yield from unseen(root, image_folders(data_set.layout), key)
        if not root.is_relative_to(DEMO):  # which is drawn later
            yield from absent(root, key)
    yield from absent(Path(start.weights), "weights")
    yield from absent(Path(start.pretrained), "pretrained")
    yield from absent(Path(evaluation.test_labels), "test_labels")


def check_method(name: str, peers: int) -> None:
    """Raise :class:`InputError` where no refinery has this name, or it needs more peers.

    Its code is read and not imported, which takes seconds.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(REFINERIES.glob("*.py"))}
    known = [name for name, text in texts.items() if "(Refinery):" in text]
    if name not in known:
        raise InputError(f"params.yaml: method: expected {', '.join(known[:-1])} or {known[-1]}, got {name!r}")
    least = re.search(r"(?m)^    least_peers\b.*= (\d+)$", texts[name])
    if least and peers < int(least[1]):
        raise InputError(f"params.yaml: seeds: method {name} needs {least[1]} networks at least, got {peers}")


def left_over(seeds: Sequence[int], rounds: Sequence[str]) -> Iterator[Path]:
    """Peers, rounds and results that stages wrote which are no more."""
    for path in named(MODELS / FIRST_ROUND, r"peer\d+\.safetensors"):
        if int(path.stem.removeprefix("peer")) not in seeds:
            yield path
    folders = ((MODELS, ""), (ROUNDS, ""), (RETRIEVAL, ""), (RESULTS, r"\.json"), (LOSSES, r"\.csv"))
    for folder, ending in folders:
        for path in named(folder, rf"r\d+{ending}"):
            if is_round(path.stem) and path.stem not in rounds:
                yield path


def named(folder: Path, pattern: str) -> Iterable[Path]:
    """What lies in a folder under names of this form, in order; nothing where there is no such folder."""
    return sorted(path for path in folder.glob("*") if re.fullmatch(pattern, path.name))


if __name__ == "__main__":
    run(main)
