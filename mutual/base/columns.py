"""Reads and writes tables of comma-separated values: which columns they have, and what stands in these."""

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mutual.base.errors import InputError, shown
from mutual.base.store import existing, write_bytes

INT64 = np.iinfo(np.int64)


def table_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table that :func:`read_columns` reads back as it is, whatever the texts; those that are not UTF-8, too."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    # Python below 3.13 takes a carriage return within a text, as in a file's name, for none of the ends of a line
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in (header, *rows):
        (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)
    return text.getvalue().encode("utf-8", "surrogateescape")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write what :func:`table_of` makes."""
    write_bytes(path, table_of(header, rows))


def read_columns(
    path: Path, header: Sequence[str], wanted: Sequence[str] | None = None, *, longer: bool = False
) -> list[list[str]]:
    """The wanted columns of a table with this header, all when None, as texts; others are dropped as they are read.

    ``longer`` says that further columns may follow, as many in every row. Line ends may be those of any system. A text
    that is not UTF-8, such as an old file name, keeps its bytes. Raises :class:`InputError` naming the file and the
    line where a row has other columns, or the last one no end.
    """
    places = [list(header).index(name) for name in (header if wanted is None else wanted)]
    columns: list[list[str]] = [[] for _ in places]
    width = len(header)
    with open(existing(path), encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for number, row in enumerate(reader):
                if number == 0:
                    width = max(len(row), width) if longer else width
                right = number > 0 or row[: len(header)] == list(header)
                if not right or len(row) != width or any("\0" in text for text in row):
                    raise InputError(f"{path}: line {reader.line_num}: expected {','.join(header)}, found {shown(row)}")
                if number:
                    for column, place in zip(columns, places, strict=True):
                        column.append(row[place])
        except csv.Error as error:  # an open quote, a field of 200 kB
            raise InputError(f"{path}: line {reader.line_num}: expected {','.join(header)}: {error}") from None
    if reader.line_num == 0:
        raise InputError(f"{path}: empty, expected the header {','.join(header)}")
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() not in b"\n\r":
            raise InputError(f"{path}: line {reader.line_num}: expected a line end after the last row: the file is cut")
    return columns


def header_of(path: Path) -> list[str]:
    """The first line of a table, for a header that is not known before; nothing of an empty file."""
    with open(existing(path), encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            return next(csv.reader(file, strict=True), [])
        except csv.Error as error:
            raise InputError(f"{path}: line 1: expected a header: {error}") from None


def integers(
    path: Path, name: str, texts: Sequence[str], *, least: int = INT64.min, most: int = INT64.max
) -> np.ndarray:
    """A column of whole numbers from ``least`` to ``most``: (N,) int64. ``name`` is the column's, for the error."""
    expected = "whole numbers"
    expected += f" from {least}" if least > INT64.min else ""
    expected += f" to {most}" if most < INT64.max else ""
    for row, text in enumerate(texts, start=1):
        if not (re.fullmatch(r"-?[0-9]{1,19}", text) and least <= int(text) <= most):
            raise InputError(f"{path}: {name} of row {row}: expected {expected}, found {shown(text)}")
    return np.array([int(text) for text in texts], np.int64)


def numbers(path: Path, name: str, texts: Sequence[str]) -> np.ndarray:
    """A column of finite numbers, NaN where a field is empty: (N,) float64. ``name`` is the column's."""
    for row, text in enumerate(texts, start=1):
        if text and not (re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?", text)):
            raise InputError(f"{path}: {name} of row {row}: expected a finite number, found {shown(text)}")
    return np.array([float(text) if text else np.nan for text in texts], np.float64)
