"""A canvas for rounded bodies: flat colours on one layer, how lit each spot is on another, both painted enlarged.

A third layer, for those who want one, says what each spot is part of.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SCALE = 4  # painted this much larger than delivered: averaging on the way down is the anti-aliasing
NEUTRAL = 128  # value of the light layer that leaves a colour as it is

Colour = tuple[int, int, int]
Point = tuple[float, float]
Round = tuple[float, float, float]  # x, y, half width, in pixels of the delivered picture
Fill = Colour | Image.Image
# paints one form: (draw, shift towards the right in half widths, width factor, offset in y, ink)
Form = Callable[[ImageDraw.ImageDraw, float, float, float, int | Colour], None]


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """``share`` (0 .. 1) of ``other`` in ``colour``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def shaded(colour: Colour, factor: float) -> Colour:
    """``colour`` made darker (below 1) or lighter (above 1)."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in colour)
    return red, green, blue


class Canvas:
    """Paint from the back to the front, then take the result with :meth:`finished`.

    ``sun`` (-1 .. 1) says from which side the light comes (below 0: left) and how hard it is. A ``labelled`` canvas
    also keeps which ``part`` (1 .. 255, 0: none) was the current one when a spot was painted, see :meth:`mask`.
    """

    def __init__(self, width: int, height: int, sun: float, labelled: bool = False) -> None:
        self.size = (width * SCALE, height * SCALE)
        # RGBX and not RGBA: its fourth band is coverage to us and nothing to PIL, which would divide colours by it
        self._colour = Image.new("RGBX", self.size)
        self._light = Image.new("L", self.size, NEUTRAL)
        self._colour_draw = ImageDraw.Draw(self._colour)
        self._light_draw = ImageDraw.Draw(self._light)
        self.part = 0
        self._labels = Image.new("L", self.size) if labelled else None
        self._label_draw = ImageDraw.Draw(self._labels) if self._labels else None
        self._side = -1.0 if sun < 0 else 1.0
        self._contrast = abs(sun)

    def limb(
        self, joints: Sequence[Round], fill: Fill, tone: float = 1.0, cast: float = 0.0, hemmed: bool = False
    ) -> None:
        """A tapered tube along joints with round ends, the last one cut straight if ``hemmed``.

        ``tone`` darkens it; ``cast`` is its shadow's offset in y (0: none).
        """

        def form(draw: ImageDraw.ImageDraw, shift: float, factor: float, down: float, ink: int | Colour) -> None:
            rounds = [((x + shift * r) * SCALE, (y + down) * SCALE, max(r * factor * SCALE, 0.5)) for x, y, r in joints]
            for x, y, r in rounds[: len(rounds) - hemmed]:
                draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)
            for (x0, y0, r0), (x1, y1, r1) in pairwise(rounds):
                length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
                nx, ny = (y1 - y0) / length, (x0 - x1) / length
                corners = (
                    (x0 + nx * r0, y0 + ny * r0),
                    (x1 + nx * r1, y1 + ny * r1),
                    (x1 - nx * r1, y1 - ny * r1),
                    (x0 - nx * r0, y0 - ny * r0),
                )
                draw.polygon(corners, fill=ink)

        self._paint(form, fill, tone, cast)

    def column(self, sections: Sequence[Round], fill: Fill, tone: float = 1.0, cast: float = 0.0) -> None:
        """An upright form cut into horizontal sections from top to bottom: torso, skirt, coat, bag."""

        def form(draw: ImageDraw.ImageDraw, shift: float, factor: float, down: float, ink: int | Colour) -> None:
            left = [((x + (shift - factor) * r) * SCALE, (y + down) * SCALE) for x, y, r in sections]
            right = [((x + (shift + factor) * r) * SCALE, (y + down) * SCALE) for x, y, r in sections]
            draw.polygon(left + right[::-1], fill=ink)

        self._paint(form, fill, tone, cast)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Fill, tone: float = 1.0) -> None:
        """A ball or a disc."""

        def form(draw: ImageDraw.ImageDraw, shift: float, factor: float, down: float, ink: int | Colour) -> None:
            cx, cy, a, b = (x + shift * rx) * SCALE, (y + down) * SCALE, rx * factor * SCALE, ry * factor * SCALE
            draw.ellipse((cx - a, cy - b, cx + a, cy + b), fill=ink)

        self._paint(form, fill, tone, 0.0)

    def flat(self, points: Sequence[Point], fill: Colour) -> None:
        """A polygon that takes the light of what lies below it: pockets, collars, eyes."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._colour_draw.polygon(scaled, fill=fill)
        if self._label_draw:
            self._label_draw.polygon(scaled, fill=self.part)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line of colour that takes the light of what lies below it: straps, zips, seams."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._colour_draw.line(scaled, fill=fill, width=max(1, round(width * SCALE)), joint="curve")
        if self._label_draw:
            self._label_draw.line(scaled, fill=self.part, width=max(1, round(width * SCALE)), joint="curve")

    def crease(self, points: Sequence[Point], width: float, tone: float) -> None:
        """A fold: changes the light only."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._light_draw.line(scaled, fill=round(NEUTRAL * tone), width=max(1, round(width * SCALE)), joint="curve")

    def finished(self) -> NDArray[np.float32]:
        """The picture, float32 (height, width, 4) in 0 .. about 1.2: colour times coverage, and coverage (0 .. 1)."""
        # colours are 0 where nothing was painted, so the plain average is already weighted by coverage
        picture = np.asarray(self._colour.reduce(SCALE), np.float32) / np.float32(255)
        light = self._light.reduce(SCALE).filter(ImageFilter.GaussianBlur(0.55))
        picture[..., :3] *= np.asarray(light, np.float32)[..., None] / np.float32(NEUTRAL)
        return picture

    def mask(self, hidden: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Which part is seen at each pixel of a labelled canvas, uint8 (height, width).

        ``hidden``, float32 (height, width) in 0 .. 1, is the share of each pixel that something else lies over. Labels
        are counted, not averaged: the most frequent wins, the lowest of equals, and 0 where less than half is seen.
        """
        if self._labels is None:
            raise ValueError("expected a labelled canvas")
        width, height = self.size[0] // SCALE, self.size[1] // SCALE
        spots = np.asarray(self._labels).reshape(height, SCALE, width, SCALE)
        parts = np.unique(spots)
        parts = parts[parts > 0]
        if not len(parts):
            return np.zeros((height, width), np.uint8)
        counts = np.stack([(spots == part).sum((1, 3)) for part in parts])
        seen = counts.sum(0) * (1 - hidden) >= 0.5 * SCALE**2
        return np.where(seen, parts[counts.argmax(0)], 0).astype(np.uint8)

    def _paint(self, form: Form, fill: Fill, tone: float, cast: float) -> None:
        if cast:
            form(self._light_draw, -0.25 * self._side, 1.0, cast, round(NEUTRAL * 0.68))
        if isinstance(fill, Image.Image):
            mask = Image.new("L", self.size)
            form(ImageDraw.Draw(mask), 0.0, 1.0, 0.0, 255)
            self._colour.paste(fill, mask=mask)
        else:
            form(self._colour_draw, 0.0, 1.0, 0.0, (*fill, 255))  # type: ignore[arg-type]
        if self._label_draw:
            form(self._label_draw, 0.0, 1.0, 0.0, self.part)
        middle = NEUTRAL * tone
        form(self._light_draw, 0.0, 1.0, 0.0, round(middle * (0.80 - 0.22 * self._contrast)))
        form(self._light_draw, 0.12 * self._side, 0.86, 0.0, round(middle * (0.91 - 0.08 * self._contrast)))
        form(self._light_draw, 0.26 * self._side, 0.70, 0.0, round(middle))
        form(self._light_draw, 0.46 * self._side, 0.34, 0.0, round(middle * (1.04 + 0.10 * self._contrast)))
