"""A few ranked lists as one image, for what shows images and no pages, such as ``dvc plots``."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mutual.page.known import cameras_known
from mutual.page.lists import FIRST, Lists
from mutual.page.run import Run

ROWS = 6  # queries
WIDE, HIGH = 64, 128  # of a picture, at most, in pixels
GAP, MARK, LEFT, TOP = 12, 22, 150, 40
PAPER, INK, SOFT, RIGHT, WRONG = "#ffffff", "#1b1d21", "#5a5f68", "#0b7048", "#b3390d"


def sheet(lists: Lists, run: Run, images: Mapping[str, np.ndarray] | None) -> Image.Image:
    """The first group's first queries with what the first peer found, before any adaptation and at the end.

    Right has a tick and a plain frame, wrong a cross and a broken one. Without the packed ``images`` (N, H, W, 3) uint8
    persons and cameras stand in place of pictures.
    """
    queries = lists.groups[0].rows[:ROWS]
    line = HIGH + MARK + GAP
    picture = Image.new(
        "RGB", (LEFT + (FIRST + 1) * (WIDE + GAP) + 2 * GAP, TOP + 2 * line * len(queries) + GAP), PAPER
    )
    draw = ImageDraw.Draw(picture)
    draw.text((GAP, GAP), f"{lists.groups[0].title}: query, then the first {FIRST}", INK, _font(18))
    for i, query in enumerate(queries):
        for j, a in enumerate((0, len(lists.after) - 1)):
            top = TOP + (2 * i + j) * line
            precision = lists.precision[a, 0, query]
            known = "" if np.isnan(precision) else f"\nAP {100 * precision:.0f} %"
            draw.text((GAP, top), f"after {lists.after[a]}{known}", SOFT, _font(16))
            if j == 0:
                draw.line([(GAP, top - 6), (picture.width - GAP, top - 6)], "#dcd9d2")
            _place(picture, (LEFT, top), _tile(run, images, lists.split[0], int(lists.queries[query])))
            for k, row in enumerate(lists.found[a, 0, query].tolist()):
                if row >= 0:
                    corner = (LEFT + (k + 1) * (WIDE + GAP) + GAP, top)
                    _place(picture, corner, _tile(run, images, lists.split[1], row))
                    _frame(draw, corner, bool(lists.right[a, 0, query, k]))
    return picture


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, so that every machine draws the same."""
    return ImageFont.load_default(size)


def _tile(run: Run, images: Mapping[str, np.ndarray] | None, split: str, row: int) -> Image.Image:
    if images is not None:
        found = Image.fromarray(np.array(images[split][row]))
        scale = min(WIDE / found.width, HIGH / found.height)
        size = max(1, round(found.width * scale)), max(1, round(found.height * scale))
        return found.resize(size, Image.Resampling.BICUBIC)
    blank, index = Image.new("RGB", (WIDE, HIGH), "#f0eee8"), run.index[split]
    person = f"person\n{index.pid[row]}\n" if index.pid[row] >= 0 else ""
    camera = f"camera\n{index.camid[row]}" if cameras_known(run.index.values()) else ""
    ImageDraw.Draw(blank).text((6, 30), person + camera, SOFT, _font(13))
    return blank


def _place(picture: Image.Image, corner: tuple[int, int], tile: Image.Image) -> None:
    picture.paste(tile, (corner[0] + (WIDE - tile.width) // 2, corner[1] + (HIGH - tile.height) // 2))


def _frame(draw: ImageDraw.ImageDraw, corner: tuple[int, int], right: bool) -> None:
    (x, y), colour = corner, RIGHT if right else WRONG
    box = [(x - 2, y - 2), (x + WIDE + 1, y + HIGH + 1)]
    if right:
        draw.rectangle(box, outline=colour, width=3)
    else:
        for at in range(0, HIGH, 16):
            draw.line([(x - 2, y + at), (x - 2, y + at + 8)], colour, 3)
            draw.line([(x + WIDE + 1, y + at), (x + WIDE + 1, y + at + 8)], colour, 3)
        for at in range(0, WIDE, 16):
            draw.line([(x + at, y - 2), (x + at + 8, y - 2)], colour, 3)
            draw.line([(x + at, y + HIGH + 1), (x + at + 8, y + HIGH + 1)], colour, 3)
    middle, low = x + WIDE // 2, y + HIGH + 12
    if right:
        draw.line([(middle - 6, low), (middle - 2, low + 5), (middle + 7, low - 5)], colour, 3)
    else:
        draw.line([(middle - 5, low - 5), (middle + 5, low + 5)], colour, 3)
        draw.line([(middle - 5, low + 5), (middle + 5, low - 5)], colour, 3)
