"""Pictures to pixels, as the original: squash to a square with PIL's bicubic filter, then (x / 255 - 0.5) / 0.5.

Nothing is cropped and the aspect ratio is not kept. Needs numpy, and PIL for pictures that must be changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

MEAN = STD = 0.5  # "Inception" normalisation of the released checkpoint's preprocessing

# The normalised value of each of the 256 levels, in fp32 and in the original's order (divide, subtract, divide).
LEVELS = ((np.arange(256, dtype=np.float32) / np.float32(255)) - np.float32(MEAN)) / np.float32(STD)
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def to_rgb(image: Image.Image, *, apply_exif: bool = False) -> Image.Image:
    """Any PIL mode as RGB, by PIL's own conversion: transparency is dropped, palettes are looked up.

    Greyscale of 16 bits is scaled to 8 first (PIL alone would clip everything above 255 to white).

    Args:
        apply_exif: turn the picture as its EXIF orientation says; the original does not.
    """
    if apply_exif:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP_MODES:
        values = np.asarray(image).astype(np.int64)
        if values.max(initial=0) > 255:
            values >>= 8
        from PIL import Image

        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")


def squash(image: Image.Image, size: int, *, apply_exif: bool = False) -> npt.NDArray[np.uint8]:
    """One picture as (size, size, 3) bytes."""
    rgb = to_rgb(image, apply_exif=apply_exif)
    if rgb.size != (size, size):
        from PIL import Image

        rgb = rgb.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def normalise(squares: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """Squashed pictures, (size, size, 3) each, as one array (n, 3, size, size) in [-1, 1]."""
    stack = np.stack(squares).transpose(0, 3, 1, 2)  # (n, 3, size, size)
    return np.take(LEVELS, np.ascontiguousarray(stack))


def preprocess(images: Sequence[Image.Image], size: int, *, apply_exif: bool = False) -> npt.NDArray[np.float32]:
    """Pictures as model input, (n, 3, size, size) fp32 in [-1, 1]."""
    return normalise([squash(image, size, apply_exif=apply_exif) for image in images])
