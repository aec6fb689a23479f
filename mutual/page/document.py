"""The page as one HTML file: template, style, scripts, Vega and the content in one text that asks for nothing else."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mutual.page.content import Content

TEMPLATE = "report.html.j2"
STYLE = "style.css"
SCRIPTS = ("page.js", "shots.js", "lists.js", "map.js", "tables.js", "charts.js")
MEGABYTE = 1_000_000


def document(content: Content, images: Mapping[str, np.ndarray] | None, megabytes: int) -> str:
    """The text of the page, in UTF-8 of at most so many megabytes as long as any of its pictures are in it.

    ``images`` are the target's packed splits, (N, H, W, 3) uint8; None leaves all pictures out.
    """
    wanted = len(content.album.places)
    # told before it is known how many there will be: the line has the same length, or nearly
    bare = rendered(content, [""] * wanted if images is not None else [], left_out=wanted)
    if images is None:
        return bare
    room = megabytes * MEGABYTE - len(bare.encode())
    pictures = content.album.pictures(images, room)
    return rendered(content, pictures, left_out=pictures.count(""))


def rendered(content: Content, pictures: list[str], left_out: int) -> str:
    """The page with these pictures, base64, empty where one is left out."""
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share, digits=1: f"{100 * share:.{digits}f}"
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return environment.get_template(TEMPLATE).render(
        content.told,
        charts=list(content.specs),
        clusters=content.data["clusters"],
        camera_table=content.data["cameras"],
        style=Markup((folder / STYLE).read_text(encoding="utf-8")),
        vega=vega(),
        script=script("\n".join(parts)),
        data=embedded(content.data),
        specs=embedded(content.specs),
        pictures=embedded(pictures),
        pictured=len(pictures) > 0,
        wanted=len(pictures),
        left_out=left_out,
    )


@cache
def vega() -> Markup:
    """Vega-Lite with all that it needs, 0.9 MB; its hundreds of short names stay within. To bundle it takes seconds."""
    return script(f"(() => {{{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;')}}})();")


def embedded(content: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it looks like markup."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def script(text: str) -> Markup:
    """JavaScript that may stand in a script element: what would end it is written otherwise."""
    return Markup(text.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
