"""The records that travel from data to report. Frozen; each can be written as one JSON line.

Sample ──▶ Request ──▶ Response ──▶ Answer (journal line) ──▶ ScoredSample
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model_adapters.contract import Failure, ImageRef, Timing, Usage


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a task: what is asked, on which images, and what is right.

    Attributes:
        sample_id: unique within the task, a string.
        images: the sample's images in order; read and decoded late.
        fields: the row's other columns under the task's names (question, choices, category ...), JSON values only.
        references: accepted answers; empty only where the task has none.
        cluster: key of the unit that is independent of others (default: the first image's hash).
        content_hash: sha256 over id, fields, references and image hashes; pairs two runs' samples.
    """

    sample_id: str
    images: tuple[ImageRef, ...]
    fields: Mapping[str, Any]
    references: tuple[str, ...]
    cluster: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class Question:
    """One request as it is kept in the run directory, so that scoring and reporting need neither data set nor model.

    Attributes:
        request_id: the sample's id, or ``id#k`` for the k-th rotation of its options.
        prompt: the text that was asked, pictures left out.
        fields: what metrics and extractors read: category, choices (letter → text) and so on.
        references: accepted answers; for multiple choice the right letter.
        categories: grouping column → this question's value, as text.
    """

    request_id: str
    sample_id: str
    content_hash: str
    cluster: str
    prompt: str
    image_hashes: tuple[str, ...]
    references: tuple[str, ...]
    fields: Mapping[str, Any]
    categories: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One journal line: a request's answer, or its failure. The last complete line of a request wins."""

    request_id: str
    sample_id: str
    content_hash: str
    text: str = ""
    finish: str = "stop"
    choice_scores: tuple[float, ...] | None = None
    choice_tokens: tuple[int, ...] | None = None
    usage: Usage = Usage()
    timing: Timing = Timing()
    failure: Failure | None = None
    cached: bool = False  # taken from earlier answers to the same request


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """One row of a scored task, as reports and comparisons read it.

    A row is one request: a sample asked once has one row, a circular sample has one for each rotation. ``group`` is
    the sample's id in both cases.

    Attributes:
        row_id: the request id; unique in the task.
        group: the sample id.
        content_hash: of the sample; two runs are paired on (row_id, content_hash).
        cluster: independence unit for standard errors.
        prompt: the rendered prompt, for people.
        image_hashes: sha256 of the sample's images.
        references: accepted answers (for a rotation: the rotated letter).
        prediction: the model's raw answer; None if the request failed.
        extracted: what the extractor read from it; None if unparsed.
        rule: the extraction rule that fired; "" if none.
        scores: per-sample score by metric; None where a metric gives none.
        units: by statistic name, this row's unit vector; only on rows that stand for a unit.
        categories: the task's grouping columns and this row's value in each.
        timing: stage times in ms; null is unknown.
        new_tokens, prompt_tokens: null is unknown.
        cost: of the request, in the currency of the adapter's prices; null without prices.
        failure: type and message of a failed request.
    """

    row_id: str
    group: str
    content_hash: str
    cluster: str
    prompt: str
    image_hashes: tuple[str, ...]
    references: tuple[str, ...]
    prediction: str | None
    extracted: str | None
    rule: str
    scores: Mapping[str, float | None]
    units: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    timing: Timing = Timing()
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    cost: float | None = None
    failure: Failure | None = None
    cached: bool = False  # counted in the results; not a column of the samples file
