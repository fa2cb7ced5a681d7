"""What every format is read into, and how files of rows are read without changing a cell."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from evals.errors import DataError

# Where other programs have written a missing value as text, this is what they wrote. Such a cell is not an answer.
MISSING_TEXTS = frozenset({"", "nan", "NaN", "None", "null", "N/A", "NA"})


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One prediction with what is needed to score it.

    Attributes:
        sample_id: of the question; rotations of one question share it.
        request_id: unique.
        prediction: the reply as it was stored; None where the file has none (a failed request).
        references: accepted answers.
        prompt: the question, for people.
        image: name of the picture, "" if unknown; questions on one picture are one cluster.
        fields: what metrics and categories read.
    """

    sample_id: str
    request_id: str
    prediction: str | None
    references: tuple[str, ...]
    prompt: str = ""
    image: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a jsonl, json, csv, tsv or xlsx file, cells as they are stored.

    A JSON object of objects becomes rows with the key as ``id``.

    Raises:
        DataError: a missing or malformed file (with its line), or an ending that is not known.
    """
    try:
        match path.suffix.lower():
            case ".jsonl":
                return _json_lines(path)
            case ".json":
                return _json(path)
            case ".csv" | ".tsv":
                return _separated(path)
            case ".xlsx":
                return _spreadsheet(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give the file that the suite wrote.") from error
    except UnicodeDecodeError:
        from evals.data.separated import not_utf8

        raise not_utf8(path) from None
    raise DataError(f"{path}: files ending in {path.suffix!r} are not known; use jsonl, json, csv, tsv or xlsx.")


def _parsed(document: str) -> Any:
    """A JSON value; ``NaN`` and infinities, which pandas and Python write for missing numbers, are null."""
    return json.loads(document, parse_constant=lambda _: None)


def _json_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    rows.append(_parsed(line))
                except ValueError as error:
                    if number == 1 and (document := _whole(path)) is not None:
                        return _checked(path, document)
                    raise DataError(f"{path}:{number} is not valid JSON ({error}).") from error
    return _checked(path, rows)


def _whole(path: Path) -> list[Any] | None:
    """One JSON document under the ending of JSON lines, as some suites write it; None if it is not that."""
    try:
        value = _parsed(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return None
    return value if isinstance(value, list) else [value]


def _json(path: Path) -> list[dict[str, Any]]:
    """A list of objects, an object of objects, or JSON lines under the wrong ending."""
    try:
        value = _parsed(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return _json_lines(path)
    if isinstance(value, dict) and all(isinstance(row, dict) for row in value.values()):
        return [{"id": key} | row for key, row in value.items()]
    return _checked(path, value if isinstance(value, list) else [value])


def _checked(path: Path, rows: list[Any]) -> list[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: expected an object with one key per column, found {row!r:.60}.")
    return rows


def _separated(path: Path) -> list[dict[str, Any]]:
    csv.field_size_limit(2**31 - 1)  # the module's default of 128 KiB is less than one picture in base64
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="," if path.suffix.lower() == ".csv" else "\t")
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DataError(f"{path}, row {number}: it has not as many cells as the header; is the separator right?")
    return rows


def _spreadsheet(path: Path) -> list[dict[str, Any]]:
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise DataError(f"{path}: reading spreadsheets needs `pip install 'omnilmm-eval[xlsx]'`.") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError) as error:
        raise DataError(f"{path} is no spreadsheet that can be read ({error}). Save it again as xlsx.") from error
    try:
        lines = book.active.iter_rows(values_only=True)
        header = [str(cell) for cell in next(lines, ())]
        return [dict(zip(header, line, strict=False)) for line in lines if any(cell is not None for cell in line)]
    finally:
        book.close()


def column(row: Mapping[str, Any], name: str, path: Path, number: int) -> Any:
    """A cell that must be there. Raises :class:`DataError` that names the file, the row and the columns there are."""
    if name not in row:
        raise DataError(
            f"{path}, row {number}: no column {name!r}; it has {', '.join(map(str, row))}. "
            f"Give the file that this format describes, or name the column with --map."
        )
    return row[name]


def by_id(files: Sequence[Path], name: str = "id") -> dict[str, dict[str, Any]]:
    """Rows of reference files by the text of their id column."""
    rows = [(file, number, row) for file in files for number, row in enumerate(read_rows(file), 1)]
    return {text(column(row, name, file, number)): row for file, number, row in rows}


def text(cell: Any) -> str:
    """A cell as text: whole floats, as spreadsheets store integers, without their ``.0``."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def reply(cell: Any) -> str | None:
    """A prediction cell: None where the cell is empty, so that it counts as a failed request and not as an answer.

    Text such as ``nan`` or ``None`` is kept: whether it was an answer cannot be known, so it is scored as it stands.
    """
    return None if cell is None else text(cell)


def option_letters(row: Mapping[str, Any]) -> dict[str, str]:
    """Options from columns ``A``, ``B`` ...: letter → text; empty and ``nan`` cells are absent options."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    cells = ((letter, row.get(letter)) for letter in letters)
    return {letter: text(cell) for letter, cell in cells if cell is not None and text(cell) not in MISSING_TEXTS}


def unique(rows: Sequence[ImportedRow], path: Path) -> list[ImportedRow]:
    """The rows, checked: there are some, each has a reference, and no request id comes twice."""
    if not rows:
        raise DataError(f"{path}: there are no predictions in it.")
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        if not any(row.references):
            raise DataError(
                f"{path}, row {number}: {row.request_id!r} has no reference, so there is nothing to score against. "
                "Leave the row out, or give the right answers with --references or --map references=COLUMN."
            )
        if row.request_id in seen:
            raise DataError(
                f"{path}, row {number}: the id {row.request_id!r} comes twice. Keep one of them, or name another id "
                "column with --map id=COLUMN."
            )
        seen.add(row.request_id)
    return list(rows)
