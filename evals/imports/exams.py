"""Output files of expert exams: MMMU (per subject), MathVista (one object) and MATH-Vision (JSON lines)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.errors import DataError
from evals.imports.rows import ImportedRow, by_id, column, read_rows, reply, text, unique


def mmmu(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """MMMU: one output file, or a folder of ``<subject>/output.json``; the reference is the answer dictionary."""
    truth = by_id(references)
    files = sorted(path.glob("*/output.json")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no <subject>/output.json below it.")
    rows = []
    for file in files:
        for number, row in enumerate(read_rows(file), 1):
            key = text(column(row, "id", file, number))
            known = truth.get(key, {})
            answer = known.get("ground_truth", row.get("answer"))
            if answer is None:
                raise DataError(f"{file}, row {number}: no answer is known for {key!r}; give --references.")
            kind = text(known.get("question_type") or row.get("question_type"))
            rows.append(
                ImportedRow(
                    sample_id=key,
                    request_id=key,
                    prediction=reply(column(row, "response", file, number)),
                    references=tuple(map(text, answer)) if isinstance(answer, list) else (text(answer),),
                    fields={
                        "question_type": kind,
                        "choices": row.get("index2ans") or {},
                        "subject": key.partition("_")[2].rpartition("_")[0],
                    },
                )
            )
    return unique(rows, path)


def mathvista(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """MathVista: an object of problems, each with its own answer, choices and the model's ``response``."""
    rows = []
    for number, row in enumerate(read_rows(path), 1):
        about = row.get("metadata") or {}
        prediction = row.get(mapping.get("prediction", "response"), row.get("prediction"))
        rows.append(
            ImportedRow(
                sample_id=(key := text(column(row, "id", path, number))),
                request_id=key,
                prediction=reply(prediction),
                references=(text(column(row, "answer", path, number)),),
                prompt=text(row.get("question")),
                image=text(row.get("image")),
                fields={
                    name: row.get(name) for name in ("question_type", "answer_type", "precision", "choices", "unit")
                }
                | {name: about.get(name) for name in ("task", "context", "source", "category", "language")}
                | {"extraction": row.get("extraction")},
            )
        )
    return unique(rows, path)


def mathvision(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """MATH-Vision: replies in JSON lines; the reference is the benchmark's question file."""
    problems = by_id(references)
    rows = []
    for number, row in enumerate(read_rows(path), 1):
        key = text(column(row, "id", path, number))
        if key not in problems:
            raise DataError(f"{path}, row {number}: the reference files have no question {key!r}.")
        problem = problems[key]
        rows.append(
            ImportedRow(
                sample_id=key,
                request_id=key,
                prediction=reply(column(row, mapping.get("prediction", "response"), path, number)),
                references=(text(problem.get("answer")),),
                prompt=text(problem.get("question")),
                image=text(problem.get("image")),
                fields={
                    "choices": list(problem.get("options") or []),
                    "level": text(problem.get("level")),
                    "subject": text(problem.get("subject")),
                    "model_answer": row.get("model_answer"),
                },
            )
        )
    return unique(rows, path)
