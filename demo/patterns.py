"""Cloth: the pattern of a top as a picture that a torso is cut from."""

from PIL import Image, ImageDraw

from demo.canvas import SCALE, Colour, Fill, mix
from demo.identities import Top


def cloth(top: Top, size: tuple[int, int], x: float, y: float, unit: float) -> Fill:
    """The fill of a torso whose neck is at pixel (x, y) on a canvas of ``size`` enlarged pixels.

    A plain top is a colour; a patterned one an RGBX picture of the canvas's size. ``unit`` is a body height in pixels.
    """
    if top.pattern in ("plain", "emblem", "open"):
        return top.colour
    picture = Image.new("RGBX", size, (*top.colour, 255))
    draw = ImageDraw.Draw(picture)
    step, x, y = unit * SCALE * 0.046, x * SCALE, y * SCALE
    left, right, bottom = x - unit * SCALE * 0.3, x + unit * SCALE * 0.3, y + unit * SCALE * 0.66
    ink = (*top.accent, 255)
    rows, columns = round((bottom - y) / step) + 1, 7
    if top.pattern == "stripes":
        for row in range(rows):
            draw.rectangle((left, y + (row + 0.25) * step, right, y + (row + 0.68) * step), fill=ink)
    elif top.pattern == "pinstripes":
        for column in range(-columns, columns + 1):
            draw.rectangle((x + column * step, y, x + (column + 0.4) * step, bottom), fill=ink)
    elif top.pattern == "checks":
        _checks(draw, top.colour, top.accent, x, y, bottom, 1.25 * step)
    elif top.pattern == "dots":
        for row in range(rows):
            for column in range(-columns, columns + 1):
                cx, cy = x + (column + 0.5 * (row % 2)) * 1.15 * step, y + (row + 0.3) * 0.95 * step
                draw.ellipse((cx - 0.3 * step, cy - 0.3 * step, cx + 0.3 * step, cy + 0.3 * step), fill=ink)
    elif top.pattern == "yoke":
        draw.rectangle((left, y - 3 * step, right, y + 2.5 * step), fill=ink)
    elif top.pattern == "band":
        draw.rectangle((left, y + 2.7 * step, right, y + 4.6 * step), fill=ink)
    elif top.pattern == "sash":
        draw.polygon(((left, y), (left, y + 3.4 * step), (right, y + 11 * step), (right, y + 7.6 * step)), fill=ink)
    return picture


def _checks(
    draw: ImageDraw.ImageDraw, colour: Colour, accent: Colour, x: float, y: float, end: float, step: float
) -> None:
    """A lumberjack's check: bands in both directions, full colour where they cross."""
    half, full = (*mix(colour, accent, 0.5), 255), (*accent, 255)
    rows = range(round((end - y) / step) + 1)
    columns = range(-6, 7)
    for row in rows:
        draw.rectangle((x - 8 * step, y + row * step, x + 8 * step, y + (row + 0.5) * step), fill=half)
    for column in columns:
        draw.rectangle((x + column * step, y, x + (column + 0.5) * step, end), fill=half)
    for row in rows:
        for column in columns:
            cx, cy = x + column * step, y + row * step
            draw.rectangle((cx, cy, cx + 0.5 * step, cy + 0.5 * step), fill=full)
