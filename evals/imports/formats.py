"""Formats by name. A reader takes the predictions file, reference files and a column map, and yields rows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evals.errors import SpecError, did_you_mean
from evals.imports.rows import ImportedRow


class Reader(Protocol):
    """Reads one format. ``mapping``: this project's column name → the file's, given with --map."""

    def __call__(self, path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]: ...


FORMATS: dict[str, str] = {
    "llava-mme": "evals.imports.llava:mme",
    "llava-pope": "evals.imports.llava:pope",
    "llava-scienceqa": "evals.imports.llava:scienceqa",
    "lmms-eval": "evals.imports.lmms_eval:samples",
    "mathvision": "evals.imports.exams:mathvision",
    "mathvista": "evals.imports.exams:mathvista",
    "mmmu": "evals.imports.exams:mmmu",
    "plain": "evals.imports.plain:plain",
    "vlmevalkit": "evals.imports.vlmevalkit:predictions",
    "vlmevalkit-lists": "evals.imports.vlmevalkit:lists",
}


def reader(name: str) -> Reader:
    """The reader of a format. Raises :class:`SpecError` with the nearest name if unknown."""
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS)
        raise SpecError(f"Unknown format {name!r}.{hint} Known formats: {', '.join(FORMATS)}.")
    module, _, function = FORMATS[name].partition(":")
    found: Reader = getattr(importlib.import_module(module), function)
    return found
