"""Columns of a samples file as masks, states and scores over all its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.arrow_columns import positions, texts
from evals.samples_file import SamplesFile, as_floats, as_mask
from reports.samples_view import ERROR, PARTLY, RIGHT, UNPARSED, UNSCORED, WRONG, TaskRows

_SEARCHED = ("row_id", "prompt", "prediction", "extracted", "references")


def has_rules(file: SamplesFile) -> bool:
    """Whether any answer was read by a named rule."""
    import pyarrow.compute as pc

    return any(pc.min_max(pc.binary_length(batch.column(0)))["max"].as_py() for batch in file.batches(["rule"]))


@dataclass(frozen=True, slots=True)
class Joined:
    """The rows of several files side by side: the first file's, then those that only a later one has.

    Attributes:
        size: how many there are.
        places: for each file, where in it each row is, -1 where it has none; None where the rows are the file's own.
        own: for each file, its rows that no file before it has; None where that is all of them.
    """

    size: int
    places: tuple[NDArray[np.int64] | None, ...]
    own: tuple[NDArray[np.int64] | None, ...]


def join(files: Sequence[SamplesFile]) -> Joined:
    """Put the rows of files beside each other by their ids."""
    import pyarrow as pa

    known, *others = [file.column("row_id").combine_chunks() for file in files]
    none = np.zeros(0, dtype=np.int64)
    if all(theirs.equals(known) for theirs in others):
        return Joined(len(known), (None,) * len(files), (None, *[none] * len(others)))
    places, owned = [np.arange(len(known))], list[NDArray[np.int64] | None]([None])
    for theirs in others:
        there = _index_in(known, theirs)
        own = np.flatnonzero(_index_in(theirs, known) < 0)
        places = [np.append(place, np.full(len(own), -1)) for place in places] + [np.append(there, own)]
        known = pa.concat_arrays([known, theirs.take(positions(own))])
        owned.append(own)
    return Joined(len(known), tuple(places), tuple(owned))


def _index_in(ids: Any, others: Any) -> NDArray[np.int64]:
    """Where each id stands among others; -1 where it does not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = as_floats(pa.chunked_array([pc.index_in(ids, value_set=others)]))
    return np.where(np.isnan(found), -1, found).astype(np.int64)


def scores_of(file: SamplesFile, metric: str) -> NDArray[np.float32]:
    """The score of each row under ``metric``, or under the only metric there is; NaN where there is none."""
    columns = [name for name in file.column_names if name.startswith("score:")]
    name = f"score:{metric}"
    if name not in columns:
        if len(columns) != 1:
            return np.full(len(file), np.nan, dtype=np.float32)
        name = columns[0]
    return as_floats(file.column(name)).astype(np.float32)


def states_of(file: SamplesFile, task: TaskRows) -> NDArray[np.uint8]:
    """How each answer fared: :func:`reports.samples_view.state_of` over columns."""
    import pyarrow.compute as pc

    right = (scores_of(file, task.metric) - task.worst) / (task.best - task.worst)
    states = np.full(len(file), WRONG, dtype=np.uint8)
    states[right > 0] = PARTLY
    states[right >= 1 - 1e-6] = RIGHT  # single precision
    states[np.isnan(right)] = UNSCORED
    if task.extracts:
        states[as_mask(pc.is_null(file.column("extracted")))] = UNPARSED
    states[as_mask(pc.is_valid(file.column("failure")))] = ERROR
    return states


def differs(one: Any, two: Any) -> NDArray[np.bool_]:
    """Where two columns of texts differ; null differs from every text."""
    import pyarrow.compute as pc

    nulls = [as_mask(pc.is_null(column)) for column in (one, two)]
    same = pc.equal(one, two)
    unequal = np.zeros(len(nulls[0]), dtype=bool)
    both = ~nulls[0] & ~nulls[1]
    unequal[both] = ~as_mask(same.drop_null())
    unequal |= nulls[0] != nulls[1]
    return unequal


def in_category(file: SamplesFile, column: str, value: str) -> NDArray[np.bool_]:
    """The rows that have a value in a category column."""
    import pyarrow.compute as pc

    name = f"category:{column}"
    if name not in file.column_names:
        return np.zeros(len(file), dtype=bool)
    wanted = texts([value])[0]  # an Arrow scalar made of a Python one imports pandas
    parts = [_true(pc.equal(batch.column(0), wanted)) for batch in file.batches([name])]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def holding(file: SamplesFile, text: str) -> NDArray[np.bool_]:
    """The rows in which a text occurs, in any letter case, a part of the file at a time."""
    parts = [_batch_holding(batch, text) for batch in file.batches(_SEARCHED)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _batch_holding(batch: Any, text: str) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    found = np.zeros(batch.num_rows, dtype=bool)
    for name in _SEARCHED:
        column = batch.column(batch.schema.get_field_index(name))
        if name != "references":
            found |= _true(pc.match_substring(column, text, ignore_case=True))
            continue
        hits = _true(pc.match_substring(pc.list_flatten(column), text, ignore_case=True))
        found[np.from_dlpack(pc.list_parent_indices(column))[hits]] = True
    return found


def _true(column: Any) -> NDArray[np.bool_]:
    """Where a column of truth values is true; null is not."""
    import pyarrow.compute as pc

    known = as_mask(pc.is_valid(column))
    found = np.zeros(len(known), dtype=bool)
    found[known] = as_mask(column.drop_null())
    return found


def row_of(file: SamplesFile, row_id: str) -> int:
    """Where a row is by its id; -1 where it is not."""
    import pyarrow.compute as pc

    wanted, before = texts([row_id])[0], 0
    for batch in file.batches(["row_id"]):
        place = pc.index(batch.column(0), wanted).as_py()
        if place >= 0:
            return before + int(place)
        before += batch.num_rows
    return -1
