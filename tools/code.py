"""What each stage runs: its files and their hashes, comments aside, in a text a stage, on which the stage depends.

So that dvc.yaml and dvc.lock hold a line of code a stage, not fifty, and an edit of a comment runs nothing again but
this. Reads the stages' files and all that these import; writes data/code/ of the project, <stage>.txt and, of stages
that choose a refinery, <stage>-<refinery>.txt. Example: python -m tools.code --project semi/classification
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.code")

import ast
import hashlib
import io
import tokenize
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mutual.base.errors import run
from mutual.base.store import folder_beside, write_text
from stages.door import arguments
from tools.imports import chooses_refinery, closure, code_of, refinery_files

TOP = Path()
PROJECTS = {  # of DVC -> the folder of their entry points
    TOP: Path("stages"),
    Path("noisy"): Path("noisy"),
    Path("semi/classification"): Path("semi/classification"),
    Path("semi/segmentation"): Path("semi/segmentation"),
}
PLACE = Path("data/code")


def main() -> str:
    """``--project semi/classification``: the folder of a project of DVC; without it the top's."""
    parser = arguments(__doc__, "tools.code")
    parser.add_argument("--project", type=Path, default=TOP, choices=PROJECTS, metavar="FOLDER")
    project: Path = parser.parse_args().project
    with folder_beside(project / PLACE) as folder:
        for name, files in run_by(project).items():
            write_text(folder / f"{name}.txt", told(files))
    return str(project / PLACE)


def run_by(project: Path) -> Mapping[str, set[Path]]:
    """Stage, or stage and refinery -> the files that it runs."""
    found: dict[str, set[Path]] = {}
    for entry in sorted(PROJECTS[project].glob("*.py")):
        if "__main__" not in entry.read_text(encoding="utf-8"):
            continue
        files = code_of(entry)
        if chooses_refinery(entry):
            found |= {name_of(entry, file.stem): files | closure([file]) for file in sorted(refinery_files())}
        else:
            found[name_of(entry)] = files
    return found


def name_of(entry: Path, refinery: str | None = None) -> str:
    """What the text of an entry point is called: ``train-mmt``."""
    return entry.stem if refinery is None else f"{entry.stem}-{refinery}"


def told(files: set[Path]) -> str:
    """A line a file, in order: hash and path."""
    lines = []
    for file in sorted(files):
        content = file.read_bytes()
        if file.suffix == ".py":
            content = bare(content.decode()).encode()
        lines.append(f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {file.as_posix()}\n")
    return "".join(lines)


@cache
def bare(source: str) -> str:
    """A module's text without comments, docstrings and blank lines: what has no part in what it computes.

    It is cut out of the text, whose other characters stay, so that every version of Python has the same.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                cut(lines, first)
    return "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def cut(lines: list[str], docstring: ast.Expr) -> None:
    """Empty its lines, where nothing else stands on them."""
    first, last = docstring.lineno - 1, (docstring.end_lineno or docstring.lineno) - 1
    before = lines[first].encode()[: docstring.col_offset]
    after = lines[last].encode()[docstring.end_col_offset :]
    if not before.strip() and not after.strip():
        lines[first : last + 1] = [""] * (last + 1 - first)


if __name__ == "__main__":
    run(main)
