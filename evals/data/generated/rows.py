"""The record every generator yields, and a PNG writer whose bytes do not depend on the machine."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from PIL import Image

JsonValue: TypeAlias = str | int | float | bool | list["JsonValue"] | dict[str, "JsonValue"] | None

CHINESE_EVERY = 5
"""One row in this many has its question (and options, or caption) in Chinese."""

_STORED_BLOCK = 65_535  # the longest stored block that DEFLATE allows (RFC 1951, 3.2.4)


@dataclass(frozen=True, slots=True)
class GeneratedRow:
    """One generated sample.

    Attributes:
        row_id: unique within the data set and stable for a seed, e.g. ``shapes_mc-7-000012``.
        image_bytes: the picture as an encoded PNG file, 64 × 64 RGB.
        fields: JSON values named as in the package's docstring: question, answer, category, language, ...
    """

    row_id: str
    image_bytes: bytes
    fields: dict[str, JsonValue]


def row_rng(name: str, seed: int, index: int) -> Random:
    """Return the random stream of one row, so that row ``index`` is the same whatever was generated before it."""
    return Random(f"{name}/{seed}/{index}")


def is_chinese(index: int) -> bool:
    """Tell whether row ``index`` is one of the Chinese fifth."""
    return index % CHINESE_EVERY == CHINESE_EVERY - 1


def encode_png(image: Image.Image) -> bytes:
    """Encode an RGB image as PNG, uncompressed.

    Compressed bytes differ between builds of zlib for the same pixels, and the bytes are what gets hashed. Stored
    blocks have one form only; a 64 × 64 picture takes 12 KB.

    Args:
        image: a picture in mode RGB.

    Returns:
        The PNG file.
    """
    if image.mode != "RGB":
        raise ValueError(f"encode_png takes RGB images, not mode {image.mode!r}; convert it first")
    width, height = image.size
    pixels = image.tobytes()
    stride = 3 * width
    scanlines = b"".join(b"\0" + pixels[y * stride : (y + 1) * stride] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, true colour
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _zlib_stored(scanlines)) + _chunk(b"IEND", b"")
    )


def _zlib_stored(data: bytes) -> bytes:
    """Wrap ``data`` in a zlib stream of stored blocks (RFC 1950)."""
    blocks = []
    for start in range(0, len(data), _STORED_BLOCK):
        block = data[start : start + _STORED_BLOCK]
        is_last = start + _STORED_BLOCK >= len(data)
        blocks.append(struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF) + block)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(data))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
