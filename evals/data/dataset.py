"""A task's samples as a sequence: rows stay in Arrow, a sample is built when it is asked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from evals.data.images import ImageReader
from evals.data.subset import Subset
from evals.data.tables import read_tables
from evals.errors import DataError
from evals.files import canonical_json
from evals.records import Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.records import TaskSpec

CHUNK = 256  # rows turned into Python objects at a time


def open_dataset(spec: TaskSpec, data_root: Path, cache: Path, subset: Subset = Subset()) -> Dataset:
    """Open a task's data and check it against what the task says of it.

    Args:
        data_root: folder that a table's files lie in.
        cache: folder for generated data.

    Raises:
        DataError: missing or unreadable data, a missing column, an unexpected count, duplicate ids, an empty set.
    """
    if spec.data.source == "generated":
        from evals.data.generated_cache import generated_table

        table = generated_table(spec.data, cache)
    else:
        table = read_tables(spec.data.files, data_root, spec.name)
    _check_columns(spec, table.column_names)
    expected = spec.data.expected_count
    if expected is not None and table.num_rows != expected:
        raise DataError(
            f"Task {spec.name!r}: found {table.num_rows} rows, expected {expected}. The data is incomplete or another "
            "version; fetch it again, or correct data.expected_count if you meant this set."
        )
    if not table.num_rows:
        raise DataError(f"Task {spec.name!r}: the data set is empty. Check data.files and the data root {data_root}.")
    return Dataset(spec, table, data_root / spec.data.image_root, subset)


def _check_columns(spec: TaskSpec, present: list[str]) -> None:
    columns = spec.columns
    wanted = [*columns.images, columns.references, *columns.choices, *columns.fields.values()]
    wanted += [name for name in (columns.id, columns.cluster) if name is not None]
    missing = sorted({name for name in wanted if name not in present})
    if missing:
        raise DataError(
            f"Task {spec.name!r}: its data has no column {', '.join(map(repr, missing))}. "
            f"It has {', '.join(present)}. Correct the task's columns."
        )


class Dataset(Sequence[Sample]):
    """Samples of a task in the data set's order (or of a subset), built when asked for.

    Attributes:
        total: rows of the whole set.
        subset: what was taken, in words; None for the whole set.
    """

    def __init__(self, spec: TaskSpec, table: pa.Table, image_root: Path, subset: Subset) -> None:
        self._spec = spec
        self._table = table
        self._images = ImageReader(image_root)
        ids = self._ids()
        self.total = len(ids)
        self.subset = subset.describe(self.total)
        self._indices = subset.select(ids)
        self._text_table = table.drop_columns(list(spec.columns.images)) if spec.columns.images else table
        self._rows = lru_cache(maxsize=8)(self._read_chunk)

    def _ids(self) -> list[str]:
        name = self._spec.columns.id
        if name is None:
            return [str(i) for i in range(self._table.num_rows)]
        ids = [str(value) for value in self._table.column(name).to_pylist()]
        if len(set(ids)) < len(ids):
            twice = Counter(ids).most_common(1)[0][0]
            raise DataError(
                f"Task {self._spec.name!r}: the id {twice!r} occurs more than once in column {name!r}. "
                "Ids must be unique; choose another column, or `id: null` to number the rows."
            )
        return ids

    def _read_chunk(self, number: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._text_table.slice(number * CHUNK, CHUNK).to_pylist()
        return rows

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self._indices[index]
        return self._sample(row, self._rows(row // CHUNK)[row % CHUNK])

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def in_order(self, places: Sequence[int]) -> Iterator[Sample]:
        """The samples at these places of the set, in this order; rows are gathered in bulk, wherever they stand."""
        for start in range(0, len(places), CHUNK):
            rows = [self._indices[place] for place in places[start : start + CHUNK]]
            values: list[dict[str, Any]] = self._text_table.take(rows).to_pylist()
            for row, value in zip(rows, values, strict=True):
                yield self._sample(row, value)

    def _sample(self, row: int, values: dict[str, Any]) -> Sample:
        columns = self._spec.columns
        sample_id = str(row) if columns.id is None else str(values[columns.id])
        where = f"Task {self._spec.name!r}, sample {sample_id!r}"
        images = tuple(
            self._images.reference(self._table.column(name)[row].as_py(), f"{where}, column {name!r}")
            for name in columns.images
        )
        references = _references(values[columns.references])
        fields = {name: values[column] for name, column in columns.fields.items()}
        if columns.choices:
            fields["choices"] = _choices(columns.choices, values)
        hashes = [image.sha256 for image in images]
        content = canonical_json([sample_id, fields, references, hashes])
        cluster = str(values[columns.cluster]) if columns.cluster else (hashes[0] if hashes else sample_id)
        return Sample(sample_id, images, fields, references, cluster, hashlib.sha256(content).hexdigest())


def _references(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(_text(v) for v in values if v is not None)


def _text(value: Any) -> str:
    """A reference as text; whole floats lose their ``.0`` only where Arrow made them out of integers with nulls."""
    return value if isinstance(value, str) else str(value)


def _choices(names: tuple[str, ...], values: dict[str, Any]) -> list[str]:
    """Option texts: from one list column, or from option columns of which empty ones are absent."""
    if len(names) == 1:
        return [str(option) for option in values[names[0]]]
    return [str(values[name]) for name in names if values[name] not in (None, "")]
