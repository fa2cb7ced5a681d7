"""What the text readers have in common: one picture a request, read once, whatever is asked about it."""

from __future__ import annotations

import hashlib
import time
import traceback
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_adapters.contract import (
    AdapterError,
    Capabilities,
    Failure,
    ImageRef,
    ModelAdapter,
    Request,
    Response,
    Timing,
)

if TYPE_CHECKING:
    from PIL import Image

KEPT = 8  # readings; the questions on one picture come together
Box = tuple[float, float, float, float]  # left, top, right, bottom in px


class ReadingAdapter(ModelAdapter):
    """Answers with all text of the picture, line by line; the question is not looked at.

    Args:
        scale: pictures are enlarged by this factor before they are read, at least 1.
    """

    name: str
    capabilities = Capabilities(max_images=1)

    def __init__(self, scale: float = 1.0) -> None:
        if scale < 1:
            raise AdapterError(f"{self.name}: scale={scale} would throw detail away; give 1 or more.")
        self._scale = scale
        self._kept: OrderedDict[str, str] = OrderedDict()

    @abstractmethod
    def read(self, image: Image.Image) -> str:
        """All text of an RGB picture."""

    @abstractmethod
    def about(self) -> Mapping[str, Any]:
        """The reader's own part of the identity: ``model``, ``weights``, versions and options."""

    def identity(self) -> Mapping[str, Any]:
        fixed = {"adapter": self.name, "adapter_version": "1", "dtype": None, "device": "cpu", "parameters": None}
        return {**fixed, **self.about(), "scale": self._scale}

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            start = time.perf_counter()
            try:
                text = self._reading(request)
            except Exception as error:  # noqa: BLE001 - one picture that cannot be read stops no other
                failure = Failure(type(error).__name__, str(error), traceback.format_exc())
                yield Response(request.request_id, finish="error", failure=failure)
                continue
            waited = (time.perf_counter() - start) * 1000
            yield Response(request.request_id, text, timing=Timing(batch_ms=waited, batch_size=1))

    def _reading(self, request: Request) -> str:
        if len(request.images) != 1:
            raise AdapterError(f"{self.name} reads one picture a request; this one has {len(request.images)}.")
        (picture,) = request.images
        if picture.sha256 not in self._kept:
            self._kept[picture.sha256] = self.read(self._prepared(_opened(picture)))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[picture.sha256]

    def _prepared(self, image: Image.Image) -> Image.Image:
        """RGB on white, enlarged."""
        from PIL import Image as Pillow

        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        if self._scale == 1:
            return image
        size = (round(image.width * self._scale), round(image.height * self._scale))
        return image.resize(size, Pillow.Resampling.BICUBIC)

    def close(self) -> None:
        self._kept.clear()


def _opened(picture: ImageRef) -> Image.Image:
    """The picture; an error that does not say which one it was is told again with its name."""
    try:
        return picture.open()
    except OSError as error:
        raise OSError(str(error) if picture.name in str(error) else f"{picture.name}: {error}") from error


def in_lines(found: Sequence[tuple[Box, str]]) -> str:
    """Pieces of text in reading order: a piece whose middle lies within a line's height belongs to that line."""
    lines: list[list[tuple[Box, str]]] = []
    for box, text in sorted(found, key=lambda piece: (piece[0][1] + piece[0][3], piece[0][0])):
        middle = (box[1] + box[3]) / 2
        first = lines[-1][0][0] if lines else None
        if first is not None and first[1] <= middle <= first[3]:
            lines[-1].append((box, text))
        else:
            lines.append([(box, text)])
    return "\n".join(" ".join(text for _, text in sorted(line, key=lambda piece: piece[0][0])) for line in lines)


def files_fingerprint(files: Iterable[Path]) -> str:
    """sha256 over the bytes of files, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
