"""From a table's image cell to an image reference: identified by the hash of its bytes, decoded later."""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from evals.errors import DataError
from model_adapters.contract import ImageRef


class ImageReader:
    """Makes image references out of cells, hashing each file once.

    A cell is encoded bytes, a mapping with ``bytes`` or ``path`` (as the ``datasets`` library stores pictures), a path
    below ``root``, or base64 text.

    Args:
        root: folder that relative paths start from; no path may leave it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._hashes: dict[Path, str] = {}

    def reference(self, cell: Any, where: str) -> ImageRef:
        """The image of one cell. ``where`` names task, row and column for messages.

        Raises:
            DataError: an empty cell, a path that leaves the root, or text that is neither a file below it nor base64.
        """
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, bytes) and cell:
            return ImageRef(hashlib.sha256(cell).hexdigest(), where, partial(bytes, cell))
        if isinstance(cell, str) and cell:
            path = (self._root / cell).resolve() if len(cell) < 1024 else None
            if path is not None and path.is_file():
                return self._file(path, cell, where)
            return self._base64(cell, where)
        raise DataError(f"{where}: the image cell is empty. Leave the row out, or give the picture.")

    def _file(self, path: Path, cell: str, where: str) -> ImageRef:
        if not path.is_relative_to(self._root):
            raise DataError(
                f"{where}: the image path {cell!r} leaves the folder {self._root}; pictures must lie below it."
            )
        if path not in self._hashes:
            with path.open("rb") as file:
                self._hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return ImageRef(self._hashes[path], cell, path.read_bytes)

    def _base64(self, cell: str, where: str) -> ImageRef:
        try:
            data = base64.b64decode(cell, validate=True)
        except binascii.Error:
            data = b""
        if len(data) < 16:
            shown = cell if len(cell) <= 80 else f"{cell[:77]}..."
            raise DataError(f"{where}: {shown!r} is neither a picture file below {self._root} nor base64 text.")
        return ImageRef(hashlib.sha256(data).hexdigest(), where, partial(base64.b64decode, cell))
