"""What a task must satisfy beyond the types of its keys: names that exist, parts that fit together."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from functools import cache

from evals.errors import SpecError
from evals.extract import EXTRACTORS
from evals.metrics.registry import METRICS, metric_names
from evals.prompts.template import Template
from evals.spec.data_records import DataSpec
from evals.spec.records import MULTIPLE_CHOICE, MetricUse, Preset, PromptSpec, Protocol, SuiteSpec, TaskSpec
from evals.spec.transforms import TRANSFORMS
from evals.spec.yaml_source import Document, Location
from model_adapters.contract import GenerationSettings

# What each source needs besides its name.
NEEDED: dict[str, tuple[str, ...]] = {
    "generated": ("generator", "count"),
    "table": ("files",),
    "vlmevalkit": ("tsv",),
    "hub": ("id", "split"),
    "imagefolder": ("files",),
    "webdataset": ("files",),
}
RESERVED = ("options", "choices", "examples", "group", "answer")
_REVISION = re.compile(r"[0-9a-f]{40}")
_PRESET_NAME = re.compile(r"[\w.-]+")
_MD5 = re.compile(r"[0-9a-f]{32}")

Problem = tuple[Location, str]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(known))}."


@cache
def _metrics() -> tuple[str, ...]:
    return tuple(metric_names())


def check_task(spec: TaskSpec, document: Document) -> None:
    """Raise one :class:`SpecError` that lists everything wrong with a task, each with its line."""
    found = [*_names(spec, document), *_templates(spec), *_parts(spec), *_numbers(spec), *_data(spec.data)]
    found += _published(spec)
    if found:
        raise SpecError("\n".join(f"{document.where(location)}: {text}" for location, text in found))


def _names(spec: TaskSpec, document: Document) -> Iterator[Problem]:
    """Names of the task itself, of metrics and extractors."""
    stem = document.path.stem
    if spec.name != stem:
        yield ("name",), f"the task's name is {spec.name!r} but the file's is {stem!r}; make them equal."
    if not spec.metrics:
        yield ("metrics",), "a task needs at least one metric."
    uses: list[tuple[MetricUse, Location]] = [(use, ("metrics", i)) for i, use in enumerate(spec.metrics)]
    for preset, parts in spec.presets.items():
        uses += [(use, ("presets", preset, "metrics", i)) for i, use in enumerate(parts.metrics or ())]
    for location in dict.fromkeys(location[:-1] for _, location in uses):
        named = [use.name for use, place in uses if place[:-1] == location]
        for name in sorted({name for name in named if named.count(name) > 1}):
            yield location, f"the metric {name!r} is listed twice; its scores of a sample have one place."
    for use, location in uses:
        if use.name.startswith("evaluate:"):
            continue  # of that library: looked for when a run is prepared
        if use.name not in METRICS and use.name not in _metrics():  # built-in names first: packages cost a search
            yield location, f"unknown metric {use.name!r}.{_nearest(use.name, _metrics())}"
        for column in use.columns.values():
            if column not in (*spec.columns.fields, *RESERVED):
                yield location, f"{column!r} is no field.{_nearest(column, spec.columns.fields)}"
    extractors: list[tuple[str, Location]] = [(spec.extractor, ("extractor",))]
    extractors += [(p.extractor, ("presets", name, "extractor")) for name, p in spec.presets.items() if p.extractor]
    for extractor, location in extractors:
        if extractor not in EXTRACTORS:
            yield location, f"unknown extractor {extractor!r}.{_nearest(extractor, EXTRACTORS)}"


def _templates(spec: TaskSpec) -> Iterator[Problem]:
    """Templates that cannot be read, or that name a field that the task does not have."""
    prompts: list[tuple[PromptSpec, Location]] = [(spec.prompt, ("prompt",))]
    prompts += [(p.prompt, ("presets", name, "prompt")) for name, p in spec.presets.items() if p.prompt]
    fields = set(spec.columns.fields)
    with_options = fields | ({"options", "choices"} if spec.columns.choices else set())
    for prompt, location in prompts:
        shots = prompt.few_shot
        checked = [
            ("template", prompt.template, with_options | ({"examples"} if shots else set())),
            ("option", prompt.option, {"letter", "text"}),
            ("continuation", prompt.continuation, {"letter", "text"}),
            ("image_mark", prompt.image_mark or "", {"n"}),
            ("few_shot", shots.template if shots else "", with_options | {"answer"}),
        ]
        for key, template, known in checked:
            try:
                unknown = sorted(Template(template).names() - known)
            except SpecError as error:
                yield (*location, key), str(error)
                continue
            for name in unknown:
                yield (*location, key), f"the template names {name!r}, which is no field.{_nearest(name, known)}"
        if shots and shots.by is not None and shots.by not in fields:
            yield (*location, "few_shot", "by"), f"{shots.by!r} is no field.{_nearest(shots.by, fields)}"


def _parts(spec: TaskSpec) -> Iterator[Problem]:
    """Parts that do not fit together."""
    fields = spec.columns.fields
    for name in fields:
        if name in RESERVED:
            yield ("columns", "fields", name), f"{name!r} is a name that the program uses itself; choose another."
    for i, category in enumerate(spec.categories):
        if category not in fields:
            yield ("categories", i), f"{category!r} is no field.{_nearest(category, fields)}"
    protocols: list[tuple[Protocol, Location]] = [(spec.protocol, ("protocol",))]
    protocols += [(p.protocol, ("presets", name, "protocol")) for name, p in spec.presets.items() if p.protocol]
    for protocol, location in protocols:
        if protocol in MULTIPLE_CHOICE and not spec.columns.choices:
            yield location, f"protocol {protocol!r} needs columns.choices."
    yield from _asked(spec.protocol, spec.prompt, ())
    for name, preset in spec.presets.items():
        if preset.protocol or preset.prompt:
            yield from _asked(preset.protocol or spec.protocol, preset.prompt or spec.prompt, ("presets", name))
    if (spec.columns.answer_as == "label") != (spec.columns.labels is not None):
        yield ("columns",), "answer_as: label and the column of the labels (labels) belong together; give both or none."


def _asked(protocol: Protocol, prompt: PromptSpec, location: Location) -> Iterator[Problem]:
    """Prompts that do not show, or score, what their protocol changes from question to question."""
    try:
        shown, scored = Template(prompt.template).names(), Template(prompt.continuation).names()
    except SpecError:
        return  # said by _templates
    if protocol == "circular" and "options" not in shown:
        yield (*location, "prompt"), "protocol 'circular' turns the options round, but the template has no {options}."
    if protocol == "likelihood" and not scored:
        yield (*location, "prompt"), "the continuation is the same for all options; name {letter} or {text} in it."


def _numbers(spec: TaskSpec) -> Iterator[Problem]:
    """Numbers that mean nothing, and names of presets that no command could ask for."""
    if spec.version < 1:
        yield ("version",), f"the version is {spec.version}; it counts from 1."
    for key in ("count", "hashed_subset"):
        value = getattr(spec.data, key)
        if value is not None and value < 1:
            yield ("data", key), f"{key} is {value}, expected at least 1."
    parts: list[tuple[Location, TaskSpec | Preset]] = [((), spec)]
    for name, preset in spec.presets.items():
        parts.append((("presets", name), preset))
        if name in ("default", "all") or not _PRESET_NAME.fullmatch(name):
            yield ("presets", name), f"a preset cannot be called {name!r}; use letters, digits, '.', '_' and '-'."
    for location, part in parts:
        if part.prompt and part.prompt.few_shot and part.prompt.few_shot.count < 1:
            yield (*location, "prompt", "few_shot", "count"), f"count is {part.prompt.few_shot.count}; at least 1."
        for key, text in _decoding(part.generation) if part.generation else ():
            yield (*location, "generation", key), text


def _decoding(settings: GenerationSettings) -> Iterator[tuple[str, str]]:
    """Decoding settings out of their range, as :class:`GenerationSettings` describes them."""
    for key, least in (("max_new_tokens", 1), ("num_beams", 1), ("top_k", 0)):
        if (value := getattr(settings, key)) < least:
            yield key, f"{key} is {value}, expected at least {least}."
    for key, most in (("repetition_penalty", math.inf), ("temperature", math.inf), ("top_p", 1.0)):
        if not 0 < (value := getattr(settings, key)) <= most:
            yield (
                key,
                f"{key} is {value:g}, expected more than 0{'' if most == math.inf else f' and at most {most:g}'}.",
            )
    if "" in settings.stop:
        yield "stop", "an empty text stops nothing; leave it out."


def _data(data: DataSpec) -> Iterator[Problem]:
    """What the source needs, transforms that exist, sums that look like sums."""
    for key in NEEDED[data.source]:
        if not getattr(data, key):
            yield ("data",), f"data from source {data.source!r} needs {key!r}."
    if data.split in data.hidden_splits:
        yield ("data", "split"), f"split {data.split!r} has no public answers ({data.hidden_splits[data.split]})."
    for key, pattern, what in (("revision", _REVISION, "40"), ("md5", _MD5, "32")):
        value = getattr(data, key)
        if value is not None and not pattern.fullmatch(value):
            yield ("data", key), f"{value!r} is no full hash; expected {what} hexadecimal digits."
    for i, condition in enumerate((*data.keep, *data.drop)):
        ways = [bool(condition.equals), *(w is not None for w in (condition.matches, condition.below, condition.empty))]
        if sum(ways) != 1:
            yield ("data",), f"condition {i} on {condition.column!r} needs one of equals, matches, below and empty."
    if data.explode and data.unpivot:
        yield ("data",), "explode and unpivot cannot both be used; take one of them."
    if data.join is not None and not (data.join.files or data.join.configs or data.join.split):
        yield ("data", "join"), "a join needs the second table's files, configs or split."
    for name, how in data.derive.items():
        location: Location = ("data", "derive", name)
        if (how.column is None) == (how.template is None):
            yield location, f"derived column {name!r} needs either column or template."
        for transform in how.apply:
            if transform not in TRANSFORMS:
                yield location, f"unknown transform {transform!r}.{_nearest(transform, TRANSFORMS)}"
        if how.template is not None:
            try:
                Template(how.template)
            except SpecError as error:
                yield location, str(error)


def _published(spec: TaskSpec) -> Iterator[Problem]:
    for i, result in enumerate(spec.published):
        if result.preset is not None and result.preset not in ("default", *spec.presets):
            yield ("published", i), f"{result.preset!r} is no preset.{_nearest(result.preset, spec.presets)}"


def check_suite(suite: SuiteSpec, document: Document, tasks: set[str]) -> None:
    """Raise one :class:`SpecError` that lists everything wrong with a suite, each with its line."""
    problems: list[str] = []
    if suite.name != document.path.stem:
        problems.append(f"{document.where(('name',))}: the suite's name is {suite.name!r} but the file's differs.")
    for i, entry in enumerate(suite.tasks):
        where = document.where(("tasks", i))
        if entry.task.endswith((".yaml", ".yml")):
            if not (document.path.parent / entry.task).is_file():
                problems.append(f"{where}: there is no task file {entry.task!r} in {document.path.parent}.")
        elif entry.task not in tasks:
            problems.append(
                f"{where}: unknown task {entry.task!r}.{_nearest(entry.task, sorted(tasks))} "
                "A task of your own is named by the path of its YAML file, from the suite's folder."
            )
        if entry.weight <= 0:
            problems.append(f"{where}: the weight of {entry.task!r} must be above 0, found {entry.weight}.")
        if entry.limit is not None and entry.sample is not None:
            problems.append(f"{where}: give either limit or sample for {entry.task!r}, not both.")
    if len({(e.name, e.preset) for e in suite.tasks}) < len(suite.tasks):
        problems.append(f"{document.path}: a task is listed twice with the same preset.")
    if problems:
        raise SpecError("\n".join(problems))
