"""Heads: hair, face, hat and scarf, for any direction of the face."""

from math import cos, sin

from demo.canvas import Canvas, Colour, mix, shaded
from demo.identities import Head
from demo.parts import Part
from demo.skeleton import View

HEIGHT = 0.918  # of the head's middle above the ground, in body heights


def paint_hair_behind(canvas: Canvas, view: View, head: Head) -> None:
    """The hair that hangs behind the neck: painted before the neck when the face is seen, after the torso if not."""
    if head.hat == "hood":
        return
    canvas.part = Part.HEAD
    colour = head.hair_colour
    if head.hair in ("long", "bob"):
        heights = (0.965, 0.93, 0.87, 0.82, 0.765) if head.hair == "long" else (0.965, 0.93, 0.89, 0.86, 0.838)
        widths = (0.036, 0.055, 0.061, 0.057, 0.038) if head.hair == "long" else (0.036, 0.056, 0.064, 0.066, 0.058)
        # from the side the hair is as deep as the back of the head, behind the ear
        narrow = 1.0 - 0.32 * abs(sin(view.yaw))
        joints = [((0.0, y, -0.034), width) for y, width in zip(heights, widths, strict=True)]
        canvas.column([view.round(joint, width * narrow) for joint, width in joints], colour, 0.9)
    elif head.hair == "tail":
        tail = (((0.0, 0.95, -0.055), 0.02), ((0.0, 0.89, -0.088), 0.023), ((0.0, 0.82, -0.078), 0.011))
        canvas.limb([view.round(joint, radius) for joint, radius in tail], colour, 0.92)
    elif head.hair == "bun" and head.hat == "none":
        canvas.limb([view.round((0.0, 0.976, -0.05), 0.027)], colour, 0.95)


def paint_neck(canvas: Canvas, view: View, skin: Colour) -> None:
    """The neck, in the shadow of the chin."""
    canvas.part = Part.SKIN
    canvas.limb([view.round((0.0, 0.87, 0.0), 0.027), view.round((0.0, 0.80, -0.005), 0.031)], skin, 0.78)


def paint_head(canvas: Canvas, view: View, head: Head, skin: Colour, hood: Colour) -> None:
    """Skull, face and hat. ``hood`` is the colour of a hood worn up."""
    canvas.part = Part.HEAD
    turn, facing, unit = sin(view.yaw), cos(view.yaw), view.unit
    wide = (0.053 + 0.005 * abs(turn)) * (0.6 + 0.4 * view.width)
    x, y = view.at((0.0, HEIGHT, 0.004))
    if head.hat == "hood":
        canvas.limb([view.round((0.0, 0.845, -0.02), 0.06), view.round((0.0, 0.80, -0.02), 0.07)], hood, 0.85)
        canvas.ellipse(x - 0.012 * turn * unit, y, (wide + 0.017) * unit, 0.087 * unit, hood)
    elif facing < -0.5 or head.hair != "bald":
        scalp = mix(skin, head.hair_colour, {"bald": 0.0, "crop": 0.75}.get(head.hair, 1.0))
        puff = 1.28 if head.hair == "curls" else 1.07
        canvas.ellipse(x - 0.004 * turn * unit, y - 0.008 * unit, wide * puff * unit, 0.067 * puff * unit, scalp)
    if facing > -0.55:
        _paint_face(canvas, view, head, skin, wide)
    elif head.hair in ("short", "crop", "tail", "bun") and head.hat != "hood":
        canvas.part = Part.SKIN
        canvas.limb([view.round((0.0, 0.862, -0.03), 0.026)], skin, 0.82)  # the nape
        canvas.part = Part.HEAD
    if head.hat == "none" and head.hair in ("short", "crop", "bald", "tail", "bun"):
        for side in (-1, 1):
            ear = (side * 0.052, 0.905, -0.004)
            if view.depth(ear) > -0.035:
                canvas.limb([view.round(ear, 0.0105)], skin, 0.93)
    _paint_hat(canvas, view, head)


def _paint_face(canvas: Canvas, view: View, head: Head, skin: Colour, wide: float) -> None:
    turn, unit = sin(view.yaw), view.unit
    shift = 0.021 if head.hair != "bald" else 0.006
    x, y = view.at((0.0, 0.902, shift))
    narrow = (0.88 - 0.18 * abs(turn)) if head.hair != "bald" else 1.0
    top = 0.058 if head.hair != "bald" else 0.072
    if head.hair == "bald":
        y -= 0.012 * unit
    canvas.ellipse(x, y, wide * narrow * unit, top * unit, skin)
    if abs(turn) > 0.45:
        canvas.limb([view.round((0.0, 0.899, 0.054), 0.009)], skin)  # the nose, in profile
    if head.beard:
        bx, by = view.at((0.0, 0.872, 0.024))
        canvas.ellipse(bx, by, wide * narrow * 0.9 * unit, 0.03 * unit, mix(head.hair_colour, skin, 0.2))
    dark = mix(shaded(skin, 0.3), (20, 16, 20), 0.5)
    for side in (-1, 1):
        eye = (side * 0.019, 0.909, 0.043)
        if view.depth(eye) > 0.008:
            ex, ey = view.at(eye)
            size = 0.0062 * unit
            canvas.flat(
                ((ex - size, ey - size), (ex + size, ey - size), (ex + size, ey + size), (ex - size, ey + size)), dark
            )
            brow = (ex - 1.8 * size, ey - 2.9 * size), (ex + 1.8 * size, ey - 2.9 * size)
            canvas.line(brow, 0.006 * unit, mix(skin, head.hair_colour, 0.6))
    ends = [view.at((across, 0.872, 0.045)) for across in (-0.014, 0.014)]
    if view.depth((0.0, 0.872, 0.045)) > 0.01:
        canvas.line(ends, 0.007 * unit, mix(shaded(skin, 0.72), (150, 60, 60), 0.45))
        cheeks = [view.at((across, 0.893, 0.045)) for across in (-0.004, 0.006)]
        canvas.crease(cheeks, 0.012 * unit, 0.84)


def _paint_hat(canvas: Canvas, view: View, head: Head) -> None:
    if head.hat in ("none", "hood"):
        return
    colour, unit = head.hat_colour, view.unit
    top = 1.004 if head.hat in ("beanie", "bobble") else 0.994
    dome = ((top, 0.016), (top - 0.012, 0.037), (top - 0.03, 0.052), (0.952, 0.0595), (0.936, 0.0605))
    canvas.column([view.section(y, width, width + 0.003) for y, width in dome], colour)
    if head.hat in ("beanie", "bobble"):
        cuff = [view.section(y, 0.0635, 0.066) for y in (0.957, 0.929)]
        canvas.column(cuff, shaded(colour, 0.82))
        if head.hat == "bobble":
            canvas.limb([view.round((0.0, 1.012, 0.0), 0.021)], mix(colour, (240, 236, 228), 0.6))
    elif head.hat == "cap":
        peak = ((-0.034, 0.941, 0.045), (0.0, 0.938, 0.085), (0.034, 0.941, 0.045))
        canvas.limb([view.round(joint, 0.011) for joint in peak], shaded(colour, 0.8), 0.9, 0.02 * unit)
    else:  # a sun hat: its brim is a disc, seen from a little above
        x, y = view.at((0.0, 0.940, 0.0))
        canvas.ellipse(x, y, 0.108 * unit, 0.021 * unit, shaded(colour, 0.93))
        crown = ((0.994, 0.034), (0.98, 0.049), (0.945, 0.056))
        canvas.column([view.section(height, width, width) for height, width in crown], colour)
        canvas.line([view.at((across, 0.95, 0.03)) for across in (-0.05, 0.05)], 0.011 * unit, shaded(colour, 0.55))


def paint_scarf(canvas: Canvas, view: View, head: Head) -> None:
    """A scarf around the neck, one end hanging down in front."""
    if head.scarf is None:
        return
    canvas.part = Part.UPPER_CLOTHES
    around = ((0.862, 0.043, 0.045), (0.84, 0.056, 0.056), (0.80, 0.052, 0.055))
    if cos(view.yaw) > 0.1:
        end = ((0.02, 0.81, 0.065), (0.026, 0.70, 0.075))
        canvas.limb([view.round(joint, 0.017) for joint in end], shaded(head.scarf, 0.9), 1.0, 0.012 * view.unit)
    canvas.column([view.section(*section) for section in around], head.scarf, 1.0, 0.012 * view.unit)
