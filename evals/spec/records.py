"""What a task is, field by field. These records are the YAML's schema: an unknown key or a wrong type is an error.

The docstrings here are the reference for people who write tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from evals.spec.data_records import ColumnsSpec, DataSpec, FewShot
from model_adapters.contract import GenerationSettings

Protocol = Literal["generate", "vanilla", "circular", "likelihood"]
MULTIPLE_CHOICE: frozenset[Protocol] = frozenset({"vanilla", "circular", "likelihood"})
ImagePolicy = Literal["keep", "none", "first", "grid", "skip"]


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """How a sample becomes a question.

    Attributes:
        template: text of the user turn. ``{name}`` is a field of the sample, ``{options}`` the option lines,
            ``{?name}...{/name}`` a part that is left out where the field is empty, ``{!name}...{/name}`` one that is
            left out where it is not, ``{examples}`` the worked examples, ``{{`` and ``}}`` are braces.
        option: one option line, with ``{letter}`` and ``{text}``.
        option_separator: between option lines.
        continuation: what is scored for each option under the likelihood protocol, with ``{letter}`` and ``{text}``.
        system: text of a system turn; null for none.
        image_mark: a mark in the text, with ``{n}`` counted from 1, at which the sample's n-th picture comes; pictures
            without a mark come first. Null puts all pictures first and leaves marks in the text.
        few_shot: worked examples; null for none.
    """

    template: str = "{question}"
    option: str = "{letter}. {text}"
    option_separator: str = "\n"
    continuation: str = "{letter}"
    system: str | None = None
    image_mark: str | None = None
    few_shot: FewShot | None = None


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
        model, value, source, date: as reported; ``value`` on the statistic's own scale (fractions for percent).
        protocol: what is known of prompt, settings and split.
        preset: the preset that follows this protocol; null where none does exactly.
        statistic: the statistic that was reported; null is the task's headline.
    """

    model: str
    value: float
    source: str
    date: str = ""
    protocol: str = ""
    preset: str | None = None
    statistic: str | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A named protocol: the parts of a task that it replaces. Parts left out stay the task's own."""

    prompt: PromptSpec | None = None
    generation: GenerationSettings | None = None
    protocol: Protocol | None = None
    extractor: str | None = None
    image: ImagePolicy | None = None
    metrics: tuple[MetricUse, ...] | None = None
    headline: str | None = None
    chance: float | None = None


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
        image: ``keep`` shows all pictures, ``none`` asks without them (the language prior). For a sample with several
            pictures ``first`` shows only the first, ``grid`` shows all as one, side by side, and ``skip`` leaves the
            sample out; results say how many samples that concerns.
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
    image: ImagePolicy = "keep"
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
        task: its name, or the path of its YAML file from the suite's folder.
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

    @property
    def name(self) -> str:
        """The task's name, which is its file's."""
        return PurePath(self.task).stem if self.task.endswith((".yaml", ".yml")) else self.task


@dataclass(frozen=True, slots=True)
class SuiteSpec:
    """A named list of tasks with weights."""

    schema: Literal[1]
    name: str
    title: str
    description: str
    tasks: tuple[SuiteEntry, ...]
