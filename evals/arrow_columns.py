"""Arrow tables without pandas.

``pyarrow.array``, ``to_numpy`` and ``parquet.read_table`` import pandas where it is installed, to find out whether they
were given a Series, to convert dates and so on; that costs 0.4 s and 50 MB. What is needed here is little: numbers,
texts, and lists of either, each of which may be null.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Texts = Sequence[str | None]
Numbers = Sequence[float | None]
Lists = Sequence[Sequence[Any] | None]


def numbers(values: Numbers, kind: pa.DataType) -> pa.Array:
    """Float64 or int64 numbers; None is null."""
    filled = [0 if value is None else value for value in values]
    return _array(kind, values, [_buffer(np.array(filled, dtype=kind.to_pandas_dtype()))])


def texts(values: Texts) -> pa.Array:
    """Texts; None is null, a lone surrogate (which UTF-8 has none of) becomes ``?``."""
    encoded = [b"" if value is None else value.encode("utf-8", "replace") for value in values]
    offsets = _offsets([len(text) for text in encoded])
    return _array(pa.large_string(), values, [_buffer(offsets), pa.py_buffer(b"".join(encoded))])


def lists(values: Lists, kind: pa.DataType) -> pa.Array:
    """Lists of texts or float64 numbers; None is null."""
    items = list(chain.from_iterable(value or () for value in values))
    flat = numbers(items, kind.value_type) if pa.types.is_floating(kind.value_type) else texts(items)
    offsets = _offsets([0 if value is None else len(value) for value in values])
    return _array(kind, values, [_buffer(offsets)], children=[flat])


def positions(values: Sequence[int] | NDArray[np.integer[Any]]) -> pa.Array:
    """Row numbers, for ``take``."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, _buffer(np.asarray(values, dtype=np.int64))])


def _array(
    kind: pa.DataType, values: Sequence[Any], buffers: list[pa.Buffer], children: list[pa.Array] | None = None
) -> pa.Array:
    known = np.array([value is not None for value in values], dtype=bool)
    validity = None if known.all() else _buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, *buffers], children=children)


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def _buffer(array: NDArray[Any]) -> pa.Buffer:
    return pa.py_buffer(np.ascontiguousarray(array))


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file's table, or some of its columns."""
    with pq.ParquetFile(path, memory_map=True) as file:
        return file.read(columns=None if columns is None else list(columns))


def any_empty(column: pa.ChunkedArray) -> bool:
    """Whether a cell of a column is null or empty text."""
    if column.null_count:
        return True
    wide = pa.types.is_large_string(column.type)
    is_text = wide or pa.types.is_string(column.type)
    return is_text and any(_any_empty_text(chunk, np.int64 if wide else np.int32) for chunk in column.chunks)


def _any_empty_text(chunk: pa.Array, kind: type[np.integer[Any]]) -> bool:
    """The same of texts without nulls, from the places where each one ends: ``pyarrow.compute`` costs 25 ms."""
    ends = np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk) + 1]
    return bool((ends[1:] == ends[:-1]).any())


def nan_as_null(table: pa.Table, names: Container[str]) -> pa.Table:
    """The table with null for "not a number" in these columns: what pandas writes where a cell has no value."""
    for place, field in enumerate(table.schema):
        if field.name in names and pa.types.is_floating(field.type):
            import pyarrow.compute as pc

            missing = pc.is_nan(table.column(place))
            if pc.any(missing).as_py():
                nothing = pa.nulls(1, field.type)[0]  # a scalar made of a Python one imports pandas
                table = table.set_column(place, field.name, pc.if_else(missing, nothing, table.column(place)))
    return table


def as_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers without nulls."""
    parts = [np.from_dlpack(chunk) for chunk in column.chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0)
