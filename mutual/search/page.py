"""What a search found as one page that needs nothing else: its pictures are in it, it asks no network."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mutual.base.progress import Progress
from mutual.datasets.folders import shown
from mutual.search.pictures import thumbnail
from mutual.search.results import NOTHING, Found

WIDTH, HEIGHT = 256, 512  # of a picture at most: twice what it takes on a usual screen
QUALITY = 85  # of JPEG


def page(title: str, lines: Sequence[str], gallery: Path, found: Sequence[Found]) -> str:
    """HTML: a title, lines of what was searched how, and a section for each query."""
    loader = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("page.html")
    bar = Progress(found, desc="page", unit="query")
    return template.render(title=title, lines=lines, rows=[_row(gallery, one) for one in bar], nothing=NOTHING) + "\n"


def _row(gallery: Path, one: Found) -> dict[str, Any]:
    found = [
        {"name": shown(file), "distance": f"{distance:.3f}", "picture": _picture(gallery / file)}
        for file, distance in zip(one.files, one.distance.tolist(), strict=True)
    ]
    names = {"name": shown(one.query), "short": shown(one.query.name)}
    return names | {"inside": one.inside, "picture": _picture(one.query), "found": found}


def _picture(path: Path) -> dict[str, str]:
    """The picture within its address, and whether its height or its width fills its place."""
    small, file = thumbnail(path, WIDTH, HEIGHT), io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    source = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return {"source": source, "shape": "tall" if small.height >= 2 * small.width else "wide"}
