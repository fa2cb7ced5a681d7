"""Joining the shards of a run: several run directories of one identity become one.

The answers of all shards are looked up for every question. The same answer in several shards is no matter; of different
ones the last shard's counts, and how many there are is said. The whole run can be merged into again, with more shards
or the same ones, and a normal `run` into it asks what is still missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile
from typing import Any

from evals.differences import differences
from evals.errors import SpecError, StoreError
from evals.journal import Journal, JournalIndex
from evals.lock import RunLock
from evals.questions import read_questions
from evals.records import Answer, Question
from evals.results import score_run
from evals.store import Run, open_run

BATCH = 512
KEPT_IDS = 20


@dataclass(slots=True)
class TaskCounts:
    """What was found of one task.

    Attributes:
        requests: questions of the whole task; ``answers`` of them have an answer.
        twice: questions with the same answer in several shards.
        conflicts, missing: ids of questions with different answers, or with none; the first few of them.
    """

    requests: int = 0
    answers: int = 0
    twice: int = 0
    n_conflicts: int = 0
    conflicts: list[str] = field(default_factory=list)
    n_missing: int = 0
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Merged:
    """The whole run. ``absent`` names shards that were not given; ``exit_code`` is 5 where too much is missing."""

    run: Run
    tasks: dict[str, TaskCounts]
    absent: list[str]
    exit_code: int


def merge_runs(paths: Sequence[Path], out: Path, max_error_rate: float, command: str = "") -> Merged:
    """Join run directories into ``out``, which may be new or hold an earlier merge, and score the whole.

    Args:
        max_error_rate: share of questions without an answer above which the whole is incomplete (exit code 5).

    Raises:
        SpecError: fewer than two different runs.
        StoreError: a folder that is no run, runs of different identity, or another run in ``out``.
    """
    folders = list(dict.fromkeys(path.resolve() for path in paths))
    if len(folders) < 2:
        raise SpecError(f"merge joins two or more runs; only {paths[0]} was given. A single run needs no merge.")
    shards = [open_run(folder) for folder in folders]
    _require_one_identity(shards)
    run = Run(out.resolve())
    if run.path in folders:
        raise SpecError(f"--out {out} is one of the runs to be joined. Give the whole run a folder of its own.")
    with RunLock(run.path):
        _require_own_folder(run, shards[0])
        counts = {task: _merge_task(run, shards, task) for task in shards[0].tasks}
        missing = sum(c.requests - c.answers for c in counts.values())
        complete = missing <= max_error_rate * sum(c.requests for c in counts.values())
        run.write_manifest(_manifest(run, shards, command, "complete" if complete else "incomplete"))
        _copy_thumbnails(run, shards)
        score_run(run)
    return Merged(run, counts, _absent(shards), 0 if complete else 5)


def _require_one_identity(shards: Sequence[Run]) -> None:
    for other in shards[1:]:
        found = differences(shards[0].manifest["identity"], other.manifest["identity"])
        if found:
            listed = "\n  ".join(found[:BATCH])
            raise StoreError(
                f"{shards[0].path} and {other.path} are no parts of one run. They differ in:\n  {listed}\n"
                "Give shards of the same model, tasks, data and settings."
            )


def _require_own_folder(run: Run, shard: Run) -> None:
    """Raise where the folder holds anything but the same run as a whole."""
    if run.manifest_path.exists():
        found = differences(run.manifest["identity"], shard.manifest["identity"])
        if found or run.manifest.get("shard"):
            what = "\n  ".join(found) or f"it is {run.manifest['shard']}"
            raise StoreError(f"{run.path} holds another run:\n  {what}\nChoose another folder with --out.")
    elif any(path.name != "lock" for path in run.path.iterdir()):
        raise StoreError(f"{run.path} is not empty and holds no run. Choose another folder with --out.")


def _merge_task(run: Run, shards: Sequence[Run], task: str) -> TaskCounts:
    """Bring a task's answers together in the whole run's journal; those that stand there already stay."""
    source = next((shard for shard in shards if shard.questions_path(task).exists()), shards[0])
    counts = TaskCounts()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(run.responses_path(task)))
        there = stack.enter_context(JournalIndex(run.responses_path(task)))
        found = [stack.enter_context(JournalIndex(shard.responses_path(task))) for shard in shards]
        batch: list[Answer] = []
        for question in read_questions(source.questions_path(task)):
            answer = _best(question, there.get(question.request_id), [index.get for index in found], counts)
            if answer is not None and answer != there.get(question.request_id):
                batch.append(answer)
            if len(batch) >= BATCH:
                journal.append(batch)
                batch.clear()
        journal.append(batch)
    run.questions_path(task).parent.mkdir(parents=True, exist_ok=True)
    copyfile(source.questions_path(task), run.questions_path(task))
    return counts


def _best(
    question: Question, known: Answer | None, shards: Sequence[Callable[[str], Answer | None]], counts: TaskCounts
) -> Answer | None:
    """The answer that counts: the last shard's, else the one known from before; a failure where there is none."""
    given = [answer for get in shards if (answer := get(question.request_id)) is not None]
    found = [a for a in ([known] if known else []) + given if a.content_hash == question.content_hash]
    answers = [answer for answer in found if answer.failure is None]
    counts.requests += 1
    counts.answers += bool(answers)
    if len({(a.text, a.choice_scores) for a in answers}) > 1:
        counts.n_conflicts += 1
        counts.conflicts += [question.request_id] if len(counts.conflicts) < KEPT_IDS else []
    elif sum(a.failure is None for a in given) > 1:
        counts.twice += 1
    if not answers:
        counts.n_missing += 1
        counts.missing += [question.request_id] if len(counts.missing) < KEPT_IDS else []
    counted = answers or found
    return counted[-1] if counted else None


def _manifest(run: Run, shards: Sequence[Run], command: str, status: str) -> dict[str, Any]:
    """The first shard's manifest as the whole's. Shards ran beside each other, so times and peaks are the largest."""
    manifests = [shard.manifest for shard in shards]
    first = manifests[0]
    tasks = {}
    for name, stored in first["tasks"].items():
        parts = [m["tasks"][name] for m in manifests if name in m["tasks"]]
        halved = [halving for part in parts for halving in part.get("batch_halved", [])]
        tasks[name] = stored | {"wall_s": _largest(part["wall_s"] for part in parts), "batch_halved": halved}
    # Of an earlier merge the sessions that asked the whole run since; the shards tell their own as they are now.
    earlier = run.manifest.get("sessions", []) if run.manifest_path.exists() else []
    sessions = {
        (s["started"], s["shard"], s["command"]): s
        for s in [*earlier, *(s for m in manifests for s in m.get("sessions", []))]
    }
    keys = dict.fromkeys(key for m in manifests for key in m["efficiency"])
    return first | {
        "run_id": run.path.name,
        "created": min(m["created"] for m in manifests),
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "shard": None,
        "command": command,
        "status": status,
        "tasks": tasks,
        "efficiency": {key: _largest(m["efficiency"].get(key) for m in manifests) for key in keys},
        "sessions": sorted(sessions.values(), key=lambda s: s["started"]),
        "merged": [{"run_id": m["run_id"], "shard": m.get("shard"), "status": m["status"]} for m in manifests],
    }


def _largest(values: Iterator[Any]) -> Any:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _copy_thumbnails(run: Run, shards: Sequence[Run]) -> None:
    for shard in shards:
        for path in (shard.path / "thumbnails").glob("*.jpg"):
            (run.path / "thumbnails").mkdir(exist_ok=True)
            if not (run.path / "thumbnails" / path.name).exists():
                copyfile(path, run.path / "thumbnails" / path.name)


def _absent(shards: Sequence[Run]) -> list[str]:
    """Shards of the same division that were not given."""
    given: Mapping[str, str] = {str(s.manifest.get("shard")): s.path.name for s in shards}
    sizes = {int(found[1]) for name in given if (found := re.fullmatch(r"shard \d+ of (\d+)", name))}
    return [name for size in sorted(sizes) for k in range(size) if (name := f"shard {k} of {size}") not in given]
