"""A task's rows in shape: left out, joined, exploded and derived as its data specification says, read when asked for.

Which rows there are is decided once, from the columns that the conditions name; what a row holds is worked out when
it is read. So a million rows cost their index arrays, not their contents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evals.data.arrow_files import let_go_of_mapped_files
from evals.errors import DataError
from evals.prompts.template import Template
from evals.spec.transforms import TRANSFORMS

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.data_records import Condition, DataSpec, Derived

CHUNK = 256  # rows turned into Python objects at a time
BULK = 65_536  # values of one column, likewise
ITEM = "item"  # the column that explode adds
Indices = NDArray[np.integer[Any]]


class Rows:
    """The rows of a task as mappings of column to value, without its pictures.

    Args:
        table: the stored rows.
        wanted: columns that will be asked for; nothing else is read. Pictures are not: they are read one by one
            elsewhere.
        where: the task's name, for messages.

    Raises:
        DataError: an unknown column, or lists of different lengths in columns that are exploded together.
    """

    def __init__(self, data: DataSpec, table: pa.Table, wanted: Iterable[str], where: str) -> None:
        self._data, self._where = data, where
        self._derive = {name: _Deriving(name, how) for name, how in data.derive.items()}
        needed = self._needed(wanted)
        from evals.arrow_columns import nan_as_null

        needed_at_all = needed | _shaping_columns(data)
        self._check(needed_at_all, table.column_names)
        table = nan_as_null(table, needed_at_all)
        self._text = table.select([name for name in table.column_names if name in needed])
        self.source: Indices = _kept(data, table, where)
        self.item: Indices | None = None
        if data.explode:
            self.source, self.item = _exploded(data.explode, table, self.source, where)
        elif data.unpivot is not None:
            self.source, self.item = _unpivoted(data.unpivot.columns, table, self.source)
        self._chunk = lru_cache(maxsize=8)(self._read_chunk)

    def _needed(self, wanted: Iterable[str]) -> set[str]:
        """Stored columns behind the wanted ones, derived columns followed to what they are made of."""
        needed: set[str] = set(self._data.explode)
        open_names, unpivot = [*wanted], self._data.unpivot
        made = {ITEM} if self._data.explode else {unpivot.name, unpivot.value} if unpivot else set()
        seen: set[str] = set()
        while open_names:
            name = open_names.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self._derive:
                inputs = self._derive[name].inputs
                open_names += inputs - {name}
                needed |= inputs & {name} - made  # made anew under its own name: the stored column is read
            elif name in made:
                needed |= set(unpivot.columns) if unpivot else set()
            else:
                needed.add(name)
        return needed - made

    def _check(self, needed: set[str], present: Sequence[str]) -> None:
        missing = sorted(needed - set(present))
        if missing:
            hint = "" if self._data.verified else " The task's columns were never seen in the data (verified: false)."
            raise DataError(
                f"Task {self._where!r}: its data has no column {', '.join(map(repr, missing))}. "
                f"It has {', '.join(present)}.{hint} Correct the task's columns."
            )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = int(self.source[index])
        item = None if self.item is None else int(self.item[index])
        return self._shaped(self._chunk(row // CHUNK)[row % CHUNK], item, index)

    def gather(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The rows at these places, read together wherever they stand."""
        from evals.arrow_columns import positions

        if not self._text.num_columns:
            return [self[index] for index in indices]
        places = self.source[np.asarray(indices, dtype=np.int64)]
        if len(places) and (np.diff(places) == 1).all():  # a stretch of rows need not be put together
            stored = self._text.slice(int(places[0]), len(places)).to_pylist()
        else:
            stored = self._text.take(positions(places)).to_pylist()
        items = [None] * len(stored) if self.item is None else self.item[np.asarray(indices)].tolist()
        return [self._shaped(*row) for row in zip(stored, items, indices, strict=True)]

    def _read_chunk(self, number: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._text.slice(number * CHUNK, CHUNK).to_pylist()
        return rows or [{} for _ in range(CHUNK)]

    def _shaped(self, stored: dict[str, Any], item: int | None, index: int) -> dict[str, Any]:
        if item is None and not self._derive:
            return stored
        values = dict(stored)
        if item is not None:
            if unpivot := self._data.unpivot:
                values[unpivot.name] = unpivot.columns[item]
                values[unpivot.value] = values[unpivot.columns[item]]
            else:
                values |= {name: values[name][item] for name in self._data.explode}
                values[ITEM] = item
        for name, deriving in self._derive.items():
            if deriving.inputs <= values.keys():
                try:
                    values[name] = deriving.value(values)
                except DataError as error:
                    raise DataError(f"Task {self._where!r}, row {index}: column {name!r}: {error}.") from None
        return values

    def is_unique(self, name: str) -> bool:
        """Whether no value of a column comes twice."""
        if name in self._derive or self.item is not None:
            values = self.column(name)
            return len(set(map(str, values))) == len(values)
        return self._hashes_differ(name) or len(set(self.column(name))) == len(self)

    def _hashes_differ(self, name: str) -> bool:
        """Whether all values of a stored column have different hashes; eight bytes a row, where a set takes 100."""
        from evals.arrow_columns import positions

        stored, hashes = self._text.column(name), np.empty(len(self), dtype=np.int64)
        for start in range(0, len(self), BULK):
            part = stored.take(positions(self.source[start : start + BULK])).to_pylist()
            hashes[start : start + len(part)] = [hash(value) for value in part]
        let_go_of_mapped_files()
        hashes.sort()
        return not (hashes[1:] == hashes[:-1]).any()

    def first_empty(self, name: str) -> int | None:
        """The first row whose cell in a column is null or empty text; None where all are filled."""
        from evals.arrow_columns import any_empty

        if name not in self._derive and self.item is None and not any_empty(self._text.column(name)):
            return None
        return next((row for row, value in enumerate(self.column(name)) if value in (None, "")), None)

    def column(self, name: str) -> list[Any]:
        """One column's values of all rows, in order."""
        if name not in self._derive and self.item is None:
            if len(self.source) == self._text.num_rows:
                return list(self._text.column(name).to_pylist())
            return list(self._text.column(name).take(self.source).to_pylist())
        return [self[i][name] for i in range(len(self))]


def _shaping_columns(data: DataSpec) -> set[str]:
    names = {condition.column for condition in (*data.keep, *data.drop)} | set(data.explode)
    return names | (set(data.unpivot.columns) if data.unpivot else set())


def _kept(data: DataSpec, table: pa.Table, where: str) -> Indices:
    """Numbers of the stored rows that meet all of ``keep`` and none of ``drop``."""
    stays = np.ones(table.num_rows, dtype=bool)
    for condition, wanted in [*((c, True) for c in data.keep), *((c, False) for c in data.drop)]:
        stays &= _checked(condition, table, where) == wanted
    if table.num_rows and not stays.any():
        raise DataError(f"Task {where!r}: its conditions leave no row of {table.num_rows}. Correct data.keep or drop.")
    return np.flatnonzero(stays).astype(np.int32)


def _checked(condition: Condition, table: pa.Table, where: str) -> NDArray[np.bool_]:
    import pyarrow as pa

    try:
        return _met(condition, table)
    except pa.ArrowException as error:
        raise DataError(
            f"Task {where!r}: the condition on column {condition.column!r}, which holds "
            f"{table.column(condition.column).type}, cannot be worked out ({error}). Correct data.keep or data.drop."
        ) from error


def _met(condition: Condition, table: pa.Table) -> NDArray[np.bool_]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(condition.column)
    if condition.below is not None:
        smaller = pc.less(pc.cast(column, pa.float64()), condition.below)
        return pc.fill_null(smaller, False).to_numpy()  # type: ignore[no-any-return]
    if condition.empty is None:
        text = pc.cast(column, pa.large_string())
        if condition.matches is not None:
            return pc.fill_null(pc.match_substring_regex(text, condition.matches), False).to_numpy()  # type: ignore[no-any-return]
        return pc.is_in(text, value_set=pa.array(condition.equals, pa.large_string())).to_numpy()  # type: ignore[no-any-return]
    empty = pc.is_null(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        empty = pc.or_(empty, pc.fill_null(pc.equal(column, ""), True))
    elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        empty = pc.or_(empty, pc.fill_null(pc.equal(pc.list_value_length(column), 0), True))
    return empty.to_numpy() == condition.empty  # type: ignore[no-any-return]


def _exploded(names: Sequence[str], table: pa.Table, source: Indices, where: str) -> tuple[Indices, Indices]:
    """Row and item numbers of every item of the list columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        kind = table.column(name).type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_null(kind)):
            raise DataError(f"Task {where!r}: column {name!r} holds {kind}, expected lists. Correct data.explode.")
    lengths = [pc.fill_null(pc.list_value_length(table.column(name)), 0).to_numpy()[source] for name in names]
    for name, other in zip(names[1:], lengths[1:], strict=True):
        differ = np.flatnonzero(lengths[0] != other)
        if len(differ):
            row = int(differ[0])
            raise DataError(
                f"Task {where!r}, row {int(source[row])}: {names[0]!r} has {lengths[0][row]} items and {name!r} "
                f"{other[row]}; columns that are exploded together must have as many. The row is damaged."
            )
    counts = lengths[0].astype(np.int64)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(source, counts), np.arange(counts.sum(), dtype=np.int64) - starts


def _unpivoted(names: Sequence[str], table: pa.Table, source: Indices) -> tuple[Indices, Indices]:
    """Row and column numbers of every cell that is not empty, row by row."""
    filled = np.stack([_filled(table, name)[source] for name in names], axis=1)
    rows, columns = np.nonzero(filled)
    return source[rows], columns.astype(np.int64)


def _filled(table: pa.Table, name: str) -> NDArray[np.bool_]:
    return np.array([value not in (None, "") for value in table.column(name).to_pylist()])


class _Deriving:
    """How one derived column is made of a row."""

    def __init__(self, name: str, how: Derived) -> None:
        self._how = how
        self._path = (how.column or "").split(".")
        self._template = Template(how.template) if how.template is not None else None
        self._transforms = [TRANSFORMS[transform] for transform in how.apply]
        self.inputs: set[str] = self._template.names() if self._template else {self._path[0]}

    def value(self, row: Mapping[str, Any]) -> Any:
        """The value. Raises :class:`DataError` without place, which the caller adds."""
        value = self._template.render(row) if self._template else _walk(row, self._path)
        for transform in self._transforms:
            value = transform(value)
        if self._how.remove_suffix and isinstance(value, str):
            value = value.removesuffix(self._how.remove_suffix)
        if self._how.values:
            if str(value) not in self._how.values:
                raise DataError(f"{value!r} is none of the listed values {', '.join(map(repr, self._how.values))}")
            value = self._how.values[str(value)]
        return value


def _walk(value: Any, path: Sequence[str]) -> Any:
    """Follow a dotted path into nested values; a list is followed in each of its items."""
    for i, part in enumerate(path):
        if isinstance(value, list):
            return [_walk(item, path[i:]) for item in value]
        if value is None:
            return None
        if part not in value:
            raise DataError(f"{'.'.join(path)!r} leads to {part!r}, which is not among {', '.join(value)}")
        value = value[part]
    return value
