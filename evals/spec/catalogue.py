"""Finding tasks and suites by name: in the project's own catalogue, or as a path to a YAML file of the user's."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from evals.errors import SpecError, did_you_mean
from evals.files import TASKS_DIR
from evals.spec.build import build
from evals.spec.checks import check_suite, check_task
from evals.spec.records import Preset, SuiteSpec, TaskSpec
from evals.spec.yaml_source import Document, load

ENTRY_POINT_GROUP = "omnilmm_eval.tasks"


@cache
def _folders() -> tuple[Path, ...]:
    """The project's own folder of tasks, then those of installed packages in the order of their names.

    A package's entry point names the module whose folder holds the YAML files; it is found, not imported.
    """
    folders = [TASKS_DIR]
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        try:
            found = find_spec(point.module)
        except ImportError:
            found = None
        places = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
        if not any(place.is_dir() for place in places):
            raise SpecError(
                f"The installed package of the entry point {point.name!r} ({ENTRY_POINT_GROUP}) names {point.module}, "
                "which is no folder of task files. Name the package whose folder holds them, or uninstall it."
            )
        folders += [place for place in places if place.is_dir()]
    return tuple(folders)


@cache
def _task_files() -> dict[str, Path]:
    """Task name → file. Folders and files that begin with ``_`` hold shared bases, ``suites`` holds suites."""
    files: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.rglob("*.yaml")):
            parts = path.relative_to(folder).parts
            if parts[0] == "suites" or any(part.startswith("_") for part in parts):
                continue
            _add(files, path)
    return files


@cache
def _suite_files() -> dict[str, Path]:
    """Suite name → file."""
    files: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted((folder / "suites").glob("*.yaml")):
            _add(files, path)
    return files


def _add(files: dict[str, Path], path: Path) -> None:
    if path.stem in files:
        raise SpecError(f"{path} and {files[path.stem]} have the same name; rename one of them.")
    files[path.stem] = path


def task_names() -> list[str]:
    """Names of all tasks in the catalogue and in installed packages, sorted."""
    return sorted(_task_files())


def suite_names() -> list[str]:
    """Names of all suites in the catalogue and in installed packages, sorted."""
    return sorted(_suite_files())


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


def is_suite(name: str) -> bool:
    """Whether a name, or the path of a YAML file, stands for a suite: such a file lists ``tasks``.

    Raises:
        SpecError: a file that cannot be read.
    """
    if not name.endswith((".yaml", ".yml")):
        return name in _suite_files() and name not in _task_files()
    return Path(name).parent.name == "suites" or "tasks" in load(Path(name)).value


def find_suite(name: str) -> SuiteSpec:
    """A suite by name, or by the path of a YAML file. Raises :class:`SpecError` as :func:`find_task` does."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else _suite_files().get(name)
    if path is None or not path.exists():
        hint = did_you_mean(name, suite_names())
        raise SpecError(f"Unknown suite {name!r}.{hint} Known suites: {', '.join(suite_names())}.")
    document = load(path)
    suite = build(SuiteSpec, document)
    check_suite(suite, document, set(task_names()))
    own = tuple(
        replace(entry, task=str(path.parent / entry.task)) if entry.name != entry.task else entry
        for entry in suite.tasks
    )
    return replace(suite, tasks=own)
