"""A pedestrian: an identity in a pose, painted from the back to the front."""

from math import cos, sin

from demo.canvas import Canvas, Fill, Round, mix, shaded
from demo.clothes import (
    paint_backpack,
    paint_carried,
    paint_collar,
    paint_front,
    paint_straps,
    torso,
)
from demo.heads import paint_hair_behind, paint_head, paint_neck, paint_scarf
from demo.identities import Identity
from demo.parts import Part
from demo.patterns import cloth
from demo.skeleton import Arm, Leg, Pose, View, arms, between, legs


def paint_figure(canvas: Canvas, identity: Identity, pose: Pose, place: tuple[float, float, float]) -> None:
    """A person, with every :class:`Part` under its label.

    ``place`` is the pixel (x, y) of the feet and the height in pixels of a person of height 1.
    """
    x, y, unit = place
    view = View(pose.yaw, x, y, unit * identity.body.height, identity.body.width)
    pair, hair_first = arms(pose, identity.body.shoulders), cos(pose.yaw) > 0.25
    neck = view.at((0.0, 0.83, 0.0))
    fill = cloth(identity.top, canvas.size, neck[0], neck[1], view.unit)
    if cos(pose.yaw) > -0.15:
        paint_backpack(canvas, view, identity.bag)
    if hair_first:
        paint_hair_behind(canvas, view, identity.head)
    _paint_arms(canvas, view, identity, pair, fill, near=False)
    _paint_lower_body(canvas, view, identity, legs(pose))
    paint_neck(canvas, view, identity.body.skin)
    canvas.part = Part.UPPER_CLOTHES
    canvas.column(torso(view, identity.top, identity.body.shoulders), fill, 1.0, 0.02 * view.unit)
    paint_front(canvas, view, identity.top)
    paint_straps(canvas, view, identity.bag)
    if cos(pose.yaw) <= -0.15:
        paint_backpack(canvas, view, identity.bag)
    _paint_arms(canvas, view, identity, pair, fill, near=True)
    paint_collar(canvas, view, identity.top)
    if not hair_first:
        paint_hair_behind(canvas, view, identity.head)
    paint_scarf(canvas, view, identity.head)
    paint_head(canvas, view, identity.head, identity.body.skin, identity.top.colour)


def _paint_arms(canvas: Canvas, view: View, identity: Identity, pair: tuple[Arm, Arm], fill: Fill, near: bool) -> None:
    """Those of the arms that are before the torso (``near``), or behind it, and what they carry."""
    carrier = pair[0] if identity.bag.side < 0 else pair[1]
    bag_near = view.depth((identity.bag.side * 0.1, 0.5, 0.0)) > -0.03
    for arm in pair:
        if (view.depth(arm.elbow) >= 0) == near:
            _paint_arm(canvas, view, identity, arm, fill)
            if arm is carrier:
                paint_carried(canvas, view, identity.bag, arm, bag_near)


def _paint_arm(canvas: Canvas, view: View, identity: Identity, arm: Arm, fill: Fill) -> None:
    """Skin from the shoulder to the hand, and the sleeve over it."""
    skin, top, tone = identity.body.skin, identity.top, 0.84 if view.depth(arm.shoulder) < -0.03 else 1.0
    cast = 0.01 * view.unit
    canvas.part = Part.SKIN
    if not arm.pocketed:
        canvas.limb([view.round(arm.wrist, 0.016), view.round(arm.hand, 0.0175)], skin, tone)
    if top.sleeve < 1:
        bare = ((arm.shoulder, 0.029), (arm.elbow, 0.0225), (arm.wrist, 0.0165))
        canvas.limb([view.round(joint, radius) for joint, radius in bare], skin, tone, cast)
    canvas.part = Part.UPPER_CLOTHES
    thick = {"puffer": 0.011, "parka": 0.009, "coat": 0.007, "hoodie": 0.006, "jacket": 0.005}.get(top.kind, 0.001)
    joints = [view.round(arm.shoulder, 0.032 + thick)]
    if top.sleeve > 0.5:
        cuff = between(arm.elbow, arm.wrist, 2 * top.sleeve - 1)
        joints += [view.round(arm.elbow, 0.0265 + thick), view.round(cuff, 0.021 + thick)]
    elif top.sleeve > 0:
        joints += [view.round(between(arm.shoulder, arm.elbow, 2 * top.sleeve), 0.032)]
    if top.sleeve > 0:
        canvas.limb(joints, fill, tone, cast, hemmed=True)
    if top.kind == "puffer":
        for share in (0.35, 0.75):
            x, y, radius = view.round(between(arm.shoulder, arm.elbow, share), 0.036)
            canvas.crease(((x - radius, y), (x + radius, y)), 0.008 * view.unit, 0.76 * tone)


def _paint_lower_body(canvas: Canvas, view: View, identity: Identity, pair: tuple[Leg, Leg]) -> None:
    """Legs from the far to the near one with shoes and trousers, and the skirt around them."""
    kind, colour = identity.bottom.kind, identity.bottom.colour
    dressed = identity.top.kind == "dress"
    far_first = sorted(pair, key=lambda leg: view.depth(leg.hip) + 0.5 * view.depth(leg.knee))
    for leg, tone in zip(far_first, (0.8 if abs(sin(view.yaw)) > 0.35 else 0.95, 1.0), strict=True):
        _paint_leg(canvas, view, identity, leg, tone, bare=dressed)
    if dressed:
        return
    canvas.part = Part.LOWER_CLOTHES
    canvas.column(
        [view.section(y, w, d) for y, w, d in ((0.58, 0.075, 0.055), (0.52, 0.086, 0.066), (0.45, 0.07, 0.062))], colour
    )
    if "skirt" in kind:
        hem = 0.14 if kind == "long skirt" else 0.31
        spread = max(abs(view.at(leg.knee)[0] - view.x) for leg in pair) / view.unit
        low = max(0.105, 0.8 * spread + 0.055) / view.width
        swept: list[Round] = [view.section(0.57, 0.074, 0.056), view.section(0.48, 0.094, 0.072)]
        swept.append(view.round((0.0, hem, 0.0), low * (1.08 if kind == "long skirt" else 1.0)))
        canvas.column(swept, colour, 1.0, 0.015 * view.unit)
        for across in (-0.45, 0.05, 0.5):  # pleats
            x, y, half = swept[-1]
            canvas.crease(((x + 0.6 * across * half, swept[1][1]), (x + across * half, y)), 0.008 * view.unit, 0.86)


def _paint_leg(canvas: Canvas, view: View, identity: Identity, leg: Leg, tone: float, bare: bool) -> None:
    kind, colour, shoes = identity.bottom.kind, identity.bottom.colour, identity.shoes
    covered = not (bare or kind == "shorts" or "skirt" in kind)
    sole = [view.round(leg.heel, 0.016), view.round(leg.toe, 0.0145)]
    upper = [view.round(leg.ankle, 0.024), view.round(between(leg.heel, leg.toe, 0.55), 0.02)]
    if not covered:
        skin = ((leg.hip, 0.05), (leg.knee, 0.034), (between(leg.knee, leg.ankle, 0.4), 0.033), (leg.ankle, 0.019))
        tights = kind == "skirt over tights"
        colour_below = (56, 50, 58) if tights else identity.body.skin
        canvas.part = Part.LOWER_CLOTHES if tights else Part.SKIN
        canvas.limb([view.round(joint, radius) for joint, radius in skin], colour_below, tone)
    canvas.part = Part.SHOES
    canvas.limb(
        sole, mix(shoes.colour, (236, 234, 228), 0.75) if shoes.kind == "sneakers" else shaded(shoes.colour, 0.7), tone
    )
    canvas.limb(upper, shoes.colour if shoes.kind != "sandals" else mix(shoes.colour, identity.body.skin, 0.6), tone)
    if shoes.kind == "boots":
        shaft = ((between(leg.knee, leg.ankle, 0.45), 0.036), (leg.ankle, 0.029))
        canvas.limb([view.round(joint, radius) for joint, radius in shaft], shoes.colour, tone)
    canvas.part = Part.LOWER_CLOTHES
    if covered:
        knee, ankle = {"wide": (0.05, 0.052), "leggings": (0.037, 0.025), "cargo": (0.047, 0.036)}.get(
            kind, (0.043, 0.034)
        )
        end = between(leg.knee, leg.ankle, 0.62 if shoes.kind == "boots" else 1.04)
        cut = ((leg.hip, 0.056), (between(leg.hip, leg.knee, 0.5), 0.052), (leg.knee, knee), (end, ankle))
        canvas.limb([view.round(joint, radius) for joint, radius in cut], colour, tone, 0.008 * view.unit, hemmed=True)
        x, y, radius = view.round(leg.knee, knee)
        canvas.crease(((x - 0.6 * radius, y + 0.5 * radius), (x + 0.5 * radius, y)), 0.007 * view.unit, 0.84 * tone)
        if kind == "cargo":
            x, y, radius = view.round(between(leg.hip, leg.knee, 0.75), 0.05)
            canvas.flat(
                ((x - radius, y - radius), (x, y - radius), (x, y + radius), (x - radius, y + radius)),
                shaded(colour, 0.88),
            )
    elif kind == "shorts" and not bare:
        short = ((leg.hip, 0.057), (between(leg.hip, leg.knee, 0.86), 0.053))
        canvas.limb([view.round(joint, radius) for joint, radius in short], colour, tone, 0.02 * view.unit, hemmed=True)
