"""Scenes: one to four coloured shapes on a plain ground, at most one in each quarter of a 64 × 64 picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SIZE_PX = 64
QUARTER_PX = IMAGE_SIZE_PX // 2
QUARTERS = 4
"""Quarters are numbered in reading order: top left, top right, bottom left, bottom right."""

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 35, 35),
    "green": (40, 160, 60),
    "blue": (40, 80, 215),
    "yellow": (240, 205, 25),
    "purple": (140, 55, 170),
    "black": (25, 25, 25),
}
KINDS: tuple[str, ...] = ("circle", "square", "triangle", "star")
COLOR_NAMES: tuple[str, ...] = tuple(COLORS)

_SUPERSAMPLING = 2  # drawn at twice the size and averaged: smooth edges from integer arithmetic alone
_COLOR_JITTER = 14
_RADIUS_PX = (8.0, 13.5)
_STAR_INNER_RADIUS = 0.42


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a scene.

    Attributes:
        color: a key of ``COLORS``.
        kind: one of ``KINDS``.
        quarter: 0 to 3, where it lies.
        center_px: x and y of its centre.
        radius_px: radius of the circle around it.
        angle_rad: rotation.
        fill: the colour it is painted with, near the named one.
    """

    color: str
    kind: str
    quarter: int
    center_px: tuple[float, float]
    radius_px: float
    angle_rad: float
    fill: tuple[int, int, int]

    @property
    def pair(self) -> tuple[str, str]:
        """Colour and kind: what the questions call the shape by."""
        return self.color, self.kind


@dataclass(frozen=True)
class Scene:
    """A ground colour and its shapes, in reading order."""

    ground: tuple[int, int, int]
    shapes: tuple[Shape, ...]

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Colour and kind of every shape, in reading order."""
        return tuple(shape.pair for shape in self.shapes)


def random_pair(rng: Random) -> tuple[str, str]:
    """Draw a colour and a kind, uniformly."""
    return rng.choice(COLOR_NAMES), rng.choice(KINDS)


def random_scene(rng: Random, pairs: Sequence[tuple[str, str]] | None = None) -> Scene:
    """Draw a scene.

    Args:
        rng: random stream.
        pairs: colour and kind of each shape (1 to 4 of them); drawn uniformly if absent, and their number too.

    Returns:
        The scene; which pair lies in which quarter is random.
    """
    if pairs is None:
        pairs = [random_pair(rng) for _ in range(rng.randint(1, QUARTERS))]
    quarters = rng.sample(range(QUARTERS), len(pairs))
    level = rng.randint(205, 250)
    ground = tuple(min(255, max(0, level + rng.randint(-10, 10))) for _ in range(3))
    shapes = [_random_shape(rng, color, kind, quarter) for (color, kind), quarter in zip(pairs, quarters, strict=True)]
    return Scene((ground[0], ground[1], ground[2]), tuple(sorted(shapes, key=lambda shape: shape.quarter)))


def _random_shape(rng: Random, color: str, kind: str, quarter: int) -> Shape:
    radius = rng.uniform(*_RADIUS_PX)
    row, column = divmod(quarter, 2)
    slack = QUARTER_PX / 2 - 1 - radius
    x = (column + 0.5) * QUARTER_PX + rng.uniform(-slack, slack)
    y = (row + 0.5) * QUARTER_PX + rng.uniform(-slack, slack)
    fill = [min(255, max(0, value + rng.randint(-_COLOR_JITTER, _COLOR_JITTER))) for value in COLORS[color]]
    return Shape(color, kind, quarter, (x, y), radius, rng.uniform(-0.2, 0.2), (fill[0], fill[1], fill[2]))


def draw_scene(scene: Scene) -> Image.Image:
    """Paint a scene.

    Returns:
        An RGB picture of 64 × 64 px.
    """
    from PIL import Image, ImageDraw

    size = IMAGE_SIZE_PX * _SUPERSAMPLING
    image = Image.new("RGB", (size, size), scene.ground)
    draw = ImageDraw.Draw(image)
    for shape in scene.shapes:
        if shape.kind == "circle":
            x, y, radius = (_SUPERSAMPLING * value for value in (*shape.center_px, shape.radius_px))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shape.fill)
        else:
            draw.polygon(outline_px(shape, scale=_SUPERSAMPLING), fill=shape.fill)
    return image.reduce(_SUPERSAMPLING)


def outline_px(shape: Shape, scale: float = 1.0) -> list[tuple[float, float]]:
    """Return the corners of a square, triangle or star, in pixels times ``scale``."""
    corners, inner = {"square": (4, 1.0), "triangle": (3, 1.0), "star": (10, _STAR_INNER_RADIUS)}[shape.kind]
    start = shape.angle_rad - (math.pi / 4 if shape.kind == "square" else math.pi / 2)
    x, y = shape.center_px
    points = []
    for corner in range(corners):
        angle = start + 2 * math.pi * corner / corners
        radius = shape.radius_px * (inner if corner % 2 and shape.kind == "star" else 1.0)
        # Rounded to 1/16 px: the last bits of sin and cos differ between math libraries.
        points.append(
            (
                round(16 * scale * (x + radius * math.cos(angle))) / 16,
                round(16 * scale * (y + radius * math.sin(angle))) / 16,
            )
        )
    return points
