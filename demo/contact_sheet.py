"""The demo at a glance: for each domain a panel, one camera a row, one person a column."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from demo.data_sets import Shot, taken
from demo.photographs import SIZE
from demo.scenes import Domain, cameras

GAP = 3  # between pictures
HEAD = 30  # height of a panel's title
MARGIN = 14


@dataclass(frozen=True)
class Panel:
    """One domain's pictures: the text above them, and the shots to choose from."""

    title: str
    subtitle: str
    domain: Domain
    shots: Sequence[Shot]


def contact_sheet(seed: int, panels: Sequence[Panel], people: int) -> Image.Image:
    """The panels side by side; each shows the first ``people`` identities of its query and gallery."""
    drawn = [_panel(seed, panel, people) for panel in panels]
    width = sum(panel.width for panel in drawn) + MARGIN * (len(drawn) + 1)
    sheet = Image.new("RGB", (width, max(panel.height for panel in drawn) + 2 * MARGIN), (255, 255, 255))
    x = MARGIN
    for panel in drawn:
        sheet.paste(panel, (x, MARGIN))
        x += panel.width + MARGIN
    return coarse(sheet)


def coarse(sheet: Image.Image) -> Image.Image:
    """64 steps a channel look the same and compress to two thirds; a palette of 256 colours would be grainy."""
    return sheet.point([min(255, (value + 2) // 4 * 4) for value in range(256)] * 3)


def _panel(seed: int, panel: Panel, people: int) -> Image.Image:
    eyes = cameras(seed, panel.domain)
    shots = [shot for shot in panel.shots if shot.split == "test"]
    pids = sorted({shot.pid for shot in shots})[:people]
    step_x, step_y = SIZE[0] + GAP, SIZE[1] + GAP
    picture = Image.new("RGB", (len(pids) * step_x - GAP, HEAD + len(eyes) * step_y - GAP), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    draw.text((0, 3), panel.title, fill=(34, 38, 46), font=ImageFont.load_default(size=17))
    indent = draw.textlength(panel.title, ImageFont.load_default(size=17)) + 10
    draw.text((indent, 6), panel.subtitle, fill=(112, 118, 128), font=ImageFont.load_default(size=14))
    for column, pid in enumerate(pids):
        for row, camera in enumerate(eyes):
            found = [shot for shot in shots if shot.pid == pid and shot.camera == row]
            if found:
                picture.paste(taken(seed, camera, found[0]), (column * step_x, HEAD + row * step_y))
    return picture
