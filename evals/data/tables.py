"""Files of rows as Arrow tables: parquet (memory-mapped), jsonl, json, csv and tsv.

Cells of text formats stay the text that is written: ``nan``, ``NA``, ``None`` and ``007`` are strings like any other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def read_tables(files: tuple[str, ...], root: Path, task: str) -> pa.Table:
    """All rows of a task's files, one after the other.

    Raises:
        DataError: no file matches, a file leaves the data root, or one cannot be read as what its ending says.
    """
    import pyarrow as pa

    paths: list[Path] = []
    for pattern in files:
        found = sorted(root.glob(pattern)) if "*" in pattern else [root / pattern]
        for path in found:
            if not path.resolve().is_relative_to(root.resolve()):
                raise DataError(f"Task {task!r}: {pattern!r} leaves the data root {root}; name files below it.")
        paths += [path for path in found if path.is_file()]
        if not any(path.is_file() for path in found):
            raise DataError(
                f"Task {task!r}: no file matches {root / pattern}. "
                "Put the data there, or give its folder with --data-root."
            )
    tables = [_read(path) for path in paths]
    try:
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="default")
    except pa.ArrowInvalid as error:
        raise DataError(f"Task {task!r}: its files have columns of different types ({error}).") from error


def _read(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        match path.suffix.lower():
            case ".parquet":
                return pyarrow.parquet.read_table(path, memory_map=True)
            case ".jsonl":
                return pa.Table.from_pylist(_json_lines(path))
            case ".json":
                return pa.Table.from_pylist(_json_rows(path))
            case ".csv" | ".tsv" as suffix:
                return _read_separated(path, "," if suffix == ".csv" else "\t")
            case other:
                raise DataError(
                    f"{path}: files ending in {other!r} are not known; use parquet, jsonl, json, csv or tsv."
                )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Is it complete? Fetch it again and compare its size."
        ) from error


def _read_separated(path: Path, delimiter: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv

    with path.open(encoding="utf-8-sig") as file:
        header = file.readline().rstrip("\r\n").split(delimiter)
    names = [name.strip('"') for name in header]
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=64 << 20),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _json_lines(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number} is not valid JSON ({error}).") from error
            if not isinstance(row, dict):
                raise DataError(
                    f"{path}:{number}: expected an object with one key per column, found {type(row).__name__}."
                )
            rows.append(row)
    return rows


def _json_rows(path: Path) -> list[dict[str, Any]]:
    """A list of objects, or an object of objects whose keys become the column ``id``."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}).") from error
    if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
        return [{"id": key, **row} for key, row in value.items()]
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    raise DataError(f"{path}: expected a list of objects, or an object of objects.")
