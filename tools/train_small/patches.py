"""Stage 1 data: pictures in which every patch is labelled with what lies under its centre.

Classes: 0 nothing, then colour × kind of the scenes' shapes, then the characters of the words.
"""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageDraw

from evals.data.generated import scenes, words

PATCH_PX = 8
GRID = scenes.IMAGE_SIZE_PX // PATCH_PX
PAIRS = [(color, kind) for color in scenes.COLOR_NAMES for kind in scenes.KINDS]
FIRST_CHARACTER = 1 + len(PAIRS)
NUM_CLASSES = FIRST_CHARACTER + len(words.CHARACTERS)
TEXT_SHARE = 0.8

_MIN_COVER = 0.3  # a patch shows a shape if this share of it is painted


def scene_labels(scene: scenes.Scene) -> np.ndarray:
    """Label the patches of a scene.

    Returns:
        (64,) int64 classes in reading order.
    """
    canvas = Image.new("L", (scenes.IMAGE_SIZE_PX, scenes.IMAGE_SIZE_PX), 0)
    draw = ImageDraw.Draw(canvas)
    for shape in scene.shapes:
        label = 1 + PAIRS.index(shape.pair)
        if shape.kind == "circle":
            (x, y), radius = shape.center_px, shape.radius_px
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=label)
        else:
            draw.polygon(scenes.outline_px(shape), fill=label)
    tiles = np.asarray(canvas).reshape(GRID, PATCH_PX, GRID, PATCH_PX).swapaxes(1, 2).reshape(GRID * GRID, -1)
    # A patch touches one shape at most, as each shape stays within its quarter: its class is the largest value there.
    return np.where((tiles > 0).mean(1) >= _MIN_COVER, tiles.max(1), 0).astype(np.int64)


def text_mosaic(rng: Random) -> tuple[Image.Image, np.ndarray]:
    """Fill a picture with lines of random characters.

    Returns:
        The RGB picture and its (64,) int64 labels.
    """
    ink, paper = words.random_ink_and_paper(rng)
    image = Image.new("RGB", (scenes.IMAGE_SIZE_PX, scenes.IMAGE_SIZE_PX), paper)
    draw = ImageDraw.Draw(image)
    labels = np.zeros((GRID, GRID), np.int64)
    y = rng.randint(-4, 6)
    while y < scenes.IMAGE_SIZE_PX - 6:
        smallest, largest = words.FONT_SIZES_PX
        font = words.load_font(rng.choice(words.FACES), rng.randint(smallest - 2, largest))
        y += _draw_line(rng, draw, labels, (font, ink), y) + rng.randint(1, 5)
    return image, labels.reshape(-1)


def _draw_line(rng: Random, draw: ImageDraw.ImageDraw, labels: np.ndarray, style: tuple, top: int) -> int:
    """Draw one line of characters whose ink starts at ``top``; returns its height in px."""
    font, ink = style
    x = float(rng.randint(-3, 6))
    line_top, line_bottom = font.getbbox("HQ")[1::2]
    centers_px = (np.arange(GRID) + 0.5) * PATCH_PX
    rows = (centers_px >= top) & (centers_px < top + line_bottom - line_top)
    while x < scenes.IMAGE_SIZE_PX:
        if rng.random() < 0.12:
            x += rng.randint(4, 12)
            continue
        character = rng.choice(words.CHARACTERS)
        draw.text((x, top - line_top), character, fill=ink, font=font)
        right = x + font.getlength(character)
        columns = (centers_px >= x) & (centers_px < right)
        labels[np.ix_(rows, columns)] = FIRST_CHARACTER + words.CHARACTERS.index(character)
        x = right
    return int(line_bottom - line_top)


def word_labels(text: str, style: words.TextStyle, origin_px: tuple[int, int]) -> np.ndarray:
    """Label the patches of a painted word.

    Returns:
        (64,) int64 classes in reading order.
    """
    labels = np.zeros((GRID, GRID), np.int64)
    font = words.load_font(style.face, style.size_px)
    x, y = origin_px
    _, top, _, bottom = font.getbbox(text)
    centers_px = (np.arange(GRID) + 0.5) * PATCH_PX
    rows = (centers_px >= y + top) & (centers_px < y + bottom)
    for index, character in enumerate(text):
        left, right = x + font.getlength(text[:index]), x + font.getlength(text[: index + 1])
        columns = (centers_px >= left) & (centers_px < right)
        labels[np.ix_(rows, columns)] = FIRST_CHARACTER + words.CHARACTERS.index(character)
    return labels.reshape(-1)


def patch_batch(rng: Random, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` labelled pictures: text mosaics and scenes.

    Returns:
        (n, 64, 64, 3) uint8 pixels and (n, 64) int64 labels.
    """
    pixels, labels = [], []
    for _ in range(count):
        if rng.random() < TEXT_SHARE:
            image, classes = text_mosaic(rng)
        else:
            scene = scenes.random_scene(rng)
            image, classes = scenes.draw_scene(scene), scene_labels(scene)
        pixels.append(np.asarray(image))
        labels.append(classes)
    return np.stack(pixels), np.stack(labels)
