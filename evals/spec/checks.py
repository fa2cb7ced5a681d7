"""What a task must satisfy beyond the types of its keys: names that exist, parts that fit together."""

from __future__ import annotations

import difflib

from evals.errors import SpecError
from evals.extract import EXTRACTORS
from evals.metrics.registry import metric_names
from evals.prompts.template import Template
from evals.spec.records import MULTIPLE_CHOICE, SuiteSpec, TaskSpec
from evals.spec.yaml_source import Document, Location

NAMED_FIELDS = frozenset({"options", "choices"})


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(known))}."


def check_task(spec: TaskSpec, document: Document) -> None:
    """Raise one :class:`SpecError` that lists everything wrong with a task, each with its line."""
    problems: list[str] = []

    def problem(location: Location, text: str) -> None:
        problems.append(f"{document.where(location)}: {text}")

    if spec.name != document.path.stem:
        problem(
            ("name",), f"the task's name is {spec.name!r} but the file's is {document.path.stem!r}; make them equal."
        )
    if not spec.metrics:
        problem(("metrics",), "a task needs at least one metric.")
    for i, use in enumerate(spec.metrics):
        if use.name not in metric_names():
            problem(("metrics", i), f"unknown metric {use.name!r}.{_nearest(use.name, metric_names())}")
    for name, location in _extractors(spec):
        if name not in EXTRACTORS:
            problem(location, f"unknown extractor {name!r}.{_nearest(name, list(EXTRACTORS))}")
    known = [*spec.columns.fields, *NAMED_FIELDS]
    for template, location in _templates(spec):
        try:
            unknown = sorted(Template(template).names() - set(known))
        except SpecError as error:
            problem(location, str(error))
            continue
        for name in unknown:
            problem(location, f"the template names {name!r}, which is no field.{_nearest(name, known)}")
    for i, category in enumerate(spec.categories):
        if category not in spec.columns.fields:
            problem(("categories", i), f"{category!r} is no field.{_nearest(category, list(spec.columns.fields))}")
    if spec.protocol in MULTIPLE_CHOICE and not spec.columns.choices:
        problem(("protocol",), f"protocol {spec.protocol!r} needs columns.choices.")
    if spec.data.source == "generated" and (not spec.data.generator or spec.data.count is None):
        problem(("data",), "a generated data set needs `generator` and `count`.")
    if spec.data.source == "table" and not spec.data.files:
        problem(("data",), "a table data set needs `files`.")
    if problems:
        raise SpecError("\n".join(problems))


def _extractors(spec: TaskSpec) -> list[tuple[str, Location]]:
    presets = [(p.extractor, ("presets", name, "extractor")) for name, p in spec.presets.items() if p.extractor]
    return [(spec.extractor, ("extractor",)), *presets]


def _templates(spec: TaskSpec) -> list[tuple[str, Location]]:
    presets = [
        (p.prompt.template, ("presets", name, "prompt", "template")) for name, p in spec.presets.items() if p.prompt
    ]
    return [(spec.prompt.template, ("prompt", "template")), *presets]


def check_suite(suite: SuiteSpec, document: Document, tasks: set[str]) -> None:
    """Raise one :class:`SpecError` that lists everything wrong with a suite, each with its line."""
    problems: list[str] = []
    if suite.name != document.path.stem:
        problems.append(f"{document.where(('name',))}: the suite's name is {suite.name!r} but the file's differs.")
    for i, entry in enumerate(suite.tasks):
        where = document.where(("tasks", i))
        if entry.task not in tasks:
            problems.append(f"{where}: unknown task {entry.task!r}.{_nearest(entry.task, sorted(tasks))}")
        if entry.weight <= 0:
            problems.append(f"{where}: the weight of {entry.task!r} must be above 0, found {entry.weight}.")
        if entry.limit is not None and entry.sample is not None:
            problems.append(f"{where}: give either limit or sample for {entry.task!r}, not both.")
    if len({(e.task, e.preset) for e in suite.tasks}) < len(suite.tasks):
        problems.append(f"{document.path}: a task is listed twice with the same preset.")
    if problems:
        raise SpecError("\n".join(problems))
