"""TextVQA accuracy as the M4C evaluator and EvalAI compute it; OK-VQA and VizWiz are scored the same way.

Same agreement rule as VQA v2 (:mod:`evals.metrics.vqa`), another normalisation: commas and question marks go first, a
possessive ``'s`` becomes a word of its own, and answers are always normalised, also where people agree.

Source: facebookresearch/mmf mmf/utils/m4c_evaluators.py, TextVQAAccuracyEvaluator (the same numbers as
ronghanghu/pythia 28e48ce). Digits are Unicode digits there (Python 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from evals.metrics.rows import SampleMetric
from evals.metrics.vqa import LONGEST_CACHED, leave_one_out, normalise_words, strip_punctuation, trim

_NEVER = re.compile(r"(?!)")  # all commas are gone before punctuation is looked at, so none stands between digits
_PERIOD = re.compile(r"\.(?!\d)")


def _normalise(text: str) -> str:
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return normalise_words(strip_punctuation(trim(text), _NEVER, _PERIOD))


_normalise_cached = lru_cache(maxsize=2**16)(_normalise)


def normalise(text: str) -> str:
    """An answer as TextVQA compares it. Source: ``EvalAIAnswerProcessor``."""
    return _normalise_cached(text) if len(text) <= LONGEST_CACHED else _normalise(text)


class TextVqaAccuracy(SampleMetric):
    """TextVQA, OK-VQA and VizWiz accuracy, also by answer type and question type where those columns are given."""

    name = "textvqa_accuracy"
    headline = "textvqa_accuracy"
    optional_columns = ("answer_type", "question_type")
    source = "facebookresearch/mmf m4c_evaluators.py TextVQAAccuracyEvaluator, 2026-07-07"

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """Accuracy in [0, 1] of one prediction against the answers of all annotators."""
        wanted = normalise(prediction)
        matches = sum([normalise(answer) == wanted for answer in references])
        return leave_one_out(matches, len(references))
