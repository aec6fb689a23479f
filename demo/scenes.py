"""The two domains and their cameras: what a place looks like, and what a camera makes of a person in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.backdrops import backdrop
from demo.identities import Wardrobe
from demo.places import Mood, painters
from demo.wardrobes import SUMMER_CLOTHES, WINTER_CLOTHES
from mutual.machine.streams import numpy_stream

Range = tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """Everything that sets how hard a domain is, and how far it is from the other one.

    A range (low, high) is spread evenly over the domain's cameras, in an order drawn from the seed: two seeds then
    differ in who stands where, not in how hard the set is.
    """

    name: str
    wardrobe: Wardrobe
    mood: Mood
    cameras: int = 5
    twin_share: float = 0.27  # of the people share half of their attributes with somebody else
    saturation: Range = (0.92, 1.08)  # 0: grey, 1: as painted
    haze: Range = (0.0, 0.04)  # share of haze over the picture
    haze_colour: tuple[float, float, float] = (0.80, 0.82, 0.84)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # the domain's white balance: red, green, blue
    cast: float = 0.08  # how far a camera's own red and blue stray from that, as a share
    gain: Range = (0.92, 1.09)  # exposure
    gamma: Range = (-0.13, 0.13)  # logarithm of the exponent: above 0 is darker in the middle tones
    blur: Range = (0.0, 0.6)  # of the lens: sigma in pixels
    resolution: Range = (0.72, 1.0)  # of the sensor, as a share of the delivered picture's
    noise: Range = (0.008, 0.022)  # sigma, where white is 1
    sunlight: Range = (0.35, 0.9)  # hardness of the side light
    daylight: tuple[float, float, float] = (1.0, 1.0, 1.0)  # on people: red, green, blue
    reflection: float = 0.0  # of people on the ground
    occluder_probability: float = 0.10
    passer_by_probability: float = 0.20
    height_jitter: Range = (0.95, 1.05)  # of the person in the crop
    shift: float = 3.0  # of the person in the crop: sigma in pixels
    favoured_view: float = 0.4  # share of a camera's pictures that show its favoured view, the rest is spread evenly


@dataclass(frozen=True)
class Camera:
    """One camera: the place it looks at (uint8 (height, width, 3)) and its response; see :class:`Domain`."""

    number: int
    domain: Domain
    place: NDArray[np.uint8]
    balance: tuple[float, float, float]
    saturation: float
    haze: float
    gain: float
    gamma: float
    blur: float
    resolution: float
    noise: float
    sun: float
    view: int


def summer() -> Domain:
    """The source: a bright day, light clothes, clean cameras."""
    mood = Mood(
        sky=((150, 200, 236), (216, 232, 236)),
        grounds=((196, 184, 164), (182, 178, 174), (204, 188, 158)),
        walls=((222, 206, 176), (206, 146, 118), (190, 204, 204), (232, 222, 206), (196, 170, 142)),
        leaves=((92, 146, 76), (120, 164, 84), (74, 128, 80), (148, 178, 92)),
        windows=((128, 164, 184), (150, 186, 200), (104, 140, 164), (226, 232, 220)),
        things=((206, 84, 72), (62, 120, 158), (232, 186, 84), (78, 150, 128), (226, 222, 214), (92, 96, 112)),
        dark=(62, 62, 68),
        wet=0.0,
        bloom=0.06,
    )
    return Domain("summer", SUMMER_CLOTHES, mood)


def winter() -> Domain:
    """The target: a wet evening late in the year, coats, cameras that are bluer, paler, darker and noisier."""
    mood = Mood(
        sky=((96, 114, 152), (206, 178, 170)),
        grounds=((112, 118, 132), (124, 122, 128), (104, 112, 124)),
        walls=((116, 108, 116), (138, 104, 94), (98, 112, 128), (148, 132, 120), (106, 118, 120)),
        leaves=((190, 112, 54), (164, 90, 50), (128, 110, 70), (206, 148, 66), (100, 108, 80)),
        windows=((255, 198, 116), (250, 174, 96), (118, 134, 158), (255, 216, 156)),
        things=((136, 60, 62), (60, 88, 120), (164, 128, 76), (70, 104, 100), (150, 154, 160), (70, 72, 84)),
        dark=(38, 40, 48),
        wet=0.42,
        bloom=0.5,
    )
    return Domain(
        "winter",
        WINTER_CLOTHES,
        mood,
        twin_share=0.25,
        saturation=(0.74, 0.98),
        cast=0.05,
        haze=(0.01, 0.08),
        haze_colour=(0.50, 0.55, 0.64),
        tint=(0.96, 1.0, 1.06),
        gain=(1.02, 1.18),
        gamma=(-0.05, 0.15),
        blur=(0.1, 0.6),
        resolution=(0.68, 0.98),
        noise=(0.009, 0.021),
        sunlight=(0.05, 0.4),
        daylight=(0.95, 0.92, 0.89),
        reflection=0.25,
    )


def cameras(seed: int, domain: Domain) -> list[Camera]:
    """The domain's cameras, numbered from 1."""
    rng = numpy_stream(seed, f"{domain.name}/cameras")
    count = domain.cameras
    red, blue = (1 + _spread(rng, (-domain.cast, domain.cast), count) for _ in range(2))
    sun = _spread(rng, domain.sunlight, count) * rng.permutation(np.resize((-1, 1), count))
    kinds = rng.permutation(np.resize(list(painters()), count))
    views = rng.permutation(np.resize(np.arange(4), count))
    values = {
        name: _spread(rng, getattr(domain, name), count)
        for name in ("saturation", "haze", "gain", "gamma", "blur", "resolution", "noise")
    }
    return [
        Camera(
            number=k + 1,
            domain=domain,
            place=backdrop(str(kinds[k]), domain.mood, numpy_stream(seed, f"{domain.name}/place", k)),
            balance=(domain.tint[0] * float(red[k]), domain.tint[1], domain.tint[2] * float(blue[k])),
            sun=float(sun[k]),
            view=int(views[k]),
            **{name: float(spread[k]) for name, spread in values.items()},
        )
        for k in range(count)
    ]


def _spread(rng: np.random.Generator, bounds: Range, count: int) -> NDArray[np.float64]:
    """``count`` values evenly over ``bounds``, in random order."""
    low, high = bounds
    return rng.permutation(low + (np.arange(count) + 0.5) / count * (high - low))
