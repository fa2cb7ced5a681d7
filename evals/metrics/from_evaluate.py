"""Any metric of the `evaluate` library as one of ours; its import takes seconds, so only a task that names one pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from evals.errors import DataError, SpecError
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows

PREFIX = "evaluate:"


class FromEvaluate(Metric):
    """A metric of the `evaluate` library, by its hub name or a local path (``evaluate:cer``, ``evaluate:./my_metric``).

    The library scores whole sets, so each answered row is scored by itself for the per-sample scores; the set's numbers
    come from one call. The first reference is compared; give ``several_references`` for metrics that take lists.
    """

    needs = "corpus"

    def __init__(self, name: str, several_references: bool = False, **options: Any) -> None:
        path = name.removeprefix(PREFIX)
        self.name = PREFIX + path
        self.headline = path.rstrip("/").rsplit("/", 1)[-1]
        self.source = f"evaluate {evaluate.__version__}: {path}"
        self._several = several_references
        self._options = options
        try:
            self._module = evaluate.load(path)
        except (FileNotFoundError, ConnectionError, ImportError, ValueError) as error:
            raise SpecError(
                f"Metric {self.name!r} could not be loaded: {error} "
                "The library's metrics are not part of its wheel: give a local path, or a hub name while online."
            ) from error

    def _call(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        accepted = [list(texts) if self._several else texts[0] for texts in references]
        found = self._module.compute(predictions=list(predictions), references=accepted, **self._options)
        numbers = found if isinstance(found, dict) else {self.headline: found}
        return {key: float(value) for key, value in numbers.items() if isinstance(value, int | float)}

    def compute(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> dict[str, float | None]:
        """All numbers that the library gives for the answered rows."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        rows = [(p, r) for p, r in zip(predictions, references, strict=True) if p is not None]
        if not rows:
            return {self.headline: None}
        return dict(self._call([p for p, _ in rows], [r for _, r in rows]))

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """The headline number of each row by itself."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        scores: Scores = []
        for prediction, accepted in zip(predictions, references, strict=True):
            numbers = {} if prediction is None else self._call([prediction], [accepted])
            if prediction is not None and not numbers:
                raise DataError(f"Metric {self.name!r} gave no number for {prediction!r:.60}.")
            scores.append(numbers.get(self.headline, next(iter(numbers.values()), None)))
        return scores

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The set's headline number. Its units are the rows' own scores, scaled so that their mean is that number: this
        makes the interval an approximation for metrics that are no means."""
        numbers = self.compute(predictions, references, **columns)
        total = numbers.get(self.headline, next(iter(numbers.values()), None))
        mean = mean_statistic(self.headline, self.score_samples(predictions, references, **columns))
        if total is None or not mean.value:
            return [mean]
        return [Statistic(mean.name, mean.rows, mean.vectors * np.array([total / mean.value, 1.0]))]
