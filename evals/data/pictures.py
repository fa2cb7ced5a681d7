"""A sample's pictures: which cells they lie in, and what the task's image policy makes of several."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from evals.data.images import ImageReader, count_pictures
from evals.errors import DataError
from model_adapters.contract import ImageRef

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.records import ImagePolicy

LONGEST_POINTER = 64  # characters; a shorter cell of a VLMEvalKit TSV is the index of the row that holds the picture


class PictureColumn:
    """One picture column of a stored table.

    Args:
        name: the column.
        table: the table that holds it.
        row_of: from a sample's row (its number, and its values) to the row of ``table``; None takes the same number.
        pointers: for a VLMEvalKit TSV: index → row number, for cells that name the row with the picture.
    """

    def __init__(
        self,
        name: str,
        table: pa.Table,
        row_of: Callable[[Mapping[str, Any]], int] | None = None,
        pointers: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self._column = table.column(name)
        self._row_of, self._pointers = row_of, pointers or {}

    def place(self, row: int, values: Mapping[str, Any]) -> int:
        """The stored row that holds a sample's picture."""
        if self._row_of is not None:
            return self._row_of(values)
        if self._pointers:
            text = self._column[row].as_py()
            if isinstance(text, str) and len(text) <= LONGEST_POINTER and text in self._pointers:
                return self._pointers[text]
        return row

    def cell(self, place: int) -> Any:
        """The cell of a stored row."""
        return self._column[place].as_py()


class Pictures:
    """All picture columns of a task, and its image policy.

    Args:
        columns: stored columns by name; a name that is not among them is a derived column, taken from the row's values.
        names: the task's picture columns, in order.
        policy: what is shown of several pictures.
    """

    def __init__(
        self, reader: ImageReader, columns: Mapping[str, PictureColumn], names: tuple[str, ...], policy: ImagePolicy
    ) -> None:
        self._reader, self._columns, self._names, self._policy = reader, columns, names, policy

    def of(self, row: int, values: Mapping[str, Any], where: str) -> tuple[ImageRef, ...]:
        """A sample's pictures under the policy; ``row`` is its stored row.

        Raises:
            DataError: the sample has no picture, or one cannot be found.
        """
        found: list[ImageRef] = []
        for name in self._names:
            column = self._columns.get(name)
            place = row if column is None else column.place(row, values)
            fetch = partial(values.__getitem__, name) if column is None else partial(column.cell, place)
            key = (name, str(values[name])) if column is None else (name, place)
            if found and not count_pictures(fetch()):
                continue  # only the first picture must be there
            found += self._reader.references(key, fetch, f"{where}, column {name!r}")
        return _under_policy(tuple(found), self._policy)

    def count(self, row: int, values: Mapping[str, Any]) -> int:
        """How many pictures a sample has, before the policy; nothing is decoded or hashed."""
        total = 0
        for name in self._names:
            column = self._columns.get(name)
            total += count_pictures(values[name] if column is None else column.cell(column.place(row, values)))
        return total


def _under_policy(pictures: tuple[ImageRef, ...], policy: ImagePolicy) -> tuple[ImageRef, ...]:
    if len(pictures) > 1 and policy == "first":
        return pictures[:1]
    if len(pictures) > 1 and policy == "grid":
        return (grid(pictures),)
    return pictures


def grid(pictures: tuple[ImageRef, ...]) -> ImageRef:
    """All pictures as one, in reading order on white, in as many columns as rows or one more; none is scaled.

    Its identity is that of the pictures, so it is the same whichever library version draws it.
    """
    digest = hashlib.sha256(b"grid\0" + b"".join(bytes.fromhex(picture.sha256) for picture in pictures))
    return ImageRef(digest.hexdigest(), f"{pictures[0].name} and {len(pictures) - 1} more", partial(_draw, pictures))


def _draw(pictures: tuple[ImageRef, ...]) -> bytes:
    from PIL import Image

    opened = [picture.open().convert("RGB") for picture in pictures]
    columns = next(n for n in range(1, len(opened) + 1) if n * n >= len(opened))
    rows = -(-len(opened) // columns)
    width, height = max(image.width for image in opened), max(image.height for image in opened)
    canvas = Image.new("RGB", (columns * width, rows * height), "white")
    for number, image in enumerate(opened):
        canvas.paste(image, (number % columns * width, number // columns * height))
    out = io.BytesIO()
    canvas.save(out, "PNG", compress_level=1)
    return out.getvalue()


def lookup(table: pa.Table, key: str, on: str, where: str) -> Callable[[Mapping[str, Any]], int]:
    """From a row's value in ``on`` to the row of ``table`` with this value in ``key``.

    Raises:
        DataError: the key column has a value twice (at once), or not at all (when it is asked for).
    """
    rows: dict[str, int] = {}
    for row, value in enumerate(table.column(key).to_pylist()):
        if str(value) in rows:
            raise DataError(f"Task {where!r}: the joined table has {key!r} {value!r} twice; a join needs one row each.")
        rows[str(value)] = row

    def row_of(values: Mapping[str, Any]) -> int:
        value = str(values[on])
        if value not in rows:
            raise DataError(
                f"Task {where!r}: the joined table has no row with {key!r} {value!r}. The data is incomplete."
            )
        return rows[value]

    return row_of
