"""What a model makes of the options' places: how often each letter was right, how often it was chosen, how well it is
found, and how likely the model takes it to be whatever the question.

A model without position bias chooses each letter as often as it is right and finds right answers equally well at every
place. The spread of the recalls is RStd of Zheng et al. 2024, "Large Language Models Are Not Robust Multiple Choice
Selectors" (arXiv 2309.03882).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import pstdev
from typing import Any

from evals.metrics.likelihood import probabilities_of
from evals.prompts.options import LETTERS
from evals.records import Answer, Question
from evals.statistics.intervals import wilson_interval


class OptionTally:
    """Counts over the rows of a multiple-choice task; failed requests and unread answers choose no letter."""

    def __init__(self) -> None:
        self._right: Counter[str] = Counter()
        self._chosen: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._offered: Counter[str] = Counter()
        self._probability: dict[str, float] = {}

    def add(
        self, questions: Sequence[Question], extracted: Sequence[str | None], answers: Sequence[Answer | None]
    ) -> None:
        """Add rows."""
        for question, chosen, answer in zip(questions, extracted, answers, strict=True):
            if answer is None or answer.failure is not None:
                continue
            right = question.references[0] if question.references else ""
            self._right[right] += 1
            if chosen is not None:
                self._chosen[chosen] += 1
                self._found[right] += chosen == right
            if answer.choice_scores:
                named = dict(zip(LETTERS, answer.choice_scores, strict=False))
                for letter, probability in probabilities_of(named).items():
                    self._offered[letter] += 1
                    self._probability[letter] = self._probability.get(letter, 0.0) + probability

    def result(self) -> dict[str, Any]:
        """For each letter ``right`` and ``chosen`` (rows), ``recall`` with its Wilson interval (rows taken as
        independent), and ``prior``, the mean probability under the likelihood protocol (null elsewhere); over all
        ``recall_std`` (population standard deviation of the recalls; null below two letters)."""
        letters = [letter for letter in LETTERS if self._right[letter] or self._chosen[letter]]
        rows = {letter: self._letter(letter) for letter in letters}
        recalls = [row["recall"] for row in rows.values() if row["recall"] is not None]
        return {"letters": rows, "recall_std": pstdev(recalls) if len(recalls) > 1 else None}

    def _letter(self, letter: str) -> dict[str, Any]:
        right, offered = self._right[letter], self._offered[letter]
        low, high = wilson_interval(self._found[letter], right) if right else (None, None)
        return {
            "right": right,
            "chosen": self._chosen[letter],
            "recall": self._found[letter] / right if right else None,
            "low": low,
            "high": high,
            "prior": self._probability[letter] / offered if offered else None,
        }
