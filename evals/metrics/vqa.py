"""VQA accuracy as the VQA v2 evaluation server computes it.

Ten people answered each question. An answer is right to the degree that people gave it: for each of the ten the other
nine are asked, ``min(1, matches / 3)``, and the ten results are averaged (Antol et al. 2015, section 4).

Source: GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py (2021-03-11). Its ways that are kept:

- Where all answers agree after trimming, nothing is normalised: ``Yes`` is wrong against ten times ``yes``.
- A period goes unless a digit follows it, wherever it stands; only the first 32 of them, because a flag is passed where
  ``re.sub`` expects a count.
- A punctuation mark becomes a space, or vanishes if it stands beside a space anywhere in the text; a comma between two
  digits makes every mark vanish. Digits are ASCII there (Python 2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from evals.metrics.rows import SampleMetric

PUNCTUATION = frozenset(';/[]"{}()=+\\_-><@`,?!')
ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_NAMES = "zero one two three four five six seven eight nine ten"
NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(_NUMBER_NAMES.split())
} | {"none": "0"}  # fmt: skip
MAX_PERIODS = 32
LONGEST_CACHED = 200  # characters; longer texts are hardly ever repeated and would fill the cache

_DIGIT_COMMA_DIGIT = re.compile(r"[0-9],[0-9]")
_PERIOD = re.compile(r"\.(?![0-9])")

# Words whose apostrophe is put back. The official table has no "lets" and "shes".
_ONE_APOSTROPHE = """
    'twas ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's
    isn't it'd it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't should've shouldn't
    somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's
    they'd they'll they're they've wasn't we've weren't what'll what're what's what've when's where'd where's where've
    who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've
"""
# Words with several apostrophes, recognised when exactly one of them is missing.
_MORE_APOSTROPHES = """
    'ow's'at couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've
    something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'd've y'all'll you'd've
"""


def _without_each_apostrophe(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at, character in enumerate(word) if character == "'"]


CONTRACTIONS = {
    bare: word for word in (_ONE_APOSTROPHE + _MORE_APOSTROPHES).split() for bare in _without_each_apostrophe(word)
} | {"somebody'd": "somebodyd"}  # the official table has this one the wrong way round


def trim(text: str) -> str:
    """Line feeds and tabs to spaces, then both ends trimmed; all that is done where people agree."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def strip_punctuation(text: str, comma_between_digits: re.Pattern[str], period: re.Pattern[str]) -> str:
    """Marks to spaces or to nothing, then up to :data:`MAX_PERIODS` periods to nothing; see the module's top."""
    marks = PUNCTUATION.intersection(text)
    if marks:
        all_vanish = comma_between_digits.search(text) is not None
        table = {ord(mark): None if all_vanish or f"{mark} " in text or f" {mark}" in text else " " for mark in marks}
        text = text.translate(table)
    return period.sub("", text, count=MAX_PERIODS) if "." in text else text


def normalise_words(text: str) -> str:
    """Lower case, number words to digits, no articles, apostrophes put back, single spaces."""
    words = [NUMBER_WORDS.get(word, word) for word in text.lower().split()]
    return " ".join([CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES])


def _normalise(text: str) -> str:
    return normalise_words(strip_punctuation(trim(text), _DIGIT_COMMA_DIGIT, _PERIOD))


_normalise_cached = lru_cache(maxsize=2**16)(_normalise)


def normalise(text: str) -> str:
    """An answer as VQA v2 compares it, where people did not all agree.

    Source: ``processPunctuation`` and ``processDigitArticle`` of vqaEval.py.
    """
    return _normalise_cached(text) if len(text) <= LONGEST_CACHED else _normalise(text)


def leave_one_out(matches: int, n_answers: int) -> float:
    """Mean over the answers of ``min(1, matches among the others / 3)``.

    Args:
        matches: how many of the answers equal the prediction, 0 to ``n_answers``.
        n_answers: how many people answered, at least 1; 10 in all published sets.
    """
    among_others = (matches - 1, matches)  # seen from an answer that matches, and from one that does not
    total = matches * min(1.0, among_others[0] / 3) + (n_answers - matches) * min(1.0, among_others[1] / 3)
    return total / n_answers


class VqaAccuracy(SampleMetric):
    """VQA v2 accuracy, also by answer type and question type where those columns are given."""

    name = "vqa_accuracy"
    headline = "vqa_accuracy"
    optional_columns = ("answer_type", "question_type")
    source = "GT-Vision-Lab/VQA vqaEval.py, 2021-03-11"

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """Accuracy in [0, 1] of one prediction against the answers of all annotators."""
        first = trim(references[0])
        if all(trim(answer) == first for answer in references):
            matches = len(references) if trim(prediction) == first else 0
        else:
            wanted = normalise(prediction)
            matches = sum([normalise(answer) == wanted for answer in references])
        return leave_one_out(matches, len(references))
