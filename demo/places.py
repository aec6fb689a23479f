"""Five kinds of place that people walk past, each painted in the mood of a domain, enlarged, above the horizon."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from demo.canvas import Colour, mix, shaded

# paints what stands above the ground: (draw, mood, random numbers, width, horizon), in enlarged pixels
Painter = Callable[[ImageDraw.ImageDraw, "Mood", np.random.Generator, int, int], None]


@dataclass(frozen=True)
class Mood:
    """A season, an hour and a weather as colours.

    ``wet`` (0 .. 1) is how much the ground mirrors, ``bloom`` how far bright lights glow.
    """

    sky: tuple[Colour, Colour]
    grounds: tuple[Colour, ...]
    walls: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    windows: tuple[Colour, ...]
    things: tuple[Colour, ...]
    dark: Colour
    wet: float
    bloom: float


def painters() -> dict[str, Painter]:
    """The kinds of place by name."""
    return {"shops": _shops, "park": _park, "house": _house, "cars": _cars, "river": _river}


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours."""
    return colours[int(rng.integers(len(colours)))]


def _shops(draw: ImageDraw.ImageDraw, mood: Mood, rng: np.random.Generator, width: int, horizon: int) -> None:
    """A row of shop windows below striped awnings."""
    draw.rectangle((0, 0, width, horizon), fill=pick(rng, mood.walls))
    x = -int(rng.integers(0, 60))
    while x < width:
        wide, wall, thing = int(rng.integers(130, 190)), pick(rng, mood.walls), pick(rng, mood.things)
        draw.rectangle((x, 0, x + wide, horizon), fill=wall)
        window = pick(rng, mood.windows)
        for left in range(x + 20, x + wide - 40, 58):  # upstairs
            _window(draw, (left, 6, left + 32, 58), shaded(window, float(rng.uniform(0.55, 1.0))), wall)
        glass = (x + 12, 112, x + wide - 52, horizon - 22)
        draw.rectangle(glass, fill=shaded(window, 1.05))
        for left in range(glass[0] + 6, glass[2] - 16, 22):  # goods
            top = horizon - 26 - int(rng.integers(14, 62))
            draw.rectangle((left, top, left + 15, horizon - 24), fill=mix(pick(rng, mood.things), window, 0.35))
        draw.rectangle((glass[0], glass[1], glass[2], glass[1] + 4), fill=shaded(wall, 0.5))
        draw.rectangle((x + wide - 42, 104, x + wide - 10, horizon), fill=shaded(thing, 0.7))
        draw.rectangle((x + wide - 36, 112, x + wide - 16, 190), fill=shaded(window, 0.9))
        for number, left in enumerate(range(x + 4, x + wide - 4, 16)):
            stripe = thing if number % 2 else mix(thing, (240, 234, 222), 0.75)
            corners = ((left + 4, 84), (left + 20, 84), (left + 16, 116), (left, 116))
            draw.polygon(corners, fill=stripe)
            draw.ellipse((left, 108, left + 16, 124), fill=stripe)
        draw.rectangle((x, horizon - 12, x + wide, horizon), fill=shaded(wall, 0.6))
        x += wide


def _park(draw: ImageDraw.ImageDraw, mood: Mood, rng: np.random.Generator, width: int, horizon: int) -> None:
    """Trees in three rows, the nearer the darker, and a lawn before them."""
    for row, (low, radius, haze) in enumerate(
        ((horizon - 70, 44, 0.5), (horizon - 30, 56, 0.22), (horizon - 6, 66, 0.0))
    ):
        x = -int(rng.integers(0, 60))
        while x < width + 60:
            leaf = mix(pick(rng, mood.leaves), mood.sky[1], haze)
            if row:
                draw.rectangle((x - 6, low - 60, x + 6, low + 12), fill=mix((74, 58, 48), mood.sky[1], haze))
            _crown(draw, rng, x, low - 80 + 20 * row, radius, leaf)
            x += int(rng.integers(58, 92)) if row < 2 else int(rng.integers(130, 230))
    green = pick(rng, mood.leaves)
    draw.rectangle((0, horizon - 16, width, horizon + 26), fill=shaded(green, 0.9))
    for _ in range(170):
        x, y = int(rng.integers(0, width)), int(rng.integers(horizon - 12, horizon + 26))
        draw.ellipse((x, y, x + 6, y + 3), fill=shaded(pick(rng, mood.leaves), float(rng.uniform(0.8, 1.25))))


def _house(draw: ImageDraw.ImageDraw, mood: Mood, rng: np.random.Generator, width: int, horizon: int) -> None:
    """A brick front with tall windows, some of them lit, and a hedge at its foot."""
    wall = pick(rng, mood.walls)
    draw.rectangle((0, 0, width, horizon), fill=wall)
    for y in range(0, horizon, 7):
        draw.line((0, y, width, y), fill=shaded(wall, 0.9))
        for x in range((y % 2) * 9, width, 18):
            if rng.random() < 0.4:
                draw.rectangle((x, y, x + 17, y + 6), fill=shaded(wall, float(rng.uniform(0.88, 1.1))))
    for x in range(int(rng.integers(0, 40)), width, 92):
        for top in (-40, 84):
            glass = shaded(pick(rng, mood.windows), float(rng.uniform(0.45, 1.05)))
            _window(draw, (x, top, x + 46, top + 92), glass, wall)
    x = 0
    leaf = pick(rng, mood.leaves)
    while x < width:
        _crown(draw, rng, x, horizon - 16, 24, shaded(leaf, float(rng.uniform(0.75, 1.0))))
        x += 26
    draw.rectangle((0, horizon - 8, width, horizon), fill=shaded(leaf, 0.5))


def _cars(draw: ImageDraw.ImageDraw, mood: Mood, rng: np.random.Generator, width: int, horizon: int) -> None:
    """Parked cars before a wall and its trees."""
    wall = pick(rng, mood.walls)
    for x in range(0, width, 74):
        _crown(draw, rng, x + int(rng.integers(0, 40)), 66, 56, pick(rng, mood.leaves))
    draw.rectangle((0, 112, width, horizon), fill=wall)
    draw.rectangle((0, 108, width, 118), fill=shaded(wall, 1.15))
    for x in range(0, width, 46):
        draw.line((x, 118, x, horizon), fill=shaded(wall, 0.88), width=2)
    x = -int(rng.integers(20, 120))
    while x < width:
        paint, long = pick(rng, mood.things), int(rng.integers(176, 214))
        low, y = horizon + 6, horizon - 58
        draw.ellipse((x - 6, low - 4, x + long + 6, low + 14), fill=mix(mood.dark, wall, 0.15))
        cabin = ((x + 34, y), (x + 62, y - 34), (x + long - 62, y - 34), (x + long - 22, y))
        draw.polygon(cabin, fill=shaded(paint, 0.85))
        glass = ((x + 46, y), (x + 67, y - 27), (x + long - 66, y - 27), (x + long - 38, y))
        draw.polygon(glass, fill=mix(mood.windows[0], mood.dark, 0.5))
        draw.rectangle((x + long // 2 - 3, y - 30, x + long // 2 + 3, y), fill=shaded(paint, 0.85))
        draw.rounded_rectangle((x, y - 2, x + long, low - 8), 16, fill=paint)
        draw.rectangle((x + 8, y + 2, x + long - 8, y + 8), fill=mix(paint, (255, 255, 255), 0.35))
        draw.rectangle((x + 4, low - 24, x + long - 4, low - 12), fill=shaded(paint, 0.7))
        draw.ellipse((x + long - 16, y + 12, x + long - 2, y + 24), fill=mood.windows[-1])
        for wheel in (x + 36, x + long - 42):
            draw.ellipse((wheel - 20, low - 34, wheel + 20, low + 6), fill=mood.dark)
            draw.ellipse((wheel - 10, low - 24, wheel + 10, low - 4), fill=(150, 152, 156))
        x += long + int(rng.integers(14, 60))


def _river(draw: ImageDraw.ImageDraw, mood: Mood, rng: np.random.Generator, width: int, horizon: int) -> None:
    """A skyline across the water, behind a railing with lamps."""
    shore = horizon - 96
    for haze in (0.6, 0.35):
        x = -10
        while x < width:
            wide, high = int(rng.integers(26, 64)), int(rng.integers(30, 120)) * (1.3 - haze)
            tower = mix(pick(rng, mood.walls), mood.sky[1], haze)
            draw.rectangle((x, shore - high, x + wide, shore), fill=tower)
            for wx in range(x + 5, x + wide - 6, 10):
                for wy in range(round(shore - high) + 6, shore - 6, 13):
                    if rng.random() < 0.45:
                        draw.rectangle((wx, wy, wx + 4, wy + 6), fill=mix(pick(rng, mood.windows), tower, haze * 0.7))
            x += wide + int(rng.integers(-6, 14))
    water = mix(mood.sky[1], (64, 116, 140), 0.55)
    draw.rectangle((0, shore, width, horizon), fill=water)
    for _ in range(120):
        x, y = int(rng.integers(0, width)), int(rng.integers(shore + 3, horizon))
        glint = mix(pick(rng, (*mood.windows, mood.sky[0], water)), water, 0.45)
        draw.line((x, y, x + int(rng.integers(8, 30)), y), fill=glint, width=2)
    rail = shaded(pick(rng, mood.things), 0.45)
    draw.rectangle((0, horizon - 62, width, horizon - 56), fill=rail)
    draw.rectangle((0, horizon - 12, width, horizon - 7), fill=rail)
    for x in range(0, width, 13):
        draw.line((x, horizon - 58, x, horizon - 8), fill=rail, width=3)
    for x in range(int(rng.integers(20, 120)), width, 210):
        draw.rectangle((x - 4, 20, x + 4, horizon), fill=rail)
        draw.ellipse((x - 13, 6, x + 13, 32), fill=mood.windows[-1])


def _window(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], glass: Colour, wall: Colour) -> None:
    x0, y0, x1, y1 = box
    draw.rectangle((x0 - 4, y0 - 4, x1 + 4, y1 + 4), fill=mix(wall, (236, 232, 224), 0.55))
    draw.rectangle(box, fill=glass)
    draw.polygon(((x0, y0), ((x0 + 2 * x1) // 3, y0), (x0, (y0 + y1) // 2)), fill=mix(glass, (255, 255, 255), 0.16))
    draw.line(((x0 + x1) // 2, y0, (x0 + x1) // 2, y1), fill=mix(wall, (236, 232, 224), 0.45), width=4)
    draw.rectangle((x0 - 7, y1 + 3, x1 + 7, y1 + 10), fill=shaded(wall, 1.2))


def _crown(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: int, y: int, radius: int, leaf: Colour) -> None:
    """A tree's or a bush's leaves: clumps, dark below and light above."""
    for share in (0.0, 0.35, 0.7, 1.0):
        for _ in range(7):
            dx, dy = rng.normal(0, 0.42, 2) * radius
            size = radius * float(rng.uniform(0.2, 0.42))
            cx, cy = x + dx, y + dy - 0.28 * radius * share
            draw.ellipse((cx - size, cy - size, cx + size, cy + 0.9 * size), fill=shaded(leaf, 0.62 + 0.5 * share))
