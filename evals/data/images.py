"""From a row's picture cells to image references: identified by the hash of their bytes, hashed once, decoded later."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from evals.errors import DataError
from evals.spec.transforms import literal_list
from model_adapters.contract import ImageRef

LONGEST_PATH = 1024  # characters; a longer cell is base64
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,")
_BASE64_START = re.compile(r"[A-Za-z0-9+/]{16}")

Fetch = Callable[[], Any]


class ImageReader:
    """Makes image references out of cells, hashing each picture once.

    A cell is encoded bytes, a mapping with ``bytes`` or ``path`` (as the ``datasets`` library stores pictures), a path
    below ``root``, base64 text (also as a ``data:`` URL, or broken into lines), or a list of these, also as a Python
    literal in a text.

    Args:
        root: folder that relative paths start from; no path may leave it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[str, str] = {}
        self._cells: dict[Hashable, tuple[str, ...]] = {}

    def references(self, key: Hashable, fetch: Fetch, where: str) -> tuple[ImageRef, ...]:
        """The pictures of one cell.

        Args:
            key: names the cell; a cell seen before is not read again.
            fetch: reads the cell.
            where: task, row and column, for messages.

        Raises:
            DataError: an empty cell, a path that leaves the root, or text that is neither a file below it nor base64.
        """
        hashes = self._cells.get(key)
        if hashes is None:
            pictures = _pictures(fetch())
            if not pictures:
                raise DataError(f"{where}: the image cell is empty. Leave the row out, or give the picture.")
            hashes = tuple(self._hash(picture, where) for picture in pictures)
            if any(picture not in self._files for picture in pictures):  # files are remembered by name already
                self._cells[key] = hashes
        return tuple(
            ImageRef(sha256, where, partial(self._bytes, fetch, number, where)) for number, sha256 in enumerate(hashes)
        )

    def _hash(self, picture: Any, where: str) -> str:
        known = self._files.get(picture)
        if known is not None:
            return known
        path = self._path(picture, where)
        if path is None:
            return hashlib.sha256(_encoded(picture, where, self._root)).hexdigest()
        try:
            with path.open("rb") as file:
                self._files[picture] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{where}: {path} cannot be read: {error.strerror}. Make it readable.") from error
        return self._files[picture]

    def _bytes(self, fetch: Fetch, number: int, where: str) -> bytes:
        picture = _pictures(fetch())[number]
        path = self._path(picture, where)
        return _encoded(picture, where, self._root) if path is None else path.read_bytes()

    def _path(self, picture: Any, where: str) -> Path | None:
        """The file that a picture names; None if the picture holds its bytes itself."""
        if not isinstance(picture, str) or len(picture) > LONGEST_PATH:
            return None
        try:
            path = (self._root / picture).resolve()
            if not path.is_file():
                return None
        except (OSError, ValueError, RuntimeError):  # too long a name, a null byte, links in a circle
            return None
        if not path.is_relative_to(self._root):
            raise DataError(
                f"{where}: the image path {picture!r} leaves the folder {self._root}; pictures must lie below it."
            )
        return path


def count_pictures(cell: Any) -> int:
    """How many pictures a cell holds."""
    return len(_pictures(cell))


def _pictures(cell: Any) -> list[Any]:
    """A cell's pictures one by one: bytes, or text."""
    if isinstance(cell, str) and cell.startswith("["):
        with suppress(DataError):  # then it is a path that begins with a bracket, or damaged
            cell = literal_list(cell)
    if isinstance(cell, list):
        return [picture for item in cell for picture in _pictures(item)]
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    return [] if cell is None or cell in ("", b"") else [cell]


def _encoded(picture: Any, where: str, root: Path) -> bytes:
    """The bytes of a picture that no file holds."""
    if isinstance(picture, bytes):
        return picture
    if not isinstance(picture, str):
        raise DataError(
            f"{where}: {picture!r:.80} ({type(picture).__name__}) is no picture; expected a path below {root}, base64 "
            "text or encoded bytes. Correct columns.images."
        )
    shown = picture if len(picture) <= 80 else f"{picture[:77]}..."
    text = _DATA_URL.sub("", picture, count=1)
    if not _BASE64_START.match(text):
        raise DataError(
            f"{where}: there is no picture {shown!r} below {root}, and it is no base64 text{_hint(picture)}."
        )
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        with suppress(binascii.Error):
            return base64.b64decode("".join(text.split()), validate=True)
        raise DataError(
            f"{where}: {shown!r} is neither a picture file below {root} nor whole base64 text ({error}). "
            "The file is damaged; fetch it again."
        ) from None


def _hint(picture: str) -> str:
    """What is probably meant by a text that names no picture."""
    if picture.startswith(("http://", "https://")):
        return "; pictures are not fetched from the network: download it and give its path"
    if picture.startswith("["):
        return ", nor a list written as a Python literal"
    if "\\" in picture:
        return "; write / between folders"
    return ""
