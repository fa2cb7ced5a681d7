"""Multiple choice by likelihood: the option that the model finds most likely is its answer; nothing is parsed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from evals.errors import DataError, SpecError
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows

TINY = 5e-324  # the smallest double: the prior of an option whose probability is 0 in every row


def probabilities_of(sums: Mapping[str, float]) -> dict[str, float]:
    """Softmax over a row's options: log-likelihoods in nats to probabilities that add up to 1."""
    top = max(sums.values())
    weights = {name: math.exp(value - top) for name, value in sums.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


class ChoiceLikelihood(Metric):
    """Accuracy of the most likely option, by summed log-likelihood (the headline), per token, and calibrated.

    Columns: ``choice_scores``, for each row the summed log-likelihood of each option (nats, one number an option, or
    letter -> number); ``choice_tokens``, optionally, the number of tokens of each, in the same shape. Options have the
    letters A, B, ... in their order unless they are given as a mapping. Of equal options the first one counts, as with
    numpy's argmax. ``choice_priors``, optionally, are the sums of the same options without the question (or
    without the image). Predictions are not read, except that None marks a failed request.

    Numbers: ``accuracy``; with token counts also ``accuracy_per_token`` (each sum divided by its option's length);
    with priors also ``accuracy_calibrated`` (sum minus prior: the pointwise mutual information of Holtzman et al.
    2021, arXiv 2104.08315).

    Args:
        calibrate: ``batch`` takes each letter's mean probability over the whole set as its prior where no column gives
            one (batch calibration, Zhou et al. 2023, arXiv 2309.17249): what a model likes about a letter as such is
            taken out, at no further request. Rows with the same number of options share priors. Its interval takes the
            priors as given.
    """

    name = "choice_likelihood"
    headline = "accuracy"
    columns = ("choice_scores",)
    optional_columns = ("choice_tokens", "choice_priors")
    source = "acc and acc_norm of lm-evaluation-harness (acc_norm there divides by bytes, here by tokens)"

    def __init__(self, calibrate: str = "none") -> None:
        if calibrate not in ("none", "batch"):
            raise SpecError(f"Metric {self.name!r}: calibrate is {calibrate!r}; expected none or batch.")
        self._from_batch = calibrate == "batch"
        if self._from_batch:
            self.needs = "corpus"  # the priors are means over the whole set

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 where the option with the highest sum is a reference, else 0; None for a failed request."""
        return self._score(predictions, references, columns)

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``accuracy`` and, with token counts or priors, ``accuracy_per_token`` or ``accuracy_calibrated``."""
        found = [mean_statistic("accuracy", self._score(predictions, references, columns))]
        if self._from_batch and "choice_priors" not in columns:
            columns = {**columns, "choice_priors": self._batch_priors(columns["choice_scores"])}
        for column, name in (("choice_tokens", "accuracy_per_token"), ("choice_priors", "accuracy_calibrated")):
            if column in columns:
                found.append(mean_statistic(name, self._score(predictions, references, columns, column)))
        return found

    def _score(
        self,
        predictions: Sequence[str | None],
        references: Sequence[Sequence[str]],
        columns: dict[str, Sequence[Any]],
        other: str = "",
    ) -> Scores:
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        scores: Scores = []
        for row, prediction in enumerate(predictions):
            likelihoods = columns["choice_scores"][row]
            if prediction is None or likelihoods is None:
                scores.append(None)
                continue
            options = self._options(row, "choice_scores", likelihoods)
            if other:
                options = self._adjusted(row, options, other, self._options(row, other, columns[other][row]))
            scores.append(float(max(options, key=lambda letter: options[letter]) in references[row]))
        return scores

    def _batch_priors(self, choice_scores: Sequence[Any]) -> list[dict[str, float] | None]:
        """Each row's log prior of its letters: the log of their mean probability over rows with as many options."""
        rows = [
            None if values is None else self._options(row, "choice_scores", values)
            for row, values in enumerate(choice_scores)
        ]
        probabilities: dict[tuple[str, ...], list[dict[str, float]]] = {}
        for options in rows:
            if options is not None:
                probabilities.setdefault(tuple(options), []).append(probabilities_of(options))
        priors = {
            letters: {letter: math.log(fmean(one[letter] for one in found) or TINY) for letter in letters}
            for letters, found in probabilities.items()
        }
        return [None if options is None else priors[tuple(options)] for options in rows]

    def _options(self, row: int, column: str, values: Any) -> dict[str, float]:
        """Option letter -> finite number."""
        named = (
            values if isinstance(values, dict) else {chr(ord("A") + i): value for i, value in enumerate(values or ())}
        )
        if not named or not all(isinstance(value, int | float) and math.isfinite(value) for value in named.values()):
            raise DataError(
                f"Metric {self.name!r}, row {row}: column {column!r} is {values!r:.120}, expected one finite "
                "number for each option. The adapter must score every option; leave failed rows as None."
            )
        return {str(letter): float(value) for letter, value in named.items()}

    def _adjusted(self, row: int, sums: dict[str, float], column: str, by: dict[str, float]) -> dict[str, float]:
        """Sums divided by token counts, or minus priors."""
        if sums.keys() != by.keys() or (column == "choice_tokens" and min(by.values()) < 1):
            raise DataError(
                f"Metric {self.name!r}, row {row}: {len(sums)} options have scores and {len(by)} have {column} "
                f"({by}); expected one for each scored option, token counts of at least 1."
            )
        if column == "choice_tokens":
            return {letter: value / by[letter] for letter, value in sums.items()}
        return {letter: value - by[letter] for letter, value in sums.items()}
