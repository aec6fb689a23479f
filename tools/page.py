"""The page of the workspace, by hand; with --compare another run beside it: figures, curves, lists of the same queries.

Reads what the stage page reads; of another commit or experiment what DVC's cache holds of it, of a folder that is a
project of its own what lies there. Writes metrics/report.html, with --compare metrics/compare.html, or FILE.
Example: python -m tools.page --compare main
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.page")

from pathlib import Path
from tempfile import TemporaryDirectory

from mutual.base.errors import InputError, run
from mutual.base.params import read_params
from mutual.base.store import write_text
from mutual.machine.streams import numpy_stream
from mutual.page.content import content
from mutual.page.document import document
from mutual.page.run import read_packed
from stages.door import arguments
from stages.page import PAGE, run_in
from tools.elsewhere import fetched
from tools.watched import check_unwatched

COMPARED = PAGE.with_name("compare.html")


def main() -> str:
    """One page."""
    parser = arguments(__doc__, "tools.page")
    parser.add_argument("--compare", metavar="REV", help="a commit, an experiment's name, or another project's folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"{PAGE}, or {COMPARED}")
    args = parser.parse_args()
    out = args.out or (COMPARED if args.compare else PAGE)
    if out.is_dir():
        raise InputError(f"{out}: expected a file to write, found a folder")
    if out.resolve() != PAGE.resolve():  # which this tool makes anew
        check_unwatched("--out", out, [out])
    params, shown = read_params(), run_in("this run", Path())
    with TemporaryDirectory() as folder:
        others = []
        if args.compare:
            there = Path(args.compare)
            project = there if (there / "params.yaml").is_file() else fetched(args.compare, Path(folder))
            others = [run_in(args.compare, project)]
        random = numpy_stream(params.peers.seed, "page")
        found = content(shown, others, random, params.peers.seed)
        images = read_packed(shown) if params.page.page_pictures else None
        text = document(found, images, params.page.page_megabytes)
    write_text(out, text)
    return f"{out}, {len(text.encode()) / 1e6:.1f} MB, which opens in a browser,"


if __name__ == "__main__":
    run(main)
