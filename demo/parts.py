"""The parts of a pedestrian that a mask tells apart: their labels, names and colours."""

from enum import IntEnum
from itertools import chain

from demo.canvas import Colour


class Part(IntEnum):
    """A label. What is worn up or around counts with what it belongs to.

    A head is hair, face, hat and a hood worn up; upper clothes take in dresses, collars, hoods worn down and scarves;
    lower clothes skirts and tights; skin is the bare rest: neck, arms, hands and legs; a bag is its straps, too.
    """

    BACKGROUND = 0
    HEAD = 1
    UPPER_CLOTHES = 2
    LOWER_CLOTHES = 3
    SKIN = 4
    SHOES = 5
    BAG = 6


# neighbours on a body differ in brightness, too, for those who see few hues
COLOURS: dict[Part, Colour] = {
    Part.BACKGROUND: (24, 28, 32),
    Part.HEAD: (248, 220, 104),
    Part.UPPER_CLOTHES: (64, 136, 212),
    Part.LOWER_CLOTHES: (92, 56, 132),
    Part.SKIN: (248, 168, 140),
    Part.SHOES: (224, 84, 72),
    Part.BAG: (84, 188, 120),
}


def part_names() -> list[str]:
    """The names in the order of the labels: "background", "head", "upper clothes" ..."""
    return [part.name.lower().replace("_", " ") for part in Part]


def palette() -> list[int]:
    """Red, green and blue of label 0, of label 1 and so on, as Pillow takes them."""
    return list(chain.from_iterable(COLOURS[part] for part in Part))
