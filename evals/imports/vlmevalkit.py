"""VLMEvalKit's prediction files: ``index``, ``question``, ``answer``, ``prediction`` and what the benchmark adds."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.errors import DataError
from evals.imports.rows import ImportedRow, column, option_letters, read_rows, reply, text, unique

ROTATION = 1_000_000  # rotation k of question i has the index i + k · 10**6


def predictions(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """Rows of an xlsx, tsv, csv or json file whose ``answer`` is one text, even where it looks like a list (ChartQA's
    ``[1, 2]`` is one answer).

    A row whose ``category`` names several, as its POPE file does (``random,popular``), counts in each: it becomes a row
    for each category, as that suite counts it.
    """
    return _rows(path, mapping, lists=False)


def lists(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """The same where ``answer`` is a list literal of all references (TextVQA, OCRBench, COCO captions)."""
    return _rows(path, mapping, lists=True)


def _rows(path: Path, mapping: Mapping[str, str], lists: bool) -> list[ImportedRow]:
    rows: list[ImportedRow] = []
    for number, row in enumerate(read_rows(path), 1):
        read = _row(row, path, number, mapping)
        if lists:
            read = replace(read, references=_literal(read.references[0], path, number))
        categories = text(row.get("category")).split(",")
        rows += [read] if len(categories) == 1 else [_within(read, category.strip()) for category in categories]
    return unique(rows, path)


def _row(row: Mapping[str, Any], path: Path, number: int, mapping: Mapping[str, str]) -> ImportedRow:
    sample_id, request_id = _ids(text(column(row, mapping.get("id", "index"), path, number)))
    fields = {name: value for name, value in row.items() if name not in ("image", "prediction", "index")}
    if options := option_letters(row):
        fields["choices"] = options
    return ImportedRow(
        sample_id=sample_id,
        request_id=request_id,
        prediction=reply(column(row, mapping.get("prediction", "prediction"), path, number)),
        references=(text(column(row, mapping.get("references", "answer"), path, number)),),
        prompt=text(row.get("question")),
        image=text(row.get("image_path")),
        fields=fields | _hallusion_keys(sample_id) | {ours: row.get(theirs) for ours, theirs in mapping.items()},
    )


def _hallusion_keys(index: str) -> dict[str, str]:
    """HallusionBench's keys, which that suite keeps in the index: category, subcategory, picture or not, set, figure,
    question (``VD_illusion_1_0_0_0``); empty for other benchmarks."""
    parts = index.split("_")
    if len(parts) != 6 or parts[0] not in ("VD", "VS"):
        return {}
    return dict(
        zip(("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id"), parts, strict=True)
    )


def _within(row: ImportedRow, category: str) -> ImportedRow:
    """The same row as a member of one of its categories."""
    return replace(
        row,
        sample_id=f"{row.sample_id}@{category}",
        request_id=f"{row.request_id}@{category}",
        fields={**row.fields, "category": category},
    )


def _ids(index: str) -> tuple[str, str]:
    """Sample id and request id: rotations of one question share the sample id."""
    if not index.isdecimal() or int(index) < ROTATION:
        return index, f"{index}#0" if index.isdecimal() else index
    rotation, base = divmod(int(index), ROTATION)
    return str(base), f"{base}#{rotation}"


def _literal(answer: str, path: Path, number: int) -> tuple[str, ...]:
    try:
        value: Any = ast.literal_eval(answer)
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, list):
        raise DataError(
            f"{path}, row {number}: the answer {answer[:60]!r} is no list literal. If answers are plain texts, import "
            "the file as `vlmevalkit`."
        )
    return tuple(map(text, value))
