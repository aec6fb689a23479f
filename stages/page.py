"""The page that shows what came out: ranked lists, curves, clusters, a map of the features, in one file.

Reads params.yaml, rounds.yaml, data/packed/target and, of the rounds that are listed, data/rounds/, data/retrieval/,
metrics/rounds/ and metrics/losses/. Writes metrics/report.html, which needs no network, and metrics/ranked_lists.png.
Example: python -m stages.page
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m stages.page")

from pathlib import Path

from mutual.base.errors import run
from mutual.base.params import PARAMS_FILE, ROUNDS_FILE, read_mapping, read_params, read_rounds, unfolded
from mutual.base.store import write_text, written_beside
from mutual.machine.streams import numpy_stream
from mutual.page.content import content
from mutual.page.document import document
from mutual.page.run import Places, Run, read_packed, read_run
from mutual.page.sheet import sheet
from stages import LOSSES, PACKED, RESULTS, RETRIEVAL, ROUNDS
from stages.door import arguments

PAGE = Path("metrics/report.html")
SHEET = Path("metrics/ranked_lists.png")


def main() -> str:
    """No arguments: the rounds that rounds.yaml names."""
    arguments(__doc__, "stages.page").parse_args()
    params, shown = read_params(), run_in("this run", Path())
    found = content(shown, [], numpy_stream(params.peers.seed, "page"), params.peers.seed)
    images = read_packed(shown) if params.page.page_pictures else None
    text = document(found, images, params.page.page_megabytes)
    drawn = sheet(found.lists, shown, images)
    write_text(PAGE, text)
    with written_beside(SHEET) as temporary:
        drawn.save(temporary, "PNG", optimize=True)
    return f"{PAGE}, {len(text.encode()) / 1e6:.1f} MB, which opens in a browser,"


def run_in(name: str, top: Path) -> Run:
    """The run of the project in a folder, under the name that the page calls it by."""
    places = Places(*(top / path for path in (PACKED / "target", ROUNDS, RETRIEVAL, RESULTS, LOSSES)))
    return read_run(name, places, unfolded(read_mapping(top / PARAMS_FILE)), read_rounds(top / ROUNDS_FILE))


if __name__ == "__main__":
    run(main)
