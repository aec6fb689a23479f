"""Writes what a search found: a table, a picture and a page."""

from collections.abc import Sequence
from pathlib import Path

from mutual.base.store import write_text, written_beside
from mutual.datasets.folders import shown
from mutual.search.page import page
from mutual.search.results import Found, write_results
from mutual.search.sheet import contact_sheet

WRITTEN = TABLE, SHEET, PAGE = "found.csv", "sheet.png", "sheet.html"


def write_found(out: Path, gallery: Path, found: Sequence[Found], lines: Sequence[str]) -> None:
    """Write found.csv, sheet.png and sheet.html; ``lines`` say on the page what was searched how."""
    title = f"Search in {shown(gallery.resolve().name or gallery)}"
    sheet, text = contact_sheet(title, gallery, found), page(title, lines, gallery, found)
    write_results(out / TABLE, found)
    with written_beside(out / SHEET) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
    write_text(out / PAGE, text)
