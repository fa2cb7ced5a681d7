"""lmms-eval's ``samples_*.jsonl``: one object per document with ``doc_id``, ``target``, ``resps`` and often ``doc``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.imports.rows import ImportedRow, column, read_rows, reply, text, unique


def samples(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """The raw reply is taken (``resps``), not what that suite filtered out of it: extraction is ours, and named."""
    rows = []
    for number, row in enumerate(read_rows(path), 1):
        doc: dict[str, Any] = row.get("doc") or {}
        key = text(column(row, mapping.get("id", "doc_id"), path, number))
        target = doc.get(mapping["references"]) if "references" in mapping else column(row, "target", path, number)
        rows.append(
            ImportedRow(
                sample_id=key,
                request_id=key,
                prediction=reply(_first(column(row, mapping.get("prediction", "resps"), path, number))),
                references=tuple(map(text, target)) if isinstance(target, list) else (text(target),),
                prompt=text(row.get("input") or row.get("prompt") or doc.get("question")),
                fields={**doc, **{ours: doc.get(theirs) for ours, theirs in mapping.items() if theirs in doc}},
            )
        )
    return unique(rows, path)


def _first(responses: Any) -> Any:
    """The first reply of nested lists, one per repeat and filter."""
    while isinstance(responses, list):
        responses = responses[0] if responses else None
    return responses
