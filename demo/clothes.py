"""What is on the torso, on top of its cloth: zips, lapels, quilting, hoods, and the bags."""

from math import cos, sin

from demo.canvas import Canvas, mix, shaded
from demo.identities import Bag, Top
from demo.parts import Part
from demo.skeleton import Arm, View, between

HIP = 0.47  # height of a waist-long top's hem, in body heights


def torso(view: View, top: Top, shoulders: float) -> list[tuple[float, float, float]]:
    """The sections of a garment from the neck to its hem, in pixels."""
    thick = {"puffer": 0.014, "parka": 0.012, "coat": 0.009, "hoodie": 0.007, "jacket": 0.007}.get(top.kind, 0.0)
    waist = 0.066 if top.kind in ("dress", "tank") else 0.076
    sections = [
        (0.840, 0.032, 0.036),
        (0.829, 0.052 * shoulders, 0.043),
        (0.817, 0.078 * shoulders, 0.050),
        (0.803, 0.095 * shoulders, 0.055),
        (0.785, 0.104 * shoulders + 0.4 * thick, 0.060 + thick),
        (0.72, 0.092 * shoulders + thick, 0.066 + thick),
        (0.66, 0.085 + thick, 0.062 + thick),
        (0.60, waist + 1.4 * thick, 0.056 + 1.4 * thick),
        (0.54, 0.084 + thick, 0.062 + thick),
        (HIP, 0.088 + thick, 0.066 + thick),
    ]
    flare = 0.26 if top.kind == "dress" else 0.1
    kept = [section for section in sections if section[0] > top.hem + 0.01]
    spread = max(0.0, HIP - top.hem) * flare
    width = 0.088 + thick + spread
    kept.append((top.hem, width, 0.068 + thick + 1.6 * spread))
    lean = 0.03
    return [view.section(y, half_width, half_depth, lean) for y, half_width, half_depth in kept]


def paint_front(canvas: Canvas, view: View, top: Top) -> None:
    """What tells a garment's front and surface: emblem, open front, buttons, lapels, quilting, folds."""
    canvas.part = Part.UPPER_CLOTHES
    unit, facing = view.unit, cos(view.yaw)
    if top.kind == "puffer":
        y = 0.77
        while y > top.hem + 0.02:
            canvas.crease([view.at((across, y, 0.03)) for across in (-0.13, 0.13)], 0.009 * unit, 0.74)
            y -= 0.047
    else:  # folds at the waist, towards the side away from the light
        for side, y in ((-1, 0.64), (1, 0.60), (-1, 0.56)):
            fold = [view.at((side * 0.07, y, 0.03)), view.at((side * 0.025, y - 0.022, 0.05))]
            canvas.crease(fold, 0.007 * unit, 0.84)
    if facing < 0.2:
        return
    middle = [view.at((0.0, y, 0.06)) for y in (0.826, top.hem + 0.004)]
    if top.pattern == "open":
        strip = [
            view.at((across, y, 0.06))
            for across, y in ((-0.03, 0.828), (0.03, 0.828), (0.035, top.hem + 0.01), (-0.035, top.hem + 0.01))
        ]
        canvas.flat(strip, top.accent)
    elif top.pattern == "emblem":
        x, y = view.at((0.0, 0.715, 0.06))
        size = 0.03 * unit
        canvas.flat([(x + size * facing * cos(k * 0.785), y + size * sin(k * 0.785)) for k in range(8)], top.accent)
    elif top.kind in ("shirt", "jacket", "coat", "parka", "puffer"):
        canvas.line(middle, 0.009 * unit, shaded(top.colour, 0.62))
    if top.kind in ("shirt", "coat", "jacket"):
        for side in (-1, 1):
            tip = 0.715 if top.kind == "coat" else 0.785
            lapel = [
                view.at(joint) for joint in ((side * 0.03, 0.838, 0.04), (side * 0.052, 0.79, 0.06), (0.0, tip, 0.065))
            ]
            canvas.flat(lapel, shaded(top.colour, 0.8 if top.kind != "shirt" else 1.1))
    elif top.kind in ("tee", "tank", "dress"):
        canvas.line(
            [view.at((across, 0.832 - 0.25 * (0.03 - abs(across)), 0.05)) for across in (-0.03, 0.0, 0.03)],
            0.009 * unit,
            shaded(top.colour, 0.75),
        )


def paint_collar(canvas: Canvas, view: View, top: Top) -> None:
    """The hood or the high collar around the neck, of garments that have one."""
    canvas.part = Part.UPPER_CLOTHES
    if top.kind in ("hoodie", "parka"):
        rim = top.colour if top.kind == "hoodie" else mix(top.colour, (236, 222, 196), 0.75)
        arch = (
            (-0.05, 0.822, 0.03),
            (-0.045, 0.842, -0.04),
            (0.0, 0.838, -0.07),
            (0.045, 0.842, -0.04),
            (0.05, 0.822, 0.03),
        )
        canvas.limb([view.round(joint, 0.019) for joint in arch], rim, 0.9)
        if cos(view.yaw) < -0.2:
            canvas.limb(
                [view.round((0.0, y, -0.08), radius) for y, radius in ((0.82, 0.05), (0.775, 0.03))],
                shaded(top.colour, 0.9),
                0.92,
            )
    elif top.kind in ("puffer", "coat"):
        canvas.column([view.section(y, 0.04, 0.042) for y in (0.862, 0.82)], shaded(top.colour, 0.88), 0.95)


def paint_backpack(canvas: Canvas, view: View, bag: Bag) -> None:
    """A backpack's body: behind the torso, or on it when seen from behind."""
    if bag.kind != "backpack":
        return
    canvas.part = Part.BAG
    x, y = view.at((0.0, 0.70, -0.098))
    unit, half = view.unit, 0.074 * abs(cos(view.yaw)) * view.width + 0.04 * abs(sin(view.yaw))
    body = ((-0.115, 0.55), (-0.10, 0.85), (-0.06, 1.0), (0.08, 1.05), (0.12, 0.92))
    canvas.column([(x, y + dy * unit, half * factor * unit) for dy, factor in body], bag.colour, 1.0, 0.012 * unit)
    pocket = [(x, y + dy * unit, half * 0.72 * unit) for dy in (0.015, 0.09)]
    canvas.column(pocket, shaded(bag.colour, 0.86), 0.96, 0.008 * unit)
    canvas.line(
        [(x - half * 0.8 * unit, y - 0.045 * unit), (x + half * 0.8 * unit, y - 0.045 * unit)],
        0.008 * unit,
        shaded(bag.colour, 0.6),
    )


def paint_straps(canvas: Canvas, view: View, bag: Bag) -> None:
    """The straps that cross the torso: two of a backpack in front, one of a shoulder bag all around."""
    canvas.part = Part.BAG
    unit, facing = view.unit, cos(view.yaw)
    if bag.kind == "backpack" and facing > -0.25:
        for side in (-1, 1):
            strap = [(side * 0.06, 0.822, 0.03), (side * 0.066, 0.75, 0.07), (side * 0.075, 0.66, 0.035)]
            if view.depth(strap[1]) > 0.015:
                canvas.line([view.at(joint) for joint in strap], 0.019 * unit, shaded(bag.colour, 0.82))
    elif bag.kind == "shoulder":
        deep = 0.066 if facing > 0 else -0.066
        strap = [(-bag.side * 0.055, 0.824, 0.0), (0.0, 0.70, deep), (bag.side * 0.085, 0.55, 0.0)]
        canvas.line([view.at(joint) for joint in strap], 0.014 * unit, shaded(bag.colour, 0.7))


def paint_carried(canvas: Canvas, view: View, bag: Bag, arm: Arm, near: bool) -> None:
    """A shoulder bag at the hip or a tote in the hand of ``arm``; ``near``: whether that side is turned to us."""
    canvas.part = Part.BAG
    unit = view.unit
    if bag.kind == "shoulder":
        joint = (bag.side * 0.118, 0.50, 0.0)
        half = (0.05 * abs(sin(view.yaw)) + 0.03 * abs(cos(view.yaw)) + 0.012) * unit
        if near:
            x, y = view.at(joint)
            canvas.column([(x, y + dy * unit, half) for dy in (-0.042, 0.045)], bag.colour, 1.0, 0.01 * unit)
            canvas.column([(x, y + dy * unit, half) for dy in (-0.042, -0.005)], shaded(bag.colour, 0.85))
    elif bag.kind == "tote":
        x, y = view.at(between(arm.wrist, arm.hand, 0.8))
        half = (0.055 * abs(sin(view.yaw)) + 0.03 * abs(cos(view.yaw))) * unit
        canvas.line(
            [(x - 0.6 * half, y + 0.06 * unit), (x, y), (x + 0.6 * half, y + 0.06 * unit)],
            0.008 * unit,
            shaded(bag.colour, 0.6),
        )
        canvas.column([(x, y + dy * unit, half * wide) for dy, wide in ((0.05, 0.9), (0.155, 1.1))], bag.colour)
