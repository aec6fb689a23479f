"""The parts at a glance: a row of pictures, their masks below, and what the colours mean."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from demo.contact_sheet import GAP, MARGIN, coarse
from demo.data_sets import Shot, taken_with_parts
from demo.part_sets import as_picture
from demo.parts import COLOURS, Part, part_names
from demo.photographs import SIZE
from demo.scenes import Domain, cameras

LEGEND = 26  # height of the legend
SQUARE = 14  # side of a colour's square in it
STEP = 135  # from one square to the next


def parts_sheet(seed: int, shown: Sequence[tuple[Domain, Sequence[Shot]]]) -> Image.Image:
    """Every shot of every domain, the domains side by side."""
    counts = [len(shots) for _, shots in shown]
    pictures = sum(count * (SIZE[0] + GAP) - GAP for count in counts) + MARGIN * (len(counts) - 1)
    width = max(pictures, STEP * len(Part)) + 2 * MARGIN
    sheet = Image.new("RGB", (width, 2 * SIZE[1] + GAP + 2 * MARGIN + LEGEND), (255, 255, 255))
    x = MARGIN
    for domain, shots in shown:
        eyes = cameras(seed, domain)
        for shot in shots:
            picture, mask = taken_with_parts(seed, eyes[shot.camera], shot)
            sheet.paste(picture, (x, MARGIN))
            sheet.paste(as_picture(mask).convert("RGB"), (x, MARGIN + SIZE[1] + GAP))
            x += SIZE[0] + GAP
        x += MARGIN - GAP
    _write_legend(sheet)
    return coarse(sheet)


def _write_legend(sheet: Image.Image) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    y = sheet.height - MARGIN - SQUARE
    for part, name in zip(Part, part_names(), strict=True):
        x = MARGIN + STEP * part
        draw.rectangle((x, y, x + SQUARE - 1, y + SQUARE - 1), fill=COLOURS[part])
        draw.text((x + SQUARE + 5, y - 2), name, fill=(34, 38, 46), font=font)
