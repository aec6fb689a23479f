"""Who a person is: build, head, clothes and bag, drawn at random from a wardrobe, some nearly another person's twin."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from demo.canvas import Colour
from mutual.machine.streams import numpy_stream

Choice = tuple[tuple[str, float], ...]  # (what, weight)


@dataclass(frozen=True)
class Wardrobe:
    """What the people of one domain wear. Few colours: many people then share the colour of their top."""

    tops: Choice
    patterns: Choice
    top_colours: tuple[Colour, ...]
    bottoms: Choice
    bottom_colours: tuple[Colour, ...]
    shoes: Choice
    shoe_colours: tuple[Colour, ...]
    hats: Choice
    bags: Choice
    bag_colours: tuple[Colour, ...]
    scarf_probability: float


@dataclass(frozen=True)
class Body:
    """Build: height and width as factors of the average (about 0.9 .. 1.1), shoulders against hips, skin."""

    height: float
    width: float
    shoulders: float
    skin: Colour


@dataclass(frozen=True)
class Head:
    """Hair, beard, hat, and what is around the neck (None: nothing)."""

    hair: str
    hair_colour: Colour
    beard: bool
    hat: str
    hat_colour: Colour
    scarf: Colour | None


@dataclass(frozen=True)
class Top:
    """The garment above the hips. ``sleeve`` is the covered share of the arm, ``hem`` its height above the ground."""

    kind: str
    pattern: str
    colour: Colour
    accent: Colour
    sleeve: float
    hem: float


@dataclass(frozen=True)
class Bottom:
    """The garment below the hips."""

    kind: str
    colour: Colour


@dataclass(frozen=True)
class Shoes:
    """What is on the feet."""

    kind: str
    colour: Colour


@dataclass(frozen=True)
class Bag:
    """What is carried, and on which side (-1: the right hand's, 1: the left hand's)."""

    kind: str
    colour: Colour
    side: int


@dataclass(frozen=True)
class Identity:
    """One person: six groups of attributes; a near-twin shares three of them with somebody."""

    body: Body
    head: Head
    top: Top
    bottom: Bottom
    shoes: Shoes
    bag: Bag


def invented(rng: np.random.Generator, wardrobe: Wardrobe) -> Identity:
    """A person with every attribute drawn from ``wardrobe``."""
    return Identity(
        body=_body(rng),
        head=_head(rng, wardrobe),
        top=_top(rng, wardrobe),
        bottom=Bottom(_one(rng, wardrobe.bottoms), _colour(rng, wardrobe.bottom_colours)),
        shoes=Shoes(_one(rng, wardrobe.shoes), _colour(rng, wardrobe.shoe_colours)),
        bag=Bag(_one(rng, wardrobe.bags), _colour(rng, wardrobe.bag_colours), int(rng.choice((-1, 1)))),
    )


def invented_people(
    seed: int, purpose: str, pids: Sequence[int], wardrobe: Wardrobe, twin_share: float
) -> dict[int, Identity]:
    """A person for each of ``pids``; a share of them (exact but for rounding) takes half of another's attributes."""
    people = {pid: invented(numpy_stream(seed, f"{purpose}/person", pid), wardrobe) for pid in pids}
    rng = numpy_stream(seed, f"{purpose}/twins")
    order = [int(pid) for pid in rng.permutation(list(pids))]
    twins = min(round(twin_share * len(order)), len(order) // 2)
    groups = [field.name for field in fields(Identity)]
    # the first are twins of the last, who are nobody's twin themselves: no chains of equal people
    for pid, other in zip(order[:twins], order[::-1], strict=False):
        shared = rng.choice(groups, len(groups) // 2, replace=False)
        people[pid] = replace(people[pid], **{str(name): getattr(people[other], name) for name in shared})
    return people


def _body(rng: np.random.Generator) -> Body:
    skins: tuple[Colour, ...] = ((228, 184, 154), (214, 164, 130), (190, 138, 104), (148, 100, 72), (106, 70, 54))
    return Body(
        height=float(rng.uniform(0.9, 1.04)),
        width=float(rng.uniform(0.87, 1.12)),
        shoulders=float(rng.uniform(0.88, 1.08)),
        skin=_colour(rng, skins),
    )


def _head(rng: np.random.Generator, wardrobe: Wardrobe) -> Head:
    hairs: Choice = (("short", 4), ("crop", 2), ("bob", 2), ("long", 3), ("tail", 2), ("bun", 1.5), ("curls", 1.5))
    hairs += (("bald", 0.8),)
    colours: tuple[Colour, ...] = ((34, 28, 28), (66, 44, 34), (112, 72, 44), (206, 166, 98), (158, 74, 40))
    colours += ((168, 164, 162),)
    hair = _one(rng, hairs)
    return Head(
        hair=hair,
        hair_colour=_colour(rng, colours),
        beard=hair in ("short", "crop", "bald") and bool(rng.random() < 0.3),
        hat=_one(rng, wardrobe.hats),
        hat_colour=_colour(rng, wardrobe.top_colours),
        scarf=_colour(rng, wardrobe.top_colours) if rng.random() < wardrobe.scarf_probability else None,
    )


def _top(rng: np.random.Generator, wardrobe: Wardrobe) -> Top:
    kind = _one(rng, wardrobe.tops)
    sleeve = {"tank": 0.0, "dress": float(rng.choice((0.0, 0.32))), "tee": 0.36}.get(kind, 1.0)
    low, high = {"dress": (0.27, 0.36), "coat": (0.24, 0.36), "parka": (0.36, 0.42)}.get(kind, (0.45, 0.49))
    colours = wardrobe.top_colours
    first, second = rng.choice(len(colours), 2, replace=False)
    return Top(
        kind=kind,
        pattern=_one(rng, wardrobe.patterns),
        colour=_nearly(rng, colours[first]),
        accent=_nearly(rng, colours[second]),
        sleeve=sleeve if kind != "shirt" else float(rng.choice((0.36, 0.6, 1.0))),
        hem=float(rng.uniform(low, high)),
    )


def _one(rng: np.random.Generator, choice: Choice) -> str:
    weights = np.array([weight for _, weight in choice])
    return choice[int(rng.choice(len(choice), p=weights / weights.sum()))][0]


def _colour(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return _nearly(rng, colours[int(rng.integers(len(colours)))])


def _nearly(rng: np.random.Generator, colour: Colour) -> Colour:
    """No two dyes are quite the same."""
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, 5, 3), 0, 255)
    return int(red), int(green), int(blue)
