"""Rendered words: pronounceable words and codes of three to six characters, in five faces.

A word belongs to the test side or to the training side by its own value, so no seed can bring a test word into
training.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from evals.data.generated.scenes import IMAGE_SIZE_PX
from evals.errors import DataError

if TYPE_CHECKING:
    from PIL import Image, ImageFont

FACES: tuple[str, ...] = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold")
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"
VOWELS = "AEIOU"
CODE_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""As on real tickets: without 0 and O, 1 and I, which some faces draw alike."""

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789"
WORD_LENGTHS = (3, 4, 5, 6)
HELD_OUT_SHARE = 0.2
FONT_SIZES_PX = (13, 30)

_MARGIN_PX = 2


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How a text is painted: face, size, ink and paper colours."""

    face: str
    size_px: int
    ink: tuple[int, int, int]
    paper: tuple[int, int, int]


def is_held_out(word: str) -> bool:
    """Tell whether a word is kept for testing: by the first byte of its SHA-256, one in five."""
    return hashlib.sha256(word.encode()).digest()[0] < round(256 * HELD_OUT_SHARE)


def random_word(rng: Random, length: int, held_out: bool) -> str:
    """Draw a word of consonants and vowels in turn, from the test or the training side."""
    while True:
        first = rng.randrange(2)
        word = "".join(rng.choice(VOWELS if (position + first) % 2 else CONSONANTS) for position in range(length))
        if is_held_out(word) == held_out:
            return word


def random_code(rng: Random, length: int, held_out: bool) -> str:
    """Draw a code of letters and digits, from the test or the training side."""
    while True:
        code = "".join(rng.choice(CODE_CHARACTERS) for _ in range(length))
        if is_held_out(code) == held_out:
            return code


@cache
def load_font(face: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Load one of the DejaVu fonts that come with matplotlib, without importing matplotlib."""
    from PIL import ImageFont

    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise DataError(
            "Words are rendered with the DejaVu fonts that come with matplotlib, and matplotlib is not installed. "
            "Install it: pip install matplotlib"
        )
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{face}.ttf"
    # The basic layout engine: raqm, where it is present, may kern otherwise.
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def random_style(rng: Random, text: str) -> TextStyle:
    """Draw a face, a size with which the text fits into the picture, and two colours in good contrast."""
    face = rng.choice(FACES)
    smallest, largest = FONT_SIZES_PX
    size = rng.randint(smallest, largest)
    room = IMAGE_SIZE_PX - 2 * _MARGIN_PX
    while size > smallest - 3 and _ink_size(face, size, text)[0] > room:
        size -= 1
    return TextStyle(face, size, *random_ink_and_paper(rng))


def random_ink_and_paper(rng: Random) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Draw a dark and a light colour; one time in four the ink is the light one."""
    dark = (rng.randint(0, 90), rng.randint(0, 90), rng.randint(0, 90))
    light = (rng.randint(195, 255), rng.randint(195, 255), rng.randint(195, 255))
    return (light, dark) if rng.random() < 0.25 else (dark, light)


def draw_word(rng: Random, text: str, style: TextStyle) -> Image.Image:
    """Paint a text at a random place: an RGB picture of 64 × 64 px that holds the whole text."""
    return paint_word(text, style, random_place(rng, text, style))


def random_place(rng: Random, text: str, style: TextStyle) -> tuple[int, int]:
    """Draw the drawing origin, x and y in px, such that the ink stays within the picture."""
    left, top, right, bottom = load_font(style.face, style.size_px).getbbox(text)
    x = rng.randint(_MARGIN_PX, max(_MARGIN_PX, IMAGE_SIZE_PX - _MARGIN_PX - round(right - left))) - round(left)
    y = rng.randint(_MARGIN_PX, max(_MARGIN_PX, IMAGE_SIZE_PX - _MARGIN_PX - round(bottom - top))) - round(top)
    return x, y


def paint_word(text: str, style: TextStyle, origin_px: tuple[int, int]) -> Image.Image:
    """Paint a text with its drawing origin at a given place."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (IMAGE_SIZE_PX, IMAGE_SIZE_PX), style.paper)
    ImageDraw.Draw(image).text(origin_px, text, fill=style.ink, font=load_font(style.face, style.size_px))
    return image


def _ink_size(face: str, size_px: int, text: str) -> tuple[int, int]:
    left, top, right, bottom = load_font(face, size_px).getbbox(text)
    return round(right - left), round(bottom - top)
