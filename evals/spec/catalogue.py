"""Finding tasks and suites by name: in the project's own catalogue, or as a path to a YAML file of the user's."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path

from evals.errors import SpecError, did_you_mean
from evals.files import TASKS_DIR
from evals.spec.build import build
from evals.spec.checks import check_suite, check_task
from evals.spec.records import Preset, SuiteSpec, TaskSpec
from evals.spec.yaml_source import Document, load

SUITES_DIR = TASKS_DIR / "suites"


@cache
def _task_files() -> dict[str, Path]:
    """Task name → file. Folders and files that begin with ``_`` hold shared bases, ``suites`` holds suites."""
    files: dict[str, Path] = {}
    for path in sorted(TASKS_DIR.rglob("*.yaml")):
        parts = path.relative_to(TASKS_DIR).parts
        if parts[0] == "suites" or any(part.startswith("_") for part in parts):
            continue
        if path.stem in files:
            raise SpecError(f"{path} and {files[path.stem]} have the same task name; rename one of them.")
        files[path.stem] = path
    return files


def task_names() -> list[str]:
    """Names of all tasks in the catalogue, sorted."""
    return sorted(_task_files())


def suite_names() -> list[str]:
    """Names of all suites in the catalogue, sorted."""
    return sorted(path.stem for path in SUITES_DIR.glob("*.yaml"))


def find_task(name: str, preset: str = "default") -> TaskSpec:
    """A task by name, or by the path of a YAML file, with a preset's parts put in.

    Raises:
        SpecError: unknown task or preset (with the nearest name), or a task file that is wrong.
    """
    spec, document = _read(name)
    check_task(spec, document)
    return apply_preset(spec, preset)


def read_task(name: str) -> TaskSpec:
    """A task by name or path, whose keys and their types are right; that its parts fit together is not looked at.

    Raises:
        SpecError: unknown task, YAML that cannot be read, a key that is unknown, missing or of another type.
    """
    return _read(name)[0]


def _read(name: str) -> tuple[TaskSpec, Document]:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    elif name in _task_files():
        path = _task_files()[name]
    else:
        hint = did_you_mean(name, [*task_names(), *suite_names()])
        raise SpecError(f"Unknown task {name!r}.{hint} `run_eval.py list` shows all tasks and suites.")
    document = load(path)
    return build(TaskSpec, document), document


def apply_preset(spec: TaskSpec, preset: str) -> TaskSpec:
    """The task with the parts that a preset replaces; ``default`` is the task as it is written."""
    if preset == "default":
        return spec
    if preset not in spec.presets:
        hint = did_you_mean(preset, spec.presets)
        known = ", ".join(["default", *spec.presets])
        raise SpecError(f"Task {spec.name!r} has no preset {preset!r}.{hint} Its presets: {known}.")
    chosen = spec.presets[preset]
    parts = {part.name: getattr(chosen, part.name) for part in fields(Preset)}
    return replace(spec, **{name: value for name, value in parts.items() if value is not None})


def find_suite(name: str) -> SuiteSpec:
    """A suite by name, or by the path of a YAML file. Raises :class:`SpecError` as :func:`find_task` does."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SUITES_DIR / f"{name}.yaml"
    if not path.exists():
        hint = did_you_mean(name, suite_names())
        raise SpecError(f"Unknown suite {name!r}.{hint} Known suites: {', '.join(suite_names())}.")
    document = load(path)
    suite = build(SuiteSpec, document)
    check_suite(suite, document, set(task_names()))
    return suite
