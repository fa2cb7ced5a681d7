"""Opening a task's stored rows, whichever source they come from: one Arrow table, and where its pictures lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.hub import read_hub, read_packaged
from evals.data.pictures import PictureColumn, lookup
from evals.data.tables import read_tables
from evals.data.vlmevalkit import find_tsv, picture_column, read_vlmevalkit
from evals.errors import DataError, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.data_records import DataSpec
    from evals.spec.records import TaskSpec


@dataclass(frozen=True, slots=True)
class Places:
    """Where data lies: the folder of local files, and the folder for what is generated, downloaded or prepared."""

    data_root: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class Stored:
    """A task's stored rows.

    Attributes:
        table: the rows; pictures are columns of it, or lie in ``joined``.
        image_root: folder that picture paths start from.
        pointers: index → row of a VLMEvalKit TSV, whose rows may name the row with their picture.
        joined: columns of a second table, and how a row finds its row there.
    """

    table: pa.Table
    image_root: Path
    pointers: Mapping[str, int] = field(default_factory=dict)
    joined: Mapping[str, tuple[pa.Table, Callable[[Mapping[str, Any]], int]]] = field(default_factory=dict)

    def picture_columns(self, names: tuple[str, ...]) -> dict[str, PictureColumn]:
        """The stored columns among ``names``; the others are derived."""
        found: dict[str, PictureColumn] = {}
        for name in names:
            if name in self.joined:
                table, row_of = self.joined[name]
                found[name] = PictureColumn(name, table, row_of=row_of)
            elif name in self.table.column_names:
                found[name] = PictureColumn(name, self.table, pointers=self.pointers)
        return found


def open_stored(spec: TaskSpec, places: Places, limit: int | None = None) -> Stored:
    """Open what a task's data specification names, and compare its count with the expected one.

    Args:
        limit: rows that are enough for a streamed data set.

    Raises:
        DataError: missing, unreadable, hidden or incomplete data.
    """
    data, task = spec.data, spec.name
    pointers: Mapping[str, int] = {}
    image_root = places.data_root / data.image_root
    if data.source == "vlmevalkit":
        path = find_tsv(data, places.data_root, places.cache, task)
        table, pointers = read_vlmevalkit(path, places.cache)
        if picture_column(table) == "image_path":
            image_root = path.parent / "images" / (data.image_root or data.tsv)
    else:
        table = _read(data, places, task, limit)
    expected = data.expected_count
    if expected is not None and table.num_rows != expected and not data.streaming:
        hint = "" if data.verified else " The task's count was never seen in the data (verified: false)."
        raise DataError(
            f"Task {task!r}: found {table.num_rows} rows, expected {expected}. The data is incomplete or another "
            f"version; fetch it again, or correct data.expected_count if you meant this set.{hint}"
        )
    if not table.num_rows:
        raise DataError(f"Task {task!r}: the data set is empty. Check its data and the data root {places.data_root}.")
    return Stored(table, image_root, pointers, _joined(data, places, task))


def pool_of(spec: TaskSpec, places: Places) -> Stored:
    """The rows that few-shot examples are drawn from: another split, or the task's own rows."""
    shots = spec.prompt.few_shot
    if shots is None:
        raise SpecError(f"Task {spec.name!r} has no prompt.few_shot.")
    data = spec.data
    if not shots.split and not shots.configs:
        return open_stored(spec, places)
    if data.source != "hub":
        raise SpecError(f"Task {spec.name!r}: prompt.few_shot.split needs a hub data set, found {data.source!r}.")
    table = read_hub(data, shots.configs or data.configs, shots.split or data.split, places.cache, spec.name)
    return Stored(table, places.data_root / data.image_root)


def _read(data: DataSpec, places: Places, task: str, limit: int | None) -> pa.Table:
    match data.source:
        case "generated":
            from evals.data.generated_cache import generated_table

            return generated_table(data, places.cache)
        case "table":
            return read_tables(data.files, places.data_root, places.cache, task, data.file_column)
        case "hub":
            return read_hub(data, data.configs, data.split, places.cache, task, limit)
        case "imagefolder" | "webdataset":
            return read_packaged(data, places.data_root, places.cache, task)
        case other:
            raise SpecError(f"Task {task!r}: unknown data source {other!r}.")


def _joined(
    data: DataSpec, places: Places, task: str
) -> dict[str, tuple[pa.Table, Callable[[Mapping[str, Any]], int]]]:
    join = data.join
    if join is None:
        return {}
    if join.files:
        second = read_tables(join.files, places.data_root, places.cache, task)
    else:
        second = read_hub(data, join.configs, join.split or data.split, places.cache, task)
    missing = sorted({join.key, *join.take} - set(second.column_names))
    if missing:
        raise DataError(
            f"Task {task!r}: the joined table has no column {', '.join(map(repr, missing))}. "
            f"It has {', '.join(second.column_names)}. Correct data.join."
        )
    row_of = lookup(second, join.key, join.on, task)
    return dict.fromkeys(join.take, (second, row_of))
