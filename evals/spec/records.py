"""What a task is, field by field. These records are the YAML's schema: an unknown key or a wrong type is an error.

The docstrings here are the reference for people who write tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from model_adapters.contract import GenerationSettings

Protocol = Literal["generate", "vanilla", "circular", "likelihood"]
MULTIPLE_CHOICE: frozenset[Protocol] = frozenset({"vanilla", "circular", "likelihood"})


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where the rows come from.

    Attributes:
        source: ``generated`` (made from a seed on first use) or ``table`` (parquet, json, jsonl, csv, tsv on disk).
        generator, seed, count: for ``generated``: generator's name, its seed, and how many rows.
        files: for ``table``: paths relative to the data root; a pattern with ``*`` takes all that match, sorted.
        image_root: folder of the image files that a table names, relative to the data root.
        expected_count: rows that the set must have; another number is an error. Null if unknown.
    """

    source: Literal["generated", "table"]
    generator: str | None = None
    seed: int = 0
    count: int | None = None
    files: tuple[str, ...] = ()
    image_root: str = ""
    expected_count: int | None = None


@dataclass(frozen=True, slots=True)
class ColumnsSpec:
    """Which column of a row means what.

    Attributes:
        id: column of the sample's id; null numbers the rows from 0.
        images: columns that hold the sample's pictures, in order; empty for text tasks.
        references: column of the accepted answers: a string, a number, or a list of them.
        choices: for multiple choice: one column that holds a list, or the option columns themselves in order.
        answer_as: how ``references`` names the right option: its ``letter``, its ``index`` from 0, or its ``text``.
        cluster: column whose value is shared by samples that are not independent; null means the first picture.
        fields: further columns by the name under which prompts, metrics and categories know them.
    """

    id: str | None = "id"
    images: tuple[str, ...] = ("image",)
    references: str = "answer"
    choices: tuple[str, ...] = ()
    answer_as: Literal["letter", "index", "text"] = "letter"
    cluster: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """How a sample becomes a question.

    Attributes:
        template: text of the user turn. ``{name}`` is a field of the sample, ``{options}`` the option lines,
            ``{?name}...{/name}`` a part that is left out where the field is empty, ``{{`` and ``}}`` are braces.
        option: one option line, with ``{letter}`` and ``{text}``.
        option_separator: between option lines.
        continuation: what is scored for each option under the likelihood protocol, with ``{letter}`` and ``{text}``.
        system: text of a system turn; null for none.
    """

    template: str = "{question}"
    option: str = "{letter}. {text}"
    option_separator: str = "\n"
    continuation: str = "{letter}"
    system: str | None = None


@dataclass(frozen=True, slots=True)
class MetricUse:
    """A metric with its options and the fields that it reads.

    Attributes:
        name: a metric of this project or of an installed package.
        options: passed to the metric.
        columns: metric column → field of the sample, where the two names differ.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """A result that somebody reported for a model on this task.

    Attributes:
        model, value, source, date: as reported; ``value`` on the headline's own scale (fractions for percent).
        protocol: what is known of prompt, settings and split.
    """

    model: str
    value: float
    source: str
    date: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """A named protocol: the parts of a task that it replaces. Parts left out stay the task's own."""

    prompt: PromptSpec | None = None
    generation: GenerationSettings | None = None
    protocol: Protocol | None = None
    extractor: str | None = None


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task.

    Attributes:
        name: equals the file's name.
        version: raised whenever a score can change.
        family: what kind of task it is; reports group by it.
        protocol: ``generate`` (free answer); for multiple choice ``vanilla`` (asked once), ``circular`` (asked once for
            each rotation of the options, right only if all are right) or ``likelihood`` (the option with the highest
            log-probability).
        image: ``keep``, or ``none`` to ask without the picture (the language prior).
        extractor: how the answer is read out of the reply.
        metrics: how answers are scored, the main metric first.
        headline: the statistic that is the task's score; null means the main metric's own headline.
        categories: fields by which scores are broken down.
        chance: expected score of a random guess, null where there is none.
    """

    schema: Literal[1]
    name: str
    title: str
    version: int
    family: Literal["vqa", "ocr", "captioning", "multiple_choice", "yes_no", "math", "text"]
    description: str
    data: DataSpec
    metrics: tuple[MetricUse, ...]
    columns: ColumnsSpec = field(default_factory=ColumnsSpec)
    prompt: PromptSpec = field(default_factory=PromptSpec)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    protocol: Protocol = "generate"
    image: Literal["keep", "none"] = "keep"
    extractor: str = "verbatim"
    headline: str | None = None
    categories: tuple[str, ...] = ()
    chance: float | None = None
    licence: str = ""
    home: str = ""
    paper: str = ""
    languages: tuple[str, ...] = ("en",)
    published: tuple[Published, ...] = ()
    presets: Mapping[str, Preset] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SuiteEntry:
    """One task of a suite, and how much of it.

    Attributes:
        limit: only the first so many samples.
        sample: a seeded random subset of so many samples instead.
        weight: in the macro average; all weights are divided by their sum.
    """

    task: str
    preset: str = "default"
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SuiteSpec:
    """A named list of tasks with weights."""

    schema: Literal[1]
    name: str
    title: str
    description: str
    tasks: tuple[SuiteEntry, ...]
