"""Baselines: a small reviewed folder that says how a model scored, how much that varies, and what is still acceptable.

baseline.yaml     identity, scores, rates, noise floor, margins, environment; protected by its own hash
scores.jsonl.gz   every unit's score, cluster, categories and answer hash
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evals.compare import Options, compare_runs
from evals.compare.batches import usual_batch
from evals.compare.evidence import FINISHED, RunLike
from evals.compare.identity import mismatches, require_comparable
from evals.differences import differences
from evals.errors import ComparisonError, SpecError, StoreError
from evals.files import sha256_json, write_bytes
from evals.frozen import FrozenRun, kept_manifest, read_scores, write_scores
from evals.gate.margins import Margins, margins_json, read_margins, require_tasks

SCHEMA_VERSION = 1
DOCUMENT, SCORES = "baseline.yaml", "scores.jsonl.gz"
# Of a model's identity, what may vary between a baseline's runs: their effect is the noise to measure.
MAY_VARY = ("device", "device_name", "batch_size")
DISAGREE = 0.01  # two runs of one model disagree where a Holm-adjusted paired test says so at this level


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline as read.

    Attributes:
        path: its folder; name: as given at creation.
        run: the frozen run; margins: what is acceptable.
        rates: by task: ``error_rate``, ``parse_failures`` (shares of requests), ``answer_chars`` (mean length or None).
        noise: by task: ``discordance`` and ``answers_changed`` between the runs it was made from; empty for one run.
        sha256: of the document, to be quoted in verdicts.
    """

    path: Path
    name: str
    run: FrozenRun
    margins: Margins
    rates: Mapping[str, Mapping[str, float | None]]
    noise: Mapping[str, Mapping[str, float | None]]
    sha256: str


def create_baseline(
    runs: Sequence[RunLike],
    folder: Path,
    name: str,
    *,
    margins: Margins | None = None,
    single_reason: str | None = None,
    noise_file: Path | None = None,
) -> Baseline:
    """Write a baseline from finished runs of one model; the first one's scores are kept.

    Args:
        runs: at least two that agree; one only with ``single_reason``.
        folder: new or empty.
        single_reason: why one run must do; stored and shown.
        noise_file: a noise floor that `doctor --determinism` measured on this model. It is raised by what the runs
            show; with it, one run does.

    Raises:
        ComparisonError: the runs are not of the same model and settings, or their scores disagree.
        SpecError: one run without a reason, or the same run twice.
        StoreError: a run has not finished; the folder already holds a baseline, or cannot be written.
    """
    if (folder / DOCUMENT).exists():
        raise StoreError(f"{folder} already holds a baseline. Use `baseline update` to replace it, or another folder.")
    return _write(runs, folder, name, margins or Margins(), single_reason, noise_file)


def update_baseline(
    folder: Path,
    runs: Sequence[RunLike],
    *,
    margins: Margins | None = None,
    single_reason: str | None = None,
    noise_file: Path | None = None,
) -> tuple[Baseline, list[str]]:
    """Replace a baseline by newer runs (none: only its margins), and say what changes, one line each.

    Raises:
        StoreError: there is no readable baseline in the folder.
        ComparisonError, SpecError: as :func:`create_baseline`.
    """
    old = open_baseline(folder)
    chosen = margins or old.margins
    if not runs:
        document = _document(folder)
        require_tasks(chosen, old.run.results["tasks"])
        document["margins"] = margins_json(chosen)
        _write_document(folder, document)
        new = open_baseline(folder)
    else:
        new = _write(runs, folder, old.name, chosen, single_reason, noise_file)
    return new, _changes(old, new)


def open_baseline(folder: str | Path) -> Baseline:
    """Read a baseline and check that nobody edited it.

    Raises:
        StoreError: missing, not YAML, of a newer schema, or changed by hand.
    """
    path = Path(folder)
    document = _document(path)
    stated = document.get("sha256")
    found = _document_hash(document)
    if stated != found:
        raise StoreError(
            f"{path / DOCUMENT} was edited: its content hashes to {found[:12]}…, it says {str(stated)[:12]}…. Change a "
            "baseline only with `baseline update` (margins: --margin NAME=VALUE), so that the change is whole."
        )
    results = {"tasks": document["tasks"], "efficiency": document["efficiency"]}
    scores = read_scores(path / SCORES, document["scores_sha256"], document["tasks"])
    run = FrozenRun(path, document["run"], results, scores)
    margins = read_margins(document["margins"])
    return Baseline(path, document["name"], run, margins, document["rates"], document["noise"], found)


def measured_rates(run: RunLike, task: str) -> dict[str, float | None]:
    """Shares of failed and unreadable answers, and the mean answer length in characters."""
    result = run.results["tasks"][task]
    requests = result["n_requests"]
    answers = [text for text in run.columns(task, ["prediction"])["prediction"] if text is not None]
    return {
        "error_rate": result["n_errors"] / result["n"] if result["n"] else None,
        "parse_failures": result["parse_failures"] / requests if requests else None,
        "answer_chars": sum(map(len, answers)) / len(answers) if answers else None,
    }


def _document(path: Path) -> dict[str, Any]:
    file = path / DOCUMENT
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{file} does not exist. Give the folder that `baseline create` made.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} cannot be read: {error}. Restore it from version control.") from error
    except yaml.YAMLError as error:
        raise StoreError(f"{file} is not valid YAML ({error}). Restore it from version control.") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{file} has schema version {version!r}, this program reads {SCHEMA_VERSION}. Use the version of the "
            "program that wrote it, or create the baseline again from runs."
        )
    found: dict[str, Any] = document
    return found


def _document_hash(document: Mapping[str, Any]) -> str:
    return sha256_json({key: value for key, value in document.items() if key != "sha256"})


def _write_document(folder: Path, document: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(document, allow_nan=False))  # tuples and mappings as YAML's own kinds
    plain["sha256"] = _document_hash(plain)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
    header = "# Written by `baseline create` or `baseline update`; an edit by hand is refused.\n"
    write_bytes(folder / DOCUMENT, (header + text).encode())


def require_finished(run: RunLike) -> None:
    """Raise :class:`StoreError` for a run that was broken off: what it did not ask is missing from its scores."""
    status = run.manifest.get("status")
    if status not in FINISHED:
        raise StoreError(
            f"{run.path} has status {status!r}: it has not finished. Run the same command again to finish it."
        )


def _write(
    runs: Sequence[RunLike],
    folder: Path,
    name: str,
    margins: Margins,
    single_reason: str | None,
    noise_file: Path | None,
) -> Baseline:
    for one in runs:
        require_finished(one)
        require_tasks(margins, one.results["tasks"])
    measured = _measured_floor(runs, noise_file) if runs and noise_file else {}
    noise = _with_floor(_noise(runs, single_reason, measured), measured)
    run = runs[0]
    tasks = list(run.results["tasks"])
    kept = ("title", "family", "metric", "headline", "n", "n_requests", "weight", "chance", "statistics", "categories")
    document = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "run": kept_manifest(run),
        "made_from": [one.manifest["run_id"] for one in runs],
        "single_reason": single_reason,
        "margins": margins_json(margins),
        "noise": noise,
        "rates": {task: measured_rates(run, task) for task in tasks},
        "tasks": {task: _kept_result(run.results["tasks"][task], kept) for task in tasks},
        "efficiency": run.results.get("efficiency", {}),
    }
    document["scores_sha256"] = write_scores(folder / SCORES, run, tasks)
    _write_document(folder, document)
    return open_baseline(folder)


def _kept_result(result: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """A task's result without what a gate does not read: only the headline, and the names of the categories."""
    short = {key: result.get(key) for key in kept}
    short["statistics"] = {result["headline"]: result["statistics"][result["headline"]]}
    short["categories"] = {name: {} for name in result.get("categories", {})}
    short["usual_batch"] = usual_batch(result)
    return short


def _measured_floor(runs: Sequence[RunLike], noise_file: Path) -> dict[str, dict[str, float]]:
    """The floor of the runs' tasks as `doctor --determinism` measured it."""
    from evals.determinism import read_floor

    model = _fixed(runs[0].manifest["identity"]["model"])
    floor = read_floor(noise_file, lambda measured: differences(_fixed(measured), model))
    return {task: floor[task] for task in runs[0].results["tasks"] if task in floor}


def _with_floor(
    noise: dict[str, dict[str, float | None]], measured: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float | None]]:
    for task, floor in measured.items():
        known = noise.setdefault(task, {"discordance": 0.0, "answers_changed": 0.0})
        noise[task] = {name: max(known[name] or 0.0, value) for name, value in floor.items()}
    return noise


def _noise(
    runs: Sequence[RunLike], single_reason: str | None, measured: Mapping[str, Any]
) -> dict[str, dict[str, float | None]]:
    """How much the runs differ among themselves: the largest share of changed scores and answers, by task."""
    names = [(run.manifest["run_id"], run.manifest.get("created")) for run in runs]  # folders may share a name
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SpecError(
            f"The run {twice[0]} is given twice: a run agrees with itself, so that would measure no noise. "
            "Give two runs of the model, each in its own folder."
        )
    known_floor = runs and measured.keys() == runs[0].results["tasks"].keys()
    if not runs or (len(runs) == 1 and not single_reason and not known_floor):
        raise SpecError(
            "A baseline needs at least two runs of the same model, so that the noise floor is measured. Run it once "
            "more (another batch size is best), give --noise with a floor that `doctor --determinism` measured on all "
            "its tasks, or give --single with the reason why one must do."
        )
    if len(runs) == 1:
        return {}
    _require_same_model(runs)
    noise: dict[str, dict[str, float | None]] = {}
    for comparison in compare_runs(runs, Options(categories=False)):
        for task in comparison.tasks:
            if task.p_holm is not None and task.p_holm < DISAGREE:
                raise ComparisonError(
                    f"{comparison.a} and {comparison.b} disagree on task {task.task}: {task.sentence} Two runs of one "
                    "model should not; find out why before making a baseline."
                )
            changed = None if task.agreement is None else 1 - task.agreement
            known = noise.setdefault(task.task, {"discordance": 0.0, "answers_changed": 0.0})
            known["discordance"] = max(known["discordance"] or 0.0, task.difference.discordance or 0.0)
            known["answers_changed"] = max(known["answers_changed"] or 0.0, changed or 0.0)
    return noise


def _require_same_model(runs: Sequence[RunLike]) -> None:
    first = runs[0]
    for other in runs[1:]:
        names = first.manifest["run_id"], other.manifest["run_id"]
        ours, theirs = (run.manifest["identity"] for run in (first, other))
        lines = differences(_fixed(ours["model"]), _fixed(theirs["model"]))
        missing = sorted(set(ours["tasks"]) ^ set(theirs["tasks"]))
        if lines or missing:
            what = "; ".join(lines) if lines else f"only one has the tasks {', '.join(missing)}"
            raise ComparisonError(
                f"{names[0]} and {names[1]} are not runs of one model on the same tasks: {what}. "
                "A baseline is made from repeated runs of one checkpoint."
            )
        require_comparable(mismatches(ours["tasks"], theirs["tasks"], list(ours["tasks"])), (), *names)


def _fixed(model: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's identity that must be the same in all runs of a baseline."""
    return {key: value for key, value in model.items() if key not in MAY_VARY}


def _changes(old: Baseline, new: Baseline) -> list[str]:
    """What an update changes: identity parts, margins, scores, noise."""

    def facts(baseline: Baseline) -> dict[str, Any]:
        tasks = baseline.run.results["tasks"]
        return {
            "identity": baseline.run.manifest["identity"],
            "margins": margins_json(baseline.margins),
            "score": {name: task["statistics"][task["headline"]]["value"] for name, task in tasks.items()},
            "rates": baseline.rates,
            "noise": baseline.noise,
        }

    return differences(facts(old), facts(new))
