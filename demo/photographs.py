"""One photograph: a person in a camera's place, with all that goes wrong on the way into the file."""

from math import pi

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from demo.backdrops import HEIGHT, WIDTH
from demo.canvas import Canvas, mix, shaded
from demo.identities import Identity, invented
from demo.pedestrians import paint_figure
from demo.scenes import Camera
from demo.skeleton import Pose

SIZE = (64, 128)  # of a picture: width, height
GROUND = 121.5  # where the feet of a well framed person stand
UNIT = 110.0  # height in pixels of a well framed person of height 1
Pixels = NDArray[np.float32]


def framings() -> dict[str, tuple[float, float, float]]:
    """How a box can hold a person: factor of the size, shift to the right and downwards in pixels."""
    return {
        "good": (1.0, 0.0, 0.0),
        "left half": (1.05, -31.0, 2.0),
        "right half": (1.05, 31.0, 2.0),
        "torso": (1.9, 4.0, 82.0),
        "legs": (1.1, 3.0, -62.0),
        "far": (0.48, 13.0, -32.0),
    }


def photograph(camera: Camera, person: Identity | None, framing: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture, uint8 (128, 64, 3), of ``person`` (None: nobody) framed as one of :func:`framings` says."""
    return _photograph(camera, person, framing, rng, None)[0]


def photograph_with_parts(
    camera: Camera, person: Identity | None, framing: str, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The picture of :func:`photograph`, and uint8 (128, 64) with the :class:`demo.parts.Part` seen at each pixel.

    All but ``person`` is background: passers-by, what stands before the person, the mirror image on a wet ground.
    """
    canvas = Canvas(*SIZE, camera.sun, labelled=True)
    picture, hidden = _photograph(camera, person, framing, rng, canvas)
    return picture, canvas.mask(hidden)


def _photograph(
    camera: Camera, person: Identity | None, framing: str, rng: np.random.Generator, labelled: Canvas | None
) -> tuple[NDArray[np.uint8], Pixels]:
    """The picture, and the share of each of its pixels that something before the person covers, float32 (128, 64).

    The person is painted on ``labelled``, if it is given; nothing moves after that, so its pixels are the picture's.
    """
    picture = _cut_out(camera, rng)
    if rng.random() < camera.domain.passer_by_probability:
        picture = _with_passer_by(picture, camera, rng)
    if person is not None:
        domain = camera.domain
        factor, right, down = framings()[framing]
        x = SIZE[0] / 2 + right + float(np.clip(rng.normal(0, domain.shift), -9, 9))
        y = GROUND + down + float(rng.normal(0, 0.5 * domain.shift))
        unit = UNIT * factor * float(rng.uniform(*domain.height_jitter))
        view = camera.view if rng.random() < domain.favoured_view else int(rng.integers(4))
        canvas = labelled or Canvas(*SIZE, camera.sun)
        picture = _with_person(picture, camera, canvas, person, _pose(rng, view), (x, y, unit))
    hidden = np.zeros(picture.shape[:2], np.float32)
    if rng.random() < camera.domain.occluder_probability:
        occluder = _occluder(camera, rng)
        picture, hidden = _over(picture, occluder), occluder[..., 3]
    return _developed(picture, camera, rng), hidden


def _cut_out(camera: Camera, rng: np.random.Generator) -> Pixels:
    """A random part of the place, float32 (128, 64, 3) in 0 .. 1; the light differs a little from hour to hour."""
    x, y = int(rng.integers(0, WIDTH - SIZE[0] + 1)), int(rng.integers(6, HEIGHT - SIZE[1] + 1))
    part = camera.place[y : y + SIZE[1], x : x + SIZE[0]].astype(np.float32)
    return part * np.float32(rng.uniform(0.93, 1.05) / 255)


def _pose(rng: np.random.Generator, view: int) -> Pose:
    return Pose(
        yaw=view * pi / 2 + float(np.clip(rng.normal(0, 0.24), -0.5, 0.5)),
        phase=float(rng.uniform(0, 2 * pi)),
        stride=float(rng.uniform(0.22, 0.44)) if rng.random() < 0.88 else 0.03,
        arms=str(rng.choice(("swing", "pockets", "phone"), p=(0.74, 0.15, 0.11))),
    )


def _with_passer_by(picture: Pixels, camera: Camera, rng: np.random.Generator) -> Pixels:
    """Somebody else at the edge: mostly behind, and so smaller and higher up."""
    side = float(rng.choice((-1, 1)))
    far = float(rng.uniform(0.0, 0.22))
    place = (SIZE[0] / 2 + side * float(rng.uniform(23, 34)), GROUND - 30 * far, UNIT * (1 - far))
    stranger = invented(rng, camera.domain.wardrobe)
    pose = _pose(rng, int(rng.integers(4)))
    return _with_person(picture, camera, Canvas(*SIZE, camera.sun), stranger, pose, place)


def _with_person(
    picture: Pixels, camera: Camera, canvas: Canvas, person: Identity, pose: Pose, place: tuple[float, float, float]
) -> Pixels:
    """The person, painted on the empty ``canvas``, with a shadow and, on a wet ground, a mirror image."""
    x, y, unit = place
    daylight = np.array((*camera.domain.daylight, 1.0), np.float32)
    paint_figure(canvas, person, pose, place)
    cut_out: Pixels = canvas.finished() * daylight
    picture = picture * (1 - _shadow(camera.sun, x, y, unit))
    if camera.domain.reflection:
        picture = _over(picture, _mirrored(cut_out, round(y) + 1, camera.domain.reflection))
    return _over(picture, cut_out)


def _shadow(sun: float, x: float, y: float, unit: float) -> Pixels:
    """How much of the light is missing on the ground, float32 (128, 64, 3): a little less of the blue is."""
    shadow = Image.new("L", SIZE)
    draw = ImageDraw.Draw(shadow)
    draw.ellipse((x - 0.16 * unit, y - 0.03 * unit, x + 0.16 * unit, y + 0.028 * unit), fill=105)
    # a hard light throws a shadow aside as well, a grey sky only leaves the one below the feet
    end = x - np.sign(sun) * 0.75 * unit * max(0.0, abs(sun) - 0.3)
    if end != x:
        corners = ((x - 0.1 * unit, y + 2), (x + 0.1 * unit, y + 2), (end + 3, y - 13), (end - 3, y - 13))
        draw.polygon(corners, fill=95)
    dark = np.asarray(shadow.filter(ImageFilter.GaussianBlur(1.8)), np.float32)[..., None]
    return dark * np.array((1.0, 0.96, 0.88), np.float32) / np.float32(255)


def _mirrored(cut_out: Pixels, ground: int, strength: float) -> Pixels:
    """The lower part of a person upside down below row ``ground``."""
    mirrored = np.zeros_like(cut_out)
    rows = min(SIZE[1] - ground, ground)
    if 0 < rows < SIZE[1]:
        mirrored[ground : ground + rows] = strength * cut_out[ground - rows : ground][::-1]
    return mirrored


def _occluder(camera: Camera, rng: np.random.Generator) -> Pixels:
    """Something of the street that stands between the camera and the person."""
    canvas = Canvas(*SIZE, camera.sun)
    mood, kind = camera.domain.mood, str(rng.choice(("pole", "bush", "bin", "planter", "suitcase")))
    thing = mood.things[int(rng.integers(len(mood.things)))]
    x = float(rng.choice((rng.uniform(4, 24), rng.uniform(40, 60))))
    if kind == "pole":
        canvas.column(((x, -4, 2.6), (x, 132, 3.0)), shaded(mix(thing, mood.dark, 0.6), 1.1))
    elif kind in ("bush", "planter"):
        top = float(rng.uniform(84, 98))
        if kind == "planter":
            canvas.column(((x, top + 14, 22), (x, 130, 18)), mix(thing, (170, 160, 150), 0.5))
        for _ in range(26):
            cx, cy = x + float(rng.normal(0, 9)), top + float(rng.uniform(0, 16 if kind == "planter" else 44))
            leaf = mood.leaves[int(rng.integers(len(mood.leaves)))]
            canvas.ellipse(cx, cy, 5.2, 4.6, shaded(leaf, 0.72 + 0.012 * max(0.0, 110 - cy)))
    elif kind == "bin":
        canvas.column(((x, 92, 10), (x, 94, 11), (x, 126, 9)), mix(thing, mood.dark, 0.35))
        canvas.column(((x, 88, 7), (x, 94, 12)), shaded(mood.dark, 1.3))
    else:
        canvas.column(((x, 98, 9), (x, 125, 9)), thing)
        canvas.line(((x - 4, 98), (x - 4, 86), (x + 4, 86), (x + 4, 98)), 1.2, mood.dark)
        for side in (-6, 6):
            canvas.ellipse(x + side, 126, 1.8, 1.8, mood.dark)
    return canvas.finished()


def _over(picture: Pixels, cut_out: Pixels) -> Pixels:
    """``cut_out`` (colour times coverage, coverage) laid over ``picture``."""
    return picture * (1 - cut_out[..., 3:]) + cut_out[..., :3]


def _developed(picture: Pixels, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the camera makes of the light: colour, contrast, sharpness, noise."""
    domain = camera.domain
    light = picture * np.array(camera.balance, np.float32) * np.float32(camera.gain * rng.uniform(0.96, 1.04))
    grey = light @ np.array((0.299, 0.587, 0.114), np.float32)
    light = grey[..., None] + np.float32(camera.saturation) * (light - grey[..., None])
    light = light + np.float32(camera.haze) * (np.array(domain.haze_colour, np.float32) - light)
    light = np.maximum(light, 0) ** np.float32(np.exp(camera.gamma))
    # above the knee highlights are compressed: skin and snow keep their drawing instead of clipping to white
    knee = np.float32(0.72)
    light = np.where(light > knee, knee + (1 - knee) * np.tanh((light - knee) / (1 - knee)), light)
    image = Image.fromarray((255 * light).astype(np.uint8))
    blur = camera.blur * float(rng.uniform(0.6, 1.4))
    if blur > 0.15:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    small = (round(SIZE[0] * camera.resolution), round(SIZE[1] * camera.resolution))
    sensed = np.asarray(image.resize(small, Image.Resampling.BILINEAR), np.float32) / 255
    # the sensor's noise, before its picture is enlarged: of brightness and of colour, more of it in the dark
    noise = rng.standard_normal((small[1], small[0], 4), np.float32)
    sensed = sensed + np.float32(camera.noise) * (noise[..., :1] + 0.6 * noise[..., 1:]) * (1.15 - 0.5 * sensed)
    final = Image.fromarray((np.clip(sensed, 0, 1) * 255 + 0.5).astype(np.uint8))
    return np.asarray(final.resize(SIZE, Image.Resampling.BICUBIC))
