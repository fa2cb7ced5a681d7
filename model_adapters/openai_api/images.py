"""Pictures as data URLs: the original bytes wherever servers read the format, else a lossless PNG."""

from __future__ import annotations

import io
from base64 import b64encode

from model_adapters.contract import ImageRef

POLICY = "original bytes of PNG, JPEG and WebP; other formats as PNG, first frame"


def mime_type(data: bytes) -> str | None:
    """The media type by the file's first bytes, of formats that every server reads; else null."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def data_url(image: ImageRef) -> bytes:
    """``data:image/...;base64,...`` of one picture.

    Raises:
        OSError: the file cannot be read, or is in another format and cannot be decoded.
    """
    data = image.read()
    kind = mime_type(data)
    if kind is None:
        data, kind = _as_png(image), "image/png"
    return b"data:" + kind.encode() + b";base64," + b64encode(data)


def _as_png(image: ImageRef) -> bytes:
    picture = image.open()
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")  # CMYK, YCbCr, floating point: PNG has no such modes
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
