"""From questions and answers to scored samples and statistics. Pure: no model, no data set, no randomness.

A failed request has no prediction and no score. An answer that the extractor cannot read is scored as wrong and
counted; the bounds say what the score would be if all such samples were wrong, or all right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.errors import DataError, SpecError
from evals.extract import get_extractor
from evals.metrics.base import Metric, Scores, Statistic
from evals.metrics.registry import get_metric
from evals.prompts.render import LETTERS
from evals.records import Answer, Question, ScoredSample
from evals.spec.records import MetricUse, TaskSpec


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """A task's scored rows with its statistics, the headline first.

    Attributes:
        all_wrong, all_right: the headline's value if every failed or unreadable answer were wrong, or right.
    """

    samples: list[ScoredSample]
    statistics: list[Statistic]
    parse_failures: int
    all_wrong: float | None
    all_right: float | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """The columns that metrics read, one entry a question."""

    questions: Sequence[Question]
    predictions: list[str | None]
    extracted: list[str | None]
    rules: list[str]
    answers: list[Answer | None]


def score_task(spec: TaskSpec, questions: Sequence[Question], answers: Mapping[str, Answer]) -> ScoredTask:
    """Score one task.

    Args:
        answers: by request id; a question without one counts as failed.

    Raises:
        DataError: a metric needs a column that the task's fields do not give.
    """
    rows = _read_rows(spec, questions, answers)
    references = [q.references for q in questions]
    scores: dict[str, Scores] = {}
    found: dict[str, tuple[Statistic, MetricUse]] = {}
    for use in spec.metrics:
        metric = get_metric(use.name, **use.options)
        scores[use.name], own = metric.evaluate(rows.predictions, references, **_columns(spec, use, metric, rows))
        for statistic in own:
            name = f"{use.name}.{statistic.name}" if statistic.name in found else statistic.name
            found[name] = (replace(statistic, name=name), use)
    headline = spec.headline or next(iter(found))
    if headline not in found:
        raise SpecError(f"Task {spec.name!r}: its headline {headline!r} is none of its statistics {', '.join(found)}.")
    statistics = [found[headline][0], *(s for name, (s, _) in found.items() if name != headline)]
    unread = [
        i for i, (p, x) in enumerate(zip(rows.predictions, rows.extracted, strict=True)) if p is not None and x is None
    ]
    failed = [i for i, p in enumerate(rows.predictions) if p is None]
    wrong, right = _bounds(spec, rows, *found[headline], [*unread, *failed])
    return ScoredTask(_samples(rows, scores, statistics), statistics, len(unread), wrong, right)


def _read_rows(spec: TaskSpec, questions: Sequence[Question], answers: Mapping[str, Answer]) -> _Rows:
    extract = get_extractor(spec.extractor)
    rows = _Rows(questions, [], [], [], [])
    for question in questions:
        answer = answers.get(question.request_id)
        if answer is not None and answer.content_hash != question.content_hash:
            answer = None  # asked of another version of the sample: not an answer to this question
        prediction, extracted, rule = None, None, ""
        if answer is not None and answer.failure is None:
            if spec.protocol == "likelihood":
                prediction, extracted, rule = _most_likely(answer)
            else:
                prediction = answer.text
                extracted, rule = extract(prediction, **question.fields)
        rows.predictions.append(prediction)
        rows.extracted.append(extracted)
        rows.rules.append(rule)
        rows.answers.append(answer)
    return rows


def _most_likely(answer: Answer) -> tuple[str, str, str]:
    """The letter with the highest total log-probability; the first of equals."""
    scores = answer.choice_scores or ()
    letter = LETTERS[max(range(len(scores)), key=scores.__getitem__)]
    return letter, letter, "likelihood"


def _columns(spec: TaskSpec, use: MetricUse, metric: Metric, rows: _Rows) -> dict[str, list[Any]]:
    """The keyword columns of a metric: what the scorer itself knows, and fields of the questions."""
    known: dict[str, list[Any]] = {
        "extracted": list(rows.extracted),
        "group": [q.sample_id for q in rows.questions],
        "choice_scores": [a.choice_scores if a else None for a in rows.answers],
        "choice_tokens": [a.choice_tokens if a else None for a in rows.answers],
        "image": [q.image_hashes[0] if q.image_hashes else "" for q in rows.questions],
    }
    columns: dict[str, list[Any]] = {}
    for name in (*metric.columns, *metric.optional_columns):
        field = use.columns.get(name, name)
        if rows.questions and field in rows.questions[0].fields:
            columns[name] = [q.fields.get(field) for q in rows.questions]
        elif name in known:
            columns[name] = known[name]
        elif name in metric.columns:
            raise DataError(
                f"Task {spec.name!r}: metric {use.name!r} needs the field {field!r}. Name its column under "
                f"columns.fields, or say under the metric's `columns` which field holds it."
            )
    return columns


def _bounds(
    spec: TaskSpec, rows: _Rows, headline: Statistic, use: MetricUse, doubtful: list[int]
) -> tuple[float | None, float | None]:
    """The headline if all doubtful rows were wrong, and if all were right: scored again with such answers put in."""
    if not doubtful:
        return headline.value, headline.value
    metric = get_metric(use.name, **use.options)
    references = [q.references for q in rows.questions]
    bounds: list[float | None] = []
    for right in (False, True):
        predictions, extracted = list(rows.predictions), list(rows.extracted)
        for i in doubtful:
            predictions[i] = references[i][0] if right and references[i] else ""
            extracted[i] = predictions[i] if right else None
        assumed = replace(rows, predictions=predictions, extracted=extracted)
        statistics = metric.statistics(predictions, references, **_columns(spec, use, metric, assumed))
        bounds.append(next(s.value for s in statistics if headline.name in (s.name, f"{use.name}.{s.name}")))
    return bounds[0], bounds[1]


def _samples(rows: _Rows, scores: Mapping[str, Scores], statistics: Sequence[Statistic]) -> list[ScoredSample]:
    units: list[dict[str, tuple[float, ...]]] = [{} for _ in rows.questions]
    for statistic in statistics:
        for row, vector in zip(statistic.rows, statistic.vectors.tolist(), strict=True):
            units[row][statistic.name] = tuple(vector)
    return [_sample(rows, i, {name: column[i] for name, column in scores.items()}, units[i]) for i in range(len(units))]


def _sample(
    rows: _Rows, i: int, scores: Mapping[str, float | None], units: Mapping[str, tuple[float, ...]]
) -> ScoredSample:
    question, answer = rows.questions[i], rows.answers[i]
    optional = {} if answer is None else {"timing": answer.timing, "failure": answer.failure}
    return ScoredSample(
        row_id=question.request_id,
        group=question.sample_id,
        content_hash=question.content_hash,
        cluster=question.cluster,
        prompt=question.prompt,
        image_hashes=question.image_hashes,
        references=question.references,
        prediction=rows.predictions[i],
        extracted=rows.extracted[i],
        rule=rows.rules[i],
        scores=scores,
        units=units,
        categories=question.categories,
        prompt_tokens=answer.usage.prompt_tokens if answer else None,
        new_tokens=answer.usage.new_tokens if answer else None,
        **optional,  # type: ignore[arg-type]
    )
