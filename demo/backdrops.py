"""What is behind the people: a place, its ground in perspective, its lights and, on a wet day, its mirror image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from demo.canvas import Colour, mix, shaded
from demo.places import Mood, painters, pick

WIDTH, HEIGHT = 208, 160  # of a backdrop, in pixels; pictures are cut out of it
SCALE = 3  # painted this much larger
HORIZON = 0.53  # where walls end and the ground begins, as a share of the height


def backdrop(kind: str, mood: Mood, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A place, uint8 (HEIGHT, WIDTH, 3). ``kind`` is a name of :func:`painters`."""
    size = (WIDTH * SCALE, HEIGHT * SCALE)
    picture = _gradient(size, *mood.sky)
    draw = ImageDraw.Draw(picture)
    horizon = round(size[1] * HORIZON)
    ground = pick(rng, mood.grounds)
    picture.paste(_gradient((size[0], size[1] - horizon), shaded(ground, 0.86), shaded(ground, 1.1)), (0, horizon))
    painters()[kind](draw, mood, rng, size[0], horizon)
    _pave(draw, rng, size, horizon, ground, kind)
    picture = _mirrored(picture, horizon, mood.wet)
    pixels = np.asarray(picture.reduce(SCALE), np.float32)
    glow = Image.fromarray(np.clip(2.5 * (pixels - 165), 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(6))
    pixels = pixels + mood.bloom * np.asarray(glow, np.float32)
    # too bright is scaled down as a whole: clipping channels one by one would turn warm windows lemon yellow
    pixels = pixels * np.minimum(1, 255 / np.maximum(pixels.max(2, keepdims=True), 1))
    # cloudy stains of all sizes: a wall or a street is never of one colour
    stained: NDArray[np.float32] = pixels * _stains(rng)[..., None]
    return np.clip(stained, 0, 255).astype(np.uint8)


def _pave(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], horizon: int, ground: Colour, kind: str
) -> None:
    """Joints of the paving, converging towards the horizon, and a kerb."""
    width, height = size
    start = horizon + (28 if kind == "park" else 12)
    seam = shaded(ground, 0.84)
    y, step = float(start), 7.0
    while y < height:
        draw.line((0, y, width, y), fill=seam, width=2)
        y, step = y + step, step * 1.32
    for x in range(-width, 2 * width, 64):
        draw.line(
            (width / 2 + (x - width / 2) * 0.7, start, width / 2 + (x - width / 2) * 1.35, height), fill=seam, width=2
        )
    if kind != "park":
        draw.rectangle((0, horizon, width, horizon + 5), fill=shaded(ground, 0.62))
        draw.rectangle((0, horizon + 5, width, horizon + 12), fill=shaded(ground, 1.14))
    else:
        for _ in range(60):  # fallen leaves
            x, y0 = int(rng.integers(0, width)), int(rng.integers(start, height))
            draw.ellipse((x, y0, x + 6, y0 + 3), fill=mix(ground, (150, 120, 70), 0.5))


def _mirrored(picture: Image.Image, horizon: int, wet: float) -> Image.Image:
    """The wet ground mirrors what stands on it, smeared downwards."""
    if wet <= 0:
        return picture
    width, height = picture.size
    deep = height - horizon
    upside = picture.crop((0, horizon - min(deep, horizon), width, horizon)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    upside = upside.resize((width // 2, 24)).resize((width, deep)).filter(ImageFilter.GaussianBlur(4))
    ground = picture.crop((0, horizon, width, height))
    picture.paste(Image.blend(ground, upside, wet), (0, horizon))
    return picture


def _stains(rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise around 1, float32 (HEIGHT, WIDTH)."""
    stains = np.ones((HEIGHT, WIDTH), np.float32)
    for cells, strength in ((6, 0.05), (20, 0.03), (70, 0.02)):
        coarse = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
        stains += strength * np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return stains


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = np.linspace(0, 1, size[1])[:, None, None]
    column = (1 - ramp) * np.array(top) + ramp * np.array(bottom)
    return Image.fromarray(np.clip(column, 0, 255).astype(np.uint8)).resize(size)
