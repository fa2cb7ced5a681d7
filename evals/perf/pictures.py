"""Pictures to be encoded over and over, each with bytes of its own, so that nothing can be reused by accident.

A few dozen distinct pictures are drawn and compressed once. Each further use appends a few bytes after the end of the
JPEG, which decoders skip: another digest, the same work.
"""

from __future__ import annotations

import hashlib
import io
from functools import partial

import numpy as np

from model_adapters.contract import ImageRef

DISTINCT = 32
QUALITY = 90


class PictureBook:
    """Endless pictures of one size.

    Args:
        width, height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._files = [_jpeg(number, width, height) for number in range(DISTINCT)]
        self._digests = [hashlib.sha256(data) for data in self._files]

    def picture(self, number: int) -> ImageRef:
        """The picture of this number; equal numbers give equal bytes."""
        index, tail = number % DISTINCT, b"%d" % number
        digest = self._digests[index].copy()
        digest.update(tail)
        return ImageRef(digest.hexdigest(), f"profile picture {number}", partial(_join, self._files[index], tail))


def _join(data: bytes, tail: bytes) -> bytes:
    return data + tail


def _jpeg(number: int, width: int, height: int) -> bytes:
    """A picture with slopes, edges and grain: it compresses about as a photograph does."""
    from PIL import Image

    random = np.random.default_rng(number)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [
        128 + 100 * np.sin(x / width * random.uniform(2, 9) + y / height * random.uniform(2, 9) + random.uniform(0, 6))
        for _ in range(3)
    ]
    pixels = np.stack(waves, axis=-1) + random.normal(0, 6, (height, width, 1))
    for _ in range(6):
        left, top = int(random.integers(0, width)), int(random.integers(0, height))
        right, bottom = left + int(random.integers(8, width // 2 + 9)), top + int(random.integers(8, height // 2 + 9))
        pixels[top:bottom, left:right] = random.uniform(0, 255, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
