"""What a search found as one picture: a query a row, its nearest images beside it."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mutual.base.progress import Progress
from mutual.datasets.folders import shown
from mutual.search.pictures import thumbnail
from mutual.search.results import NOTHING, Found

ROWS = 40  # queries on a sheet: 11,000 pixels; the page and the table hold all
WIDE = 20  # nearest images in a row
WIDTH, HEIGHT = 96, 192  # of a picture's place, that of a person 1 : 2
GAP, MARGIN, FRAME = 12, 24, 3
HEAD, CAPTION, NAME = 44, 36, 26  # heights: title, a picture's caption of two lines, the query's name
INK, FAINT, RULE, ACCENT = (34, 38, 46), (112, 118, 128), (222, 225, 230), (29, 91, 184)


def contact_sheet(title: str, gallery: Path, found: Sequence[Found]) -> Image.Image:
    """The first 40 queries, each with up to 20 of its nearest images, below a title."""
    found = found[:ROWS]
    columns = max([1, *(min(WIDE, len(one.files)) for one in found)])
    step = HEIGHT + CAPTION + NAME + GAP
    width = max(2 * MARGIN + (columns + 1) * (WIDTH + GAP) + GAP, 640)
    sheet = Image.new("RGB", (width, MARGIN + HEAD + step * len(found) + MARGIN // 2), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), _fitting(draw, title, width - 2 * MARGIN, 18), fill=INK, font=_font(18))
    for row, one in enumerate(Progress(found, desc="sheet", unit="query")):
        _row(sheet, draw, MARGIN + HEAD + row * step, gallery, one)
    return sheet


def _row(sheet: Image.Image, draw: ImageDraw.ImageDraw, y: int, gallery: Path, one: Found) -> None:
    """One query and what it found, from ``y`` downwards."""
    draw.line((MARGIN, y, sheet.width - MARGIN, y), fill=RULE)
    name = _fitting(draw, shown(one.query), sheet.width - 2 * MARGIN - 60, 13)
    draw.text((MARGIN, y + 6), name, fill=INK, font=_font(13))
    if one.inside:
        told = "in the gallery"
        draw.text((MARGIN + draw.textlength(name, _font(13)) + 10, y + 6), told, fill=FAINT, font=_font(13))
    _picture(sheet, draw, MARGIN, y + NAME, one.query, ("query", shown(one.query.name)), ACCENT)
    x = MARGIN + WIDTH + 2 * GAP
    if not one.files:
        draw.text((x, y + NAME + HEIGHT // 2), NOTHING, fill=FAINT, font=_font(13))
    for rank, (file, distance) in enumerate(zip(one.files[:WIDE], one.distance.tolist(), strict=False), start=1):
        _picture(sheet, draw, x, y + NAME, gallery / file, (f"{rank}   {distance:.3f}", shown(file)), None)
        x += WIDTH + GAP


def _picture(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    x: int,
    y: int,
    path: Path,
    caption: tuple[str, str],
    frame: tuple[int, int, int] | None,
) -> None:
    """A picture at the bottom of its place, framed where a colour is given; below it what it is, and its name's end."""
    picture = thumbnail(path, WIDTH, HEIGHT, enlarge=True)
    corner = x + (WIDTH - picture.width) // 2, y + HEIGHT - picture.height
    sheet.paste(picture, corner)
    if frame:
        box = (corner[0] - 1, corner[1] - 1, corner[0] + picture.width, corner[1] + picture.height)
        draw.rectangle(box, outline=frame, width=FRAME)
    what, name = caption
    draw.text((x + WIDTH / 2, y + HEIGHT + 5), what, fill=frame or FAINT, font=_font(12), anchor="ma")
    # as wide as the gap between two pictures lets it be, without touching the next one's name
    short = _fitting(draw, name, WIDTH + GAP // 2, 11)
    draw.text((x + WIDTH / 2, y + HEIGHT + 20), short, fill=INK, font=_font(11), anchor="ma")


def _fitting(draw: ImageDraw.ImageDraw, text: str, width: float, size: int) -> str:
    """The text, its start left out where it is too long: the end of a path tells more."""
    if draw.textlength(text, _font(size)) <= width:
        return text
    while text and draw.textlength(f"...{text}", _font(size)) > width:
        text = text[max(1, len(text) // 20) :]
    return f"...{text}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
