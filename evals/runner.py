"""A run from start to end: plan, ask what is missing, score, keep pictures. Running it again continues it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from evals.asking import Asked
from evals.data import Subset, open_dataset
from evals.differences import differences
from evals.errors import SpecError, StoreError
from evals.executors.base import Executor, ExecutorChoice, Load, start_executor
from evals.executors.recipe import WorkerRecipe
from evals.executors.shard import Shard
from evals.files import sha256_json, write_bytes
from evals.fit import check_fit
from evals.identity import environment, task_identity
from evals.interrupt import StopSignal
from evals.journal import Journal
from evals.lock import RunLock
from evals.memory_full import Halving
from evals.plan import TaskPlan, make_plan
from evals.preflight import try_scoring
from evals.progress import meter
from evals.results import score_run
from evals.session import Session
from evals.spec.records import TaskSpec
from evals.store import SCHEMA_VERSION, Run
from evals.thumbnails import BUDGET_BYTES, write_some, write_thumbnails

EXIT_CODES = {"complete": 0, "incomplete": 5, "interrupted": 130}
SHOWN_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Item:
    """One task of a run, with what the suite or the command line says of it."""

    spec: TaskSpec
    preset: str = "default"
    subset: Subset = Subset()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a run shall do.

    Attributes:
        items: the tasks.
        suite: the suite's name, if they come from one.
        data_root, cache: where data lies and generated data is kept.
        runs_dir: folder under which a run directory named by its identity is made.
        out: the run directory itself, instead.
        new: start beside an existing run of the same name instead of continuing or refusing.
        max_error_rate: share of failed requests above which the run ends with exit code 5.
        command: what the user typed, for the record.
        quiet: show no progress.
        thumbnails: keep small copies of pictures for the report.
        taken_from: an earlier run of the same model whose answers are taken over where they answer the same questions.
        executor: who asks the model.
        shard: the part of every task that this job asks; all of it where there is none.
    """

    items: tuple[Item, ...]
    data_root: Path
    cache: Path
    runs_dir: Path
    suite: str | None = None
    out: Path | None = None
    new: bool = False
    max_error_rate: float = 0.01
    command: str = ""
    quiet: bool = False
    thumbnails: bool = True
    taken_from: Run | None = None
    executor: ExecutorChoice = ExecutorChoice()
    shard: Shard | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: ``exit_code`` 0 fine, 5 too many failed samples, 130 interrupted. A shard has no results of its
    own."""

    run: Run
    results: dict[str, Any]
    exit_code: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    item: Item
    plan: TaskPlan
    identity: dict[str, Any]
    part: range

    @property
    def requests(self) -> int:
        """Questions that this job is to get answered."""
        return self.plan.requests_in(self.part)


def execute(job: Job, load: Load, *, close: bool = True) -> Outcome:
    """Run a job: everything that can go wrong with data is found before the model is loaded.

    Args:
        load: gives the model.
        close: free the model at the end; not so where the caller has more to ask of it.

    Raises:
        EvalError: wrong data, a model that cannot be loaded, a run directory of another run, a full disk.
    """
    prepared = [_prepare(job, item) for item in job.items]
    tasks = tuple((item.spec, item.subset) for item in job.items)
    executor = start_executor(
        job.executor, lambda adapter: WorkerRecipe(tasks, job.data_root, job.cache, adapter, not job.quiet), load
    )
    at_once = True
    try:
        for one in prepared:
            check_fit(one.plan, executor.capabilities, executor.identity.get("model"))
        identity = {"model": dict(executor.identity), "tasks": {p.item.spec.name: p.identity for p in prepared}}
        run = Run(_folder(job, identity))
        with RunLock(run.path):
            _refuse_another_run(run, identity, job.shard)
            manifest = _manifest(job, run, identity, prepared, executor)
            run.write_manifest(manifest)
            if job.taken_from is not None:
                _take_answers(job.taken_from, run)
            code = _ask_all(job, run, manifest, prepared, executor)
            at_once = False
            return Outcome(run, _finish(job, run, prepared), code)
    finally:
        if close:
            executor.close(at_once=at_once)


def _finish(job: Job, run: Run, prepared: Sequence[_Prepared]) -> dict[str, Any]:
    """Score, and keep pictures. A shard is scored when it is joined with the others."""
    if job.shard is None:
        results = score_run(run)
        if job.thumbnails:
            write_thumbnails(run, {p.item.spec.name: p.plan.dataset for p in prepared})
        return results
    for p in prepared if job.thumbnails else ():
        own = slice(p.part.start, p.part.stop)
        pictures = p.plan.order[own][p.plan.starts[own]].tolist()
        write_some(run, p.plan.dataset, pictures, BUDGET_BYTES // len(prepared) // job.shard.of)
    return {}


def _prepare(job: Job, item: Item) -> _Prepared:
    dataset = open_dataset(item.spec, job.data_root, job.cache, item.subset)
    plan = make_plan(item.spec, dataset)
    try_scoring(plan)
    identity = task_identity(item.spec, item.preset, plan.samples_hash, dataset.subset)
    return _Prepared(item, plan, identity, job.shard.part(plan) if job.shard else range(len(plan.order)))


def _folder(job: Job, identity: Mapping[str, Any]) -> Path:
    """The run's folder: as asked for, or named by what it is; with ``--new`` one that is not there yet. A shard's has
    its number behind that."""
    if job.out is not None:
        folder = job.out.resolve()
    else:
        what = _short(job.suite or "+".join(identity["tasks"]))
        folder = (
            job.runs_dir / f"{what}-{_short(_slug(str(identity['model'].get('model'))))}-{sha256_json(identity)[:8]}"
        )
    if job.shard:
        if job.new:
            raise SpecError("--new and --shard exclude each other: shards must agree on a name. Give another --out.")
        return folder.with_name(f"{folder.name}-shard-{job.shard.index}-of-{job.shard.of}")
    if not job.new:
        return folder
    names = chain([folder], (folder.with_name(f"{folder.name}-{number}") for number in count(2)))
    return next(name for name in names if not name.exists())


def _refuse_another_run(run: Run, identity: Mapping[str, Any], shard: Shard | None) -> None:
    """Raise :class:`StoreError` where the folder holds anything but the beginning of this very run."""
    if run.manifest_path.exists():
        ours = {**identity, "shard": str(shard) if shard else None}
        found = differences({**run.manifest["identity"], "shard": run.manifest.get("shard")}, ours)
        if found:
            shown = [*found[:SHOWN_DIFFERENCES], *(["..."] if len(found) > SHOWN_DIFFERENCES else [])]
            listed = "\n  ".join(shown)
            raise StoreError(
                f"{run.path} holds another run. It differs from this one in:\n  {listed}\n"
                "Choose another folder with --out, or start beside it with --new."
            )
    elif any(path.name != "lock" for path in run.path.iterdir()):
        raise StoreError(
            f"{run.path} is not empty and holds no run. Choose another folder with --out, or start one beside it "
            "with --new."
        )


def _take_answers(earlier: Run, run: Run) -> None:
    """Begin the journals with an earlier run's answers; asking passes over those whose sample and hash agree.

    Raises:
        StoreError: the earlier run is another model's.
    """
    found = differences(earlier.manifest["identity"]["model"], run.manifest["identity"]["model"])
    if found:
        raise StoreError(
            f"The answers of {earlier.path} cannot be taken over: its model differs in {'; '.join(found)}. "
            "Use the model that made them."
        )
    for task in run.tasks:
        source, target = earlier.responses_path(task), run.responses_path(task)
        if source.exists() and not target.exists():
            write_bytes(target, source.read_bytes())


def _short(text: str) -> str:
    """A text of at most 80 bytes: file systems count bytes, and a Chinese letter has three."""
    return text.encode()[:80].decode(errors="ignore")


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip("-") or "model"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _manifest(
    job: Job, run: Run, identity: dict[str, Any], prepared: Sequence[_Prepared], executor: Executor
) -> dict[str, Any]:
    """The manifest of a new run, or the existing one taken up again; this session is its last one."""
    if run.manifest_path.exists():
        manifest = dict(run.manifest)
    else:
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "run_id": run.path.name,
            "created": _now(),
            "suite": job.suite,
            "identity": identity,
            "shard": str(job.shard) if job.shard else None,
            "tasks": {},
            "efficiency": {},
        }
    for p in prepared:
        name = p.item.spec.name
        known = manifest["tasks"].get(name, {})
        manifest["tasks"][name] = {
            "wall_s": None,
            "batch_halved": [],
            "weight": p.item.weight,
            "several_pictures": p.plan.dataset.several_pictures,
            "plan": p.plan.savings(),
            "spec": asdict(p.item.spec),
        } | {key: value for key, value in known.items() if key in ("wall_s", "batch_halved")}
        p.plan.questions.save(run.questions_path(name))
    about, now = environment(identity["model"]), _now()
    session = Session(
        started=now,
        command=job.command,
        executor=job.executor.kind,
        workers=executor.workers,
        address=job.executor.address,
        shard=str(job.shard) if job.shard else None,
        hardware_key=about.get("hardware_key"),
    )
    return manifest | {
        "status": "started",
        "updated": now,
        "command": job.command,
        "environment": about,
        "sessions": [*manifest.get("sessions", []), asdict(session)],
    }


def _ask_all(job: Job, run: Run, manifest: dict[str, Any], prepared: Sequence[_Prepared], executor: Executor) -> int:
    """Ask all tasks in turn and leave the manifest saying how it ended; returns the exit code."""
    status, missing = "failed", 0
    session = Session(**manifest["sessions"].pop())
    smaller = _halved_before(executor)
    try:
        with StopSignal(executor.stop) as stop:
            for p in prepared:
                asked = _ask_one(job, run, p, executor, stop)
                smaller = _note(manifest["tasks"][p.item.spec.name], asked, smaller)
                missing += p.requests - asked.kept - asked.answered
                answered, failed = session.answered + asked.answered, session.failed + asked.failed
                session = replace(session, answered=answered, failed=failed)
                if stop.requested:
                    break
        too_many = missing > job.max_error_rate * sum(p.requests for p in prepared)
        status = "interrupted" if stop.requested else "incomplete" if too_many else "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        _note_session(manifest, session, executor, status)
        manifest |= {"status": status, "updated": _now()}
        _write_last(run, manifest, status)
    return EXIT_CODES[status]


def _halved_before(executor: Executor) -> Halving | None:
    """The last time that memory was full before: an adapter that is asked again still has small batches."""
    batching = executor.batching()
    last = batching.full[-1:] if batching else ()
    return Halving(0, last[0].batch_size, last[0].error) if last else None


def _note_session(manifest: dict[str, Any], session: Session, executor: Executor, status: str) -> None:
    """Add what the session measured; one that found nothing to ask is not kept beside others."""
    manifest["efficiency"] = manifest["efficiency"] | {"load_s": executor.load_s, **executor.memory_mib()}
    batching, asked = executor.batching(), session.answered + session.failed
    if batching is not None:
        session = replace(session, batch_size=batching.size, auto_batch=batching.is_auto)
    if asked and batching is not None and batching.is_auto:
        manifest["efficiency"] |= {"auto_batch_size": batching.size, "auto_batch_tokens": batching.tokens}
    if asked or status != "complete" or not manifest["sessions"]:
        manifest["sessions"].append(asdict(replace(session, status=status, ended=_now())))


def _write_last(run: Run, manifest: dict[str, Any], status: str) -> None:
    try:
        run.write_manifest(manifest)
    except StoreError:
        if status != "failed":  # after a failure the error that is already on its way says more
            raise


def _ask_one(job: Job, run: Run, p: _Prepared, executor: Executor, stop: StopSignal) -> Asked:
    """Ask one task's open questions, and say what was unusual."""
    name = p.item.spec.name
    with (
        Journal(run.responses_path(name)) as journal,
        meter(p.item.spec.title, p.requests, quiet=job.quiet) as shown,
    ):
        asked = executor.ask(p.plan, p.part, journal, stop, shown)
    if asked.torn_bytes:
        print(f"{name}: cut {asked.torn_bytes} bytes of an unfinished line from the journal.", file=sys.stderr)
    if asked.kept:
        print(f"{name}: {asked.kept:,} answers were there already and were not asked again.", file=sys.stderr)
    if asked.dropped:
        print(f"{name}: dropped {asked.dropped:,} responses to requests that were not open.", file=sys.stderr)
    if asked.halvings:
        size = asked.halvings[-1].batch_size
        print(f"{name}: memory was full; batches are of {size} now. Times are not comparable.", file=sys.stderr)
    return asked


def _note(entry: dict[str, Any], asked: Asked, smaller: Halving | None) -> Halving | None:
    """Add to a task's entry of the manifest what its session measured.

    Args:
        smaller: the last halving of an earlier task of this session: this one was asked in smaller batches from the
            start.

    Returns:
        The same for the next task.
    """
    if not asked.answered + asked.failed:
        return smaller
    halvings = ([replace(smaller, answered=0)] if smaller else []) + list(asked.halvings)
    entry["batch_halved"] += [asdict(halving) for halving in halvings]
    entry["wall_s"] = (entry["wall_s"] or 0.0) + asked.wall_s
    return halvings[-1] if halvings else None
