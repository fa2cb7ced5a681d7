"""From questions and answers to scored samples and statistics. Pure: no model, no data set, no randomness.

A failed request has no prediction and no score. An answer that the extractor cannot read is scored as wrong and
counted; the bounds say what the score would be if all such samples were wrong, or all right.

Where every metric of a task scores each sample alone, the task is scored in chunks: a chunk's rows are handed on and
forgotten, and only the statistics' unit vectors stay. So a million samples take the memory of a few thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from evals.errors import DataError, SpecError
from evals.extract import get_extractor
from evals.metrics.base import Metric, Scores, Statistic
from evals.metrics.registry import get_metric
from evals.option_choice import OptionTally
from evals.prompts.render import LETTERS
from evals.records import Answer, Question, ScoredSample
from evals.spec.records import MULTIPLE_CHOICE, MetricUse, TaskSpec
from evals.tally import JoinedStatistic, JoinedValue, Tally

CHUNK = 4096  # rows

Uses = Sequence[tuple[MetricUse, Metric]]
AnswerOf = Callable[[str], Answer | None]


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """A task's numbers.

    Attributes:
        metric: name of the metric that the headline comes from.
        statistics: the headline first.
        tally: counts, clusters, categories and times of the rows.
        all_wrong, all_right: the headline's value if every failed or unreadable answer were wrong, or right.
        options: how the options' places were chosen, see :mod:`evals.option_choice`; null but for multiple choice.
    """

    metric: str
    statistics: list[Statistic]
    tally: Tally
    all_wrong: float | None
    all_right: float | None
    options: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Rows:
    """The columns that metrics read, one entry a question.

    Attributes:
        first: number of the first row in the task.
    """

    first: int
    questions: Sequence[Question]
    predictions: list[str | None]
    extracted: list[str | None]
    rules: list[str]
    answers: list[Answer | None]


def score_task(
    spec: TaskSpec, questions: Iterable[Question], answer_of: AnswerOf, keep: Callable[[list[ScoredSample]], None]
) -> ScoredTask:
    """Score one task.

    Args:
        questions: in the data set's order, the rotations of one sample together.
        answer_of: the answer to a request id; a question without one counts as failed.
        keep: is given the scored rows, chunk by chunk.

    Raises:
        DataError: a metric needs a column that the task's fields do not give.
        SpecError: the task's headline is none of its statistics.
    """
    uses = [(use, get_metric(use.name, **use.options)) for use in spec.metrics]
    size = CHUNK if all(metric.needs == "sample" for _, metric in uses) else None
    tally, numbers = Tally(spec.categories), _Numbers(spec, uses)
    options = OptionTally() if spec.protocol in MULTIPLE_CHOICE else None

    def add(rows: _Rows) -> None:
        scores, found = _evaluate(spec, uses, rows)
        samples = _samples(rows, scores, numbers.add(rows, found))
        for sample in samples:
            tally.add(sample)
        if options is not None:
            options.add(rows.questions, rows.extracted, rows.answers)
        keep(samples)

    for rows in _chunks(spec, questions, answer_of, size):
        add(rows)
        del rows  # or the next chunk would be read beside it
    return replace(numbers.result(tally), options=options.result() if options else None)


def _chunks(spec: TaskSpec, questions: Iterable[Question], answer_of: AnswerOf, size: int | None) -> Iterator[_Rows]:
    """The task's rows, so many at a time; one chunk at least."""
    extract, first, rest = get_extractor(spec.extractor), 0, iter(questions)
    while True:
        rows = _Rows(first, list(islice(rest, size)), [], [], [], [])
        if first and not rows.questions:
            return
        for question in rows.questions:
            answer = answer_of(question.request_id)
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
        n = len(rows.questions)
        yield rows
        del rows
        first += n
        if size is None or n < size:
            return


def _most_likely(answer: Answer) -> tuple[str, str, str]:
    """The letter with the highest total log-probability; the first of equals."""
    scores = answer.choice_scores or ()
    letter = LETTERS[max(range(len(scores)), key=scores.__getitem__)]
    return letter, letter, "likelihood"


def _evaluate(spec: TaskSpec, uses: Uses, rows: _Rows) -> tuple[dict[str, Scores], list[tuple[int, Statistic]]]:
    """Per-row scores by metric name, and all statistics with the number of the metric that they come from."""
    references = [q.references for q in rows.questions]
    scores: dict[str, Scores] = {}
    found: list[tuple[int, Statistic]] = []
    for number, (use, metric) in enumerate(uses):
        scores[use.name], own = metric.evaluate(rows.predictions, references, **_columns(spec, use, metric, rows))
        found += [(number, statistic) for statistic in own]
    return scores, found


def _columns(spec: TaskSpec, use: MetricUse, metric: Metric, rows: _Rows) -> dict[str, list[Any]]:
    """The keyword columns of a metric: what the scorer itself knows, and fields of the questions."""
    known: dict[str, Callable[[], list[Any]]] = {
        "extracted": lambda: list(rows.extracted),
        "group": lambda: [q.sample_id for q in rows.questions],
        "choice_scores": lambda: [a.choice_scores if a else None for a in rows.answers],
        "choice_tokens": lambda: [a.choice_tokens if a else None for a in rows.answers],
        "image": lambda: [q.image_hashes[0] if q.image_hashes else "" for q in rows.questions],
    }
    columns: dict[str, list[Any]] = {}
    for name in (*metric.columns, *metric.optional_columns):
        field = use.columns.get(name, name)
        if rows.questions and field in rows.questions[0].fields:
            columns[name] = [q.fields.get(field) for q in rows.questions]
        elif name in known:
            columns[name] = known[name]()
        elif name in metric.columns:
            raise DataError(
                f"Task {spec.name!r}: metric {use.name!r} needs the field {field!r}. Name its column under "
                f"columns.fields, or say under the metric's `columns` which field holds it."
            )
    return columns


class _Numbers:
    """The task's statistics and the headline's bounds, put together chunk by chunk.

    Two metrics may give statistics of one name; the later one's is then called ``<metric>.<name>``.
    """

    def __init__(self, spec: TaskSpec, uses: Uses) -> None:
        self._spec, self._uses = spec, uses
        self._parts: dict[tuple[int, str], JoinedStatistic] = {}
        self._bounds = (JoinedValue(), JoinedValue())
        self._any_doubtful = False

    def add(self, rows: _Rows, found: Sequence[tuple[int, Statistic]]) -> dict[str, Statistic]:
        """Add a chunk. Returns the statistics whose unit vectors the rows keep: all but breakdowns, which are others'
        vectors over fewer rows."""
        for number, statistic in found:
            self._parts.setdefault((number, statistic.name), JoinedStatistic()).add(statistic, rows.first)
        names = self._names()
        by_name = {names[number, statistic.name]: (number, statistic) for number, statistic in found}
        headline = self._headline(names)
        if headline in by_name:
            self._add_bounds(rows, *by_name[headline])
        return {name: s for name, (_, s) in by_name.items() if name == headline or "=" not in name}

    def _names(self) -> dict[tuple[int, str], str]:
        """What each statistic is called, in the order of the metrics."""
        names: dict[tuple[int, str], str] = {}
        taken: set[str] = set()
        for number, name in sorted(self._parts, key=lambda key: key[0]):
            names[number, name] = f"{self._uses[number][0].name}.{name}" if name in taken else name
            taken.add(names[number, name])
        return names

    def _headline(self, names: Mapping[tuple[int, str], str]) -> str:
        return self._spec.headline or next(iter(names.values()))

    def _add_bounds(self, rows: _Rows, number: int, headline: Statistic) -> None:
        """The headline if all doubtful rows were wrong, and if all were right: scored again with such answers."""
        doubtful = [row for row, extracted in enumerate(rows.extracted) if extracted is None]
        use, metric = self._uses[number]
        references = [q.references for q in rows.questions]
        self._any_doubtful = self._any_doubtful or bool(doubtful)
        for right, bound in zip((False, True), self._bounds, strict=True):
            if not doubtful:
                bound.add(headline)
                continue
            predictions, extracted = list(rows.predictions), list(rows.extracted)
            for row in doubtful:
                predictions[row] = references[row][0] if right and references[row] else ""
                extracted[row] = predictions[row] if right else None
            assumed = replace(rows, predictions=predictions, extracted=extracted)
            statistics = metric.statistics(predictions, references, **_columns(self._spec, use, metric, assumed))
            bound.add(next(s for s in statistics if s.name == headline.name))

    def result(self, tally: Tally) -> ScoredTask:
        """All numbers, the headline first."""
        names = self._names()
        whole = {name: (key[0], self._parts[key].whole(name)) for key, name in names.items()}
        headline = self._headline(names)
        if headline not in whole:
            raise SpecError(
                f"Task {self._spec.name!r}: its headline {headline!r} is none of its statistics {', '.join(whole)}."
            )
        owner, first = whole.pop(headline)
        statistics = [first, *(statistic for _, statistic in whole.values())]
        all_wrong, all_right = (bound.value if self._any_doubtful else first.value for bound in self._bounds)
        return ScoredTask(self._uses[owner][0].name, statistics, tally, all_wrong, all_right)


def _samples(rows: _Rows, scores: Mapping[str, Scores], statistics: Mapping[str, Statistic]) -> list[ScoredSample]:
    units: list[dict[str, tuple[float, ...]]] = [{} for _ in rows.questions]
    for name, statistic in statistics.items():
        for row, vector in zip(statistic.rows, statistic.vectors.tolist(), strict=True):
            units[row][name] = tuple(vector)
    return [
        _sample(rows, row, {name: column[row] for name, column in scores.items()}, units[row])
        for row in range(len(units))
    ]


def _sample(
    rows: _Rows, row: int, scores: Mapping[str, float | None], units: Mapping[str, tuple[float, ...]]
) -> ScoredSample:
    question, answer = rows.questions[row], rows.answers[row]
    asked = {} if answer is None else {"timing": answer.timing, "failure": answer.failure, "cached": answer.cached}
    return ScoredSample(
        row_id=question.request_id,
        group=question.sample_id,
        content_hash=question.content_hash,
        cluster=question.cluster,
        prompt=question.prompt,
        image_hashes=question.image_hashes,
        references=question.references,
        prediction=rows.predictions[row],
        extracted=rows.extracted[row],
        rule=rows.rules[row],
        scores=scores,
        units=units,
        categories=question.categories,
        prompt_tokens=answer.usage.prompt_tokens if answer else None,
        new_tokens=answer.usage.new_tokens if answer else None,
        cost=answer.usage.cost if answer else None,
        **asked,  # type: ignore[arg-type]
    )
