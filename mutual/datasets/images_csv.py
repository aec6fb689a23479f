"""The layout csv: a list ``images.csv`` names the images, and who is on them, as far as that is known."""

import csv
import io
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mutual.base.errors import InputError, shown
from mutual.base.store import existing
from mutual.datasets.folders import content
from mutual.datasets.own import SPLITS, TEST, Row, known
from mutual.datasets.places import LIST

# what a column may be called; the second names are those of wildlife-datasets' metadata
NAMES = {"file": ("file", "path"), "pid": ("pid", "identity"), "camid": ("camid", "camera"), "split": ("split",)}
SEPARATORS = ",;\t"  # the second is what spreadsheets write where the decimal point is a comma


def read_images_csv(root: Path) -> tuple[dict[str, list[Row]], list[str], dict[str, list[str]]]:
    """The rows of ``root / images.csv`` by split, the names of its further columns, and the images that it leaves out.

    One column, ``file`` or ``path``, is needed: paths below the root. ``pid`` or ``identity`` and ``camid`` or
    ``camera`` are texts and may be empty; ``split`` is train, query, gallery or test, train where there is no such
    column. Read are UTF-8, with a byte order mark or without, the line ends of any system, separators ``,``, ``;`` and
    tab. Raises :class:`InputError` naming the line.
    """
    listed, further = read_list(root / LIST)
    rows: dict[str, list[Row]] = {split: [] for split in (*SPLITS, TEST)}
    for line, row, split in listed:
        if not os.path.isfile(root / row.file):
            raise InputError(f"{root / LIST}: line {line}: {shown(row.file)}: not found in {root}")
        if split not in rows:
            where = f"{root / LIST}: line {line}: split"
            raise InputError(f"{where}: expected train, query, gallery or test, found {shown(split)}")
        rows[split].append(row)
    found, named = content(root, ""), {row.file for _, row, _ in listed}
    others = {reason: [file for file in files if file != LIST] for reason, files in found.left_out.items()}
    left_out = {f"not in {LIST}": [file for file in found.images if file not in named]} | others
    return rows, further, left_out


def read_list(path: Path) -> tuple[list[tuple[int, Row, str]], list[str]]:
    """The number of the line, the row and the split, unchecked, of each image that a list names; further columns.

    Whether the images are there is not looked at. See :func:`read_images_csv` for the form and for what is refused.
    """
    lines = _lines(existing(path))
    number, header = next(lines, (1, []))
    places = _places(f"{path}: line {number}", header)
    further = [place for place, name in enumerate(header) if name and place not in places.values()]
    rows: list[tuple[int, Row, str]] = []
    first: dict[str, int] = {}
    for number, cells in lines:
        where = f"{path}: line {number}"
        if len(cells) != len(header):
            raise InputError(f"{where}: expected {len(header)} cells, as many as line 1 has, found {len(cells)}")
        file = _file(where, cells[places["file"]])
        if file in first:
            raise InputError(f"{where}: {shown(file)} stands in line {first[file]} already: expected a line an image")
        first[file] = number
        split = cells[places["split"]].strip().lower() if "split" in places else "train"
        identity, camera = (known(cells[places[key]]) if key in places else "" for key in ("pid", "camid"))
        rows.append((number, Row(file, identity, camera, [cells[place] for place in further]), split))
    return rows, [header[place] for place in further]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each row that is not blank; the number is that of its last line."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: not UTF-8: save it as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=head.count), strict=True)
    try:
        for cells in reader:
            if any("\0" in cell for cell in cells):
                raise InputError(f"{path}: line {reader.line_num}: expected text, found a NUL")
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:  # an open quote, a cell of 200 kB
        raise InputError(f"{path}: line {reader.line_num}: expected comma-separated values: {error}") from None


def _places(where: str, header: list[str]) -> dict[str, int]:
    """file, pid, camid, split -> the column that has it. Columns may stand in any order."""
    header[:] = [name.strip() for name in header]
    lower = [name.lower() for name in header]
    twice = next((name for name in lower if name and lower.count(name) > 1), None)
    if twice:
        raise InputError(f"{where}: expected columns of different names, found {shown(twice)} twice")
    places = {}
    for key, names in NAMES.items():
        there = [name for name in names if name in lower]
        if there[1:]:
            raise InputError(f"{where}: expected one of the columns {' and '.join(there)}, which mean the same")
        if there:
            places[key] = lower.index(there[0])
    if "file" not in places:
        raise InputError(f"{where}: expected a header with a column file (or path), found {shown(','.join(header))}")
    return places


def _file(where: str, path: str) -> str:
    """The path below the root in the one form that it has everywhere."""
    # ./a.jpg is the same image as a.jpg, and lists made on Windows have \
    file = posixpath.normpath(path.replace("\\", "/")) if path else ""
    if not file or file == ".":
        raise InputError(f"{where}: expected the path of an image, found none")
    if file.startswith(("/", "../")) or file == ".." or file[1:3] == ":/":
        raise InputError(f"{where}: expected a path below the data set's folder, found {shown(path)}")
    return file
