"""Files of rows as Arrow tables: parquet (memory-mapped), jsonl, json, csv and tsv.

Cells of text formats stay the text that is written: ``nan``, ``NA``, ``None`` and ``007`` are strings like any other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.separated import not_utf8, read_separated
from evals.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def find_files(patterns: Sequence[str], root: Path, task: str) -> list[Path]:
    """The files that patterns name, in the patterns' order and sorted within each.

    Raises:
        DataError: a pattern that no file matches, or a path that leaves the data root.
    """
    paths: list[Path] = []
    for pattern in patterns:
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
    return paths


def read_tables(files: Sequence[str], root: Path, cache: Path, task: str, file_column: str | None = None) -> pa.Table:
    """All rows of a task's files, one after the other.

    Args:
        root: folder that the files' paths start from.
        cache: folder for Arrow copies of large text files.
        file_column: a column to add, with the name (without ending) of the file that a row came from.

    Raises:
        DataError: no file matches, a file leaves the data root, or one cannot be read as what its ending says.
    """
    import pyarrow as pa

    paths = find_files(files, root, task)
    if all(path.suffix.lower() in (".json", ".jsonl") for path in paths):
        # Read together, so that a column whose type differs from file to file becomes text as within one file.
        rows = [row | ({file_column: path.stem} if file_column else {}) for path in paths for row in _json_rows(path)]
        return _table_of(rows)
    tables = [_read(path, cache) for path in paths]
    if file_column:
        tables = [
            table.append_column(file_column, pa.array([path.stem] * table.num_rows))
            for path, table in zip(paths, tables, strict=True)
        ]
    return concatenate(tables, task)


def concatenate(tables: Sequence[pa.Table], task: str) -> pa.Table:
    """Tables one after the other; columns that some lack are null there.

    Raises:
        DataError: a column has types that do not go together.
    """
    import pyarrow as pa

    try:
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"Task {task!r}: its files have columns of different types ({error}).") from error


def _read(path: Path, cache: Path) -> pa.Table:
    import pyarrow as pa

    from evals.data.arrow_files import read_stored_parquet

    try:
        match path.suffix.lower():
            case ".parquet":
                return read_stored_parquet(path, cache)
            case ".json" | ".jsonl":
                return _table_of(_json_rows(path))
            case ".csv" | ".tsv" as suffix:
                return read_separated(path, "," if suffix == ".csv" else "\t", cache)
            case other:
                raise DataError(
                    f"{path}: files ending in {other!r} are not known; use parquet, jsonl, json, csv or tsv."
                )
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Is it complete? Fetch it again and compare its size."
        ) from error


def _json_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON file: an object a line, a list of objects, an object of objects (keys become ``id``), or one row.

    Some data sets have lines of JSON in a file that ends in .json, so both endings take both forms.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}. Is it complete? Fetch it again.") from error
    try:
        value = None if path.suffix.lower() == ".jsonl" else json.loads(text)
    except ValueError as error:
        if not text.lstrip().startswith("{") or "\n" not in text.strip():
            raise DataError(f"{path} is not valid JSON ({error}).") from error
        value = None
    if value is None:
        return _json_lines(path, text)
    if isinstance(value, dict) and value:
        if all(isinstance(row, dict) for row in value.values()):
            return [{"id": key, **row} for key, row in value.items()]
        return [value]
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    raise DataError(f"{path}: expected an object a line, a list of objects, or an object of objects.")


def _json_lines(path: Path, text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines would also split at separators within texts
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number} is not valid JSON ({error}).") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected an object with one key per column, found {type(row).__name__}.")
        rows.append(row)
    return rows


def _table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table; a column with values of several types becomes text, or lists of text where some are lists."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column_of(name, [row.get(name) for row in rows]) for name in names})


def _column_of(name: str, values: list[Any]) -> pa.Array:
    """One column. Whole numbers beside others become text as well: as floats, 1 could not be told from 1.0.

    Raises:
        DataError: text that is not Unicode.
    """
    import pyarrow as pa

    try:
        column = pa.array(values)
        kind = column.type.value_type if pa.types.is_list(column.type) else column.type
        if not pa.types.is_floating(kind) or not any(map(_has_whole_number, values)):
            return column
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    except UnicodeEncodeError:
        row = next(i for i, value in enumerate(values) if not _is_unicode(value))
        raise DataError(
            f"Row {row} of the JSON data (counted from 0): {name!r} holds half of a surrogate pair, "
            f"{values[row]!r:.80}. The text was cut within a character; repair the row or leave it out."
        ) from None
    texts = [_as_text(value) for value in values]
    if any(isinstance(text, list) for text in texts):
        texts = [text if text is None or isinstance(text, list) else [text] for text in texts]
    return pa.array(texts)


def _has_whole_number(value: Any) -> bool:
    return any(type(item) is int for item in (value if isinstance(value, list) else (value,)))


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_text(value: Any) -> str | list[str | None] | None:
    """A value as text, a list as a list of texts."""
    if isinstance(value, list):
        return [item if item is None or isinstance(item, str) else _json(item) for item in value]
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
