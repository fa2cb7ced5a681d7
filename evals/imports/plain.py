"""A plain table: one row a prediction, columns named by the user where they differ from ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import DataError
from evals.imports.rows import ImportedRow, by_id, column, option_letters, read_rows, reply, text, unique

OWN = ("id", "prediction", "references", "prompt", "image", "group")


def plain(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """Columns ``id``, ``prediction``, ``references`` (text or a list), optionally ``prompt``, ``image``, ``group``.

    All other columns become fields under their own names, or under the name that the map gives them. Columns ``A``,
    ``B`` ... become the options. References may lie in a second file with the same ids.
    """
    extra = by_id(references, mapping.get("id", "id"))
    rows = []
    for number, own in enumerate(read_rows(path), 1):
        sample_id = text(column(own, mapping.get("id", "id"), path, number))
        if extra and sample_id not in extra:
            raise DataError(f"{path}, row {number}: the reference files have no id {sample_id!r}.")
        row = extra.get(sample_id, {}) | own
        answers = column(row, mapping.get("references", "references"), path, number)
        rows.append(
            ImportedRow(
                sample_id=text(row.get(mapping.get("group", "group")) or sample_id),
                request_id=sample_id,
                prediction=reply(column(row, mapping.get("prediction", "prediction"), path, number)),
                references=tuple(map(text, answers)) if isinstance(answers, list) else (text(answers),),
                prompt=text(row.get(mapping.get("prompt", "prompt"))),
                image=text(row.get(mapping.get("image", "image"))),
                fields=_fields(row, mapping),
            )
        )
    return unique(rows, path)


def _fields(row: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    named = {ours: theirs for ours, theirs in mapping.items() if ours not in OWN}
    taken = {mapping.get(name, name) for name in OWN} | set(named.values())
    fields = {name: value for name, value in row.items() if name not in taken}
    fields |= {ours: row.get(theirs) for ours, theirs in named.items()}
    if options := option_letters(row):
        fields["choices"] = options
    return fields
