"""A walking skeleton in three dimensions and how it is seen: joints in body heights, projected to pixels."""

from dataclasses import dataclass
from math import cos, hypot, pi, sin

from demo.canvas import Point, Round

Joint = tuple[float, float, float]  # x to the person's left, y up from the ground, z forward, in body heights


@dataclass(frozen=True)
class Pose:
    """One moment of a walk.

    ``yaw`` (radians): 0 faces the viewer, pi / 2 walks to the right, pi is seen from behind. ``phase`` (0 .. 2 pi)
    of the step, ``stride`` (0 .. 0.5) the thigh's swing, ``arms`` is "swing", "pockets" or "phone".
    """

    yaw: float
    phase: float
    stride: float
    arms: str


@dataclass(frozen=True)
class View:
    """Where and how large the person stands in the picture: pixels of the feet's middle, of a body height."""

    yaw: float
    x: float
    ground: float
    unit: float
    width: float

    def at(self, joint: Joint) -> Point:
        """The pixel of a joint. What is nearer is a little lower: cameras hang above people."""
        x, y, z = joint
        across = self.width * x * cos(self.yaw) + z * sin(self.yaw)
        return self.x + across * self.unit, self.ground - (y - 0.12 * self.depth(joint)) * self.unit

    def round(self, joint: Joint, radius: float) -> Round:
        """A joint with a half width (in body heights) in pixels."""
        return (*self.at(joint), radius * self.width * self.unit)

    def section(self, y: float, half_width: float, half_depth: float, lean: float = 0.0) -> Round:
        """A horizontal section through the body, an ellipse seen from its side."""
        seen = hypot(half_width * cos(self.yaw), half_depth * sin(self.yaw))
        return self.round((0.0, y, lean * (y - 0.5)), seen)

    def depth(self, joint: Joint) -> float:
        """How much nearer than the body's axis a joint is, in body heights."""
        return joint[2] * cos(self.yaw) - joint[0] * sin(self.yaw)


@dataclass(frozen=True)
class Leg:
    """One leg's joints."""

    hip: Joint
    knee: Joint
    ankle: Joint
    heel: Joint
    toe: Joint


@dataclass(frozen=True)
class Arm:
    """One arm's joints; ``pocketed``: the hand is out of sight."""

    shoulder: Joint
    elbow: Joint
    wrist: Joint
    hand: Joint
    pocketed: bool


def legs(pose: Pose) -> tuple[Leg, Leg]:
    """The right and the left leg, the lower of the feet on the ground."""
    pair = (_leg(-1, pose.phase, pose.stride), _leg(1, pose.phase + pi, pose.stride))
    low = min(min(leg.heel[1], leg.toe[1]) for leg in pair)
    return _raised(pair[0], -low), _raised(pair[1], -low)


def arms(pose: Pose, shoulders: float) -> tuple[Arm, Arm]:
    """The right and the left arm; each swings with the other side's leg."""
    half = 0.087 * shoulders
    right = _arm(-1, half, 0.85 * pose.stride * cos(pose.phase + pi), pose.arms if pose.arms != "phone" else "swing")
    left = _arm(1, half, 0.85 * pose.stride * cos(pose.phase), pose.arms)
    return right, left


def between(start: Joint, end: Joint, share: float) -> Joint:
    """The point ``share`` of the way from one joint to another."""
    x, y, z = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return x, y, z


def _leg(side: int, phase: float, stride: float) -> Leg:
    swing = stride * cos(phase) + 0.04
    # the knee bends while the leg comes forward, most in the middle of that
    bend = 0.07 + 2.0 * stride * max(0.0, -sin(phase)) ** 1.3 + 0.25 * stride * max(0.0, -cos(phase))
    x = side * 0.05
    hip = (x, 0.505, 0.0)
    knee = (x * 0.95, hip[1] - 0.235 * cos(swing), 0.235 * sin(swing))
    ankle = (x * 0.85, knee[1] - 0.215 * cos(swing - bend), knee[2] + 0.215 * sin(swing - bend))
    pitch = 0.75 * (swing - bend) + (0.25 * stride if cos(phase) > 0.5 else 0.0)
    heel = (ankle[0], ankle[1] - 0.034 * cos(pitch) - 0.018 * sin(pitch), ankle[2] - 0.018 + 0.034 * sin(pitch))
    toe = (x * 1.15, ankle[1] - 0.034 * cos(pitch) + 0.082 * sin(pitch), ankle[2] + 0.082 * cos(pitch))
    return Leg(hip, knee, ankle, heel, toe)


def _raised(leg: Leg, by: float) -> Leg:
    """The leg with its foot moved up or down; knee and hip follow in part, as they bend."""
    hip, knee, ankle, heel, toe = (
        (joint[0], joint[1] + by * share, joint[2])
        for joint, share in ((leg.hip, 0.0), (leg.knee, 0.5), (leg.ankle, 1.0), (leg.heel, 1.0), (leg.toe, 1.0))
    )
    return Leg(hip, knee, ankle, heel, toe)


def _arm(side: int, half: float, swing: float, manner: str) -> Arm:
    shoulder = (side * half, 0.777, 0.0)
    if manner == "pockets":
        elbow, wrist = (side * (half + 0.045), 0.64, -0.035), (side * (half + 0.005), 0.515, 0.03)
    elif manner == "phone":
        elbow, wrist = (side * (half + 0.02), 0.635, 0.02), (side * (half - 0.045), 0.70, 0.13)
    else:
        bend = 0.22 + 0.55 * max(0.0, swing)
        elbow = (side * (half + 0.027), shoulder[1] - 0.16 * cos(swing), 0.16 * sin(swing))
        wrist = (side * (half + 0.033), elbow[1] - 0.145 * cos(swing + bend), elbow[2] + 0.145 * sin(swing + bend))
    return Arm(shoulder, elbow, wrist, between(elbow, wrist, 1.16), manner == "pockets")
