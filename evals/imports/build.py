"""From imported rows to a run directory: the same files as our own runs have, without latency, marked as imported."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.errors import StoreError
from evals.files import canonical_json, write_bytes
from evals.identity import environment, samples_hash, scorer_identity
from evals.imports.formats import reader
from evals.imports.rows import ImportedRow
from evals.journal import Journal
from evals.lock import RunLock
from evals.questions import write_questions
from evals.records import Answer, Question
from evals.results import score_run
from evals.spec.records import TaskSpec
from evals.store import SCHEMA_VERSION, Run
from model_adapters.contract import Failure

NO_ANSWER = Failure("NoAnswer", "The imported file has no prediction for this question.")


def import_predictions(
    spec: TaskSpec,
    preset: str,
    form: str,
    path: Path,
    out: Path,
    *,
    model: str,
    references: Sequence[Path] = (),
    mapping: Mapping[str, str] | None = None,
    command: str = "",
) -> Run:
    """Make a run of a predictions file, or add a task to a run that was imported before, and score it.

    Args:
        spec: says how the predictions are scored; its prompt and generation settings do not apply.
        form: name of the file's format, see :data:`evals.imports.FORMATS`.
        model: the model's name, for people and for joining several imports into one run.
        mapping: this project's column name → the file's.

    Raises:
        DataError: the file is not of this format, an id comes twice, a reference is missing.
        StoreError: ``out`` holds a run of another kind or model, or this task already.
    """
    rows = reader(form)(path, references, mapping or {})
    run = Run(out)
    identity = {
        "adapter": "import",
        "adapter_version": "1",
        "model": model,
        "weights": None,
        "dtype": None,
        "device": None,
        "parameters": None,
    }
    with RunLock(out):
        manifest = _manifest(run, identity, spec.name, command)
        questions = [_question(spec, row, mapping or {}) for row in rows]
        _note_missing_categories(spec, questions)
        manifest["tasks"] = manifest["tasks"] | {
            spec.name: {"wall_s": None, "weight": 1.0, "spec": asdict(spec)},
        }
        named = {
            "task": {"version": spec.version, "preset": preset, "protocol": spec.protocol, "image": spec.image},
            "data": {"samples": samples_hash(questions), "subset": None},
            "prompt": None,
            "generation": None,
            "scorer": scorer_identity(spec),
            "imported": {"format": form, "file": path.name, "sha256": _digest(path), "rows": len(rows)},
        }
        tasks = manifest["identity"]["tasks"] | {spec.name: named}
        _add_task(run, manifest | {"identity": manifest["identity"] | {"tasks": tasks}}, spec.name, rows, questions)
    missing = sum(row.prediction is None for row in rows)
    if missing:
        print(f"{path.name}: {missing} of {len(rows)} rows have no prediction; they count as failed.", file=sys.stderr)
    return run


def _add_task(
    run: Run, manifest: dict[str, Any], task: str, rows: Sequence[ImportedRow], questions: Sequence[Question]
) -> None:
    """Write the task's files and score the run; where that fails, the folder is as it was before."""
    before = run.manifest_path.read_bytes() if run.manifest_path.exists() else None
    try:
        write_questions(run.questions_path(task), questions)
        with Journal(run.responses_path(task)) as journal:
            journal.append(map(_answer, rows, questions))
        run.write_manifest(manifest)
        score_run(run)
    except BaseException:
        for path in (run.questions_path(task), run.responses_path(task), run.samples_path(task)):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # the folder of another task's files stays
                path.parent.rmdir()
        if before is None:
            run.manifest_path.unlink(missing_ok=True)
        else:
            write_bytes(run.manifest_path, before)
        raise


def _manifest(run: Run, model: dict[str, Any], task: str, command: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if not run.manifest_path.exists():
        if any(path.name != "lock" for path in run.path.iterdir()):
            raise StoreError(f"{run.path} is not empty and holds no run. Choose another folder with --out.")
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": run.path.name,
            "created": now,
            "updated": now,
            "status": "complete",
            "imported": True,
            "suite": None,
            "command": command,
            "identity": {"model": model, "tasks": {}},
            "tasks": {},
            "efficiency": {},
            "environment": environment(model),
        }
    manifest = dict(run.manifest)
    if manifest["identity"]["model"] != model:
        raise StoreError(
            f"{run.path} holds a run of {manifest['identity']['model'].get('model')!r}; choose another --out."
        )
    if task in manifest["tasks"]:
        raise StoreError(f"{run.path} has the task {task!r} already. Choose another --out, or delete that folder.")
    return manifest | {"updated": now}


def _question(spec: TaskSpec, row: ImportedRow, mapping: Mapping[str, str]) -> Question:
    own = {**row.fields, "image": row.image, "group": row.sample_id}
    fields = own | {ours: own[theirs] for ours, theirs in mapping.items() if theirs in own}
    content = canonical_json([row.sample_id, row.prompt, row.references, row.image])
    return Question(
        request_id=row.request_id,
        sample_id=row.sample_id,
        content_hash=hashlib.sha256(content).hexdigest(),
        cluster=row.image or row.sample_id,
        prompt=row.prompt,
        image_hashes=(),
        references=row.references,
        fields=fields,
        categories={name: str(fields[name]) for name in spec.categories if fields.get(name) is not None},
    )


def _note_missing_categories(spec: TaskSpec, questions: Sequence[Question]) -> None:
    missing = [name for name in spec.categories if not any(name in q.categories for q in questions)]
    if missing:
        print(
            f"no scores by {', '.join(missing)}: the imported rows do not have it; they have "
            f"{', '.join(questions[0].fields)}. Name a column with --map {missing[0]}=COLUMN.",
            file=sys.stderr,
        )


def _answer(row: ImportedRow, question: Question) -> Answer:
    if row.prediction is None:
        return Answer(row.request_id, row.sample_id, question.content_hash, finish="error", failure=NO_ANSWER)
    return Answer(row.request_id, row.sample_id, question.content_hash, row.prediction)


def _digest(path: Path) -> str:
    """sha256 of a file, or over the files of a folder in the order of their names."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
