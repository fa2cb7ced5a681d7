"""Answers without looking at the picture: the most frequent one, of the task or of questions like this one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.controls.oracle import best_reference
from evals.controls.planned import Control, all_questions
from evals.records import Question

if TYPE_CHECKING:
    from evals.plan import TaskPlan

FOLDS = 10
WORDS = (4, 2, 1, 0)  # beginnings of a question that are looked up after the whole of it, longest first
Key = tuple[str, ...]


class Majority(Control):
    """Gives every question of a task the task's most frequent answer: what a model scores that ignores its input."""

    name = "majority"

    def answers(self, plan: TaskPlan) -> Mapping[str, str]:
        """One answer for all; the first in the order of the text among equals."""
        questions = list(all_questions(plan))
        counts = Counter(best_reference(q) for q in questions if q.references)
        if not counts:
            return {}
        answer = _most_frequent(counts)
        return {question.request_id: answer for question in questions}


class Prior(Control):
    """Answers from the question alone, as other questions of the task that begin alike were answered.

    The task's clusters (pictures) are dealt into ten parts by their hash, and a question is looked up in the nine parts
    that it is not in: as a whole, then by its first 4, 2 and 1 words, then the whole task. With options, the one whose
    text was right most often is taken, and the most frequent letter where none ever was.

    Leaving out only the question itself would not do: on a task with as many yes as no, the other answer is then always
    the more frequent one, and the score is 0.
    """

    name = "prior"

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "folds": FOLDS, "words": list(WORDS)}

    def answers(self, plan: TaskPlan) -> Mapping[str, str]:
        """An answer for each question."""
        questions = [question for question in all_questions(plan) if question.references]
        seen = _Seen(questions)
        return {question.request_id: seen.answer(question) for question in questions}


class _Seen:
    """How often each answer was right, by beginning of the question; in all, and in each part."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._all: dict[Key, Counter[str]] = {}
        self._part: dict[tuple[int, Key], Counter[str]] = {}
        self._best: dict[tuple[int, Key], str | None] = {}
        self._letters = Counter(best_reference(question) for question in questions)
        for question in questions:
            answer, part = _text_of(question), _part_of(question)
            for key in _keys(question):
                self._all.setdefault(key, Counter())[answer] += 1
                self._part.setdefault((part, key), Counter())[answer] += 1

    def answer(self, question: Question) -> str:
        options: Mapping[str, str] = question.fields.get("choices") or {}
        part = _part_of(question)
        for key in _keys(question):
            if options:
                if letter := self._best_option(part, key, options):
                    return letter if best_reference(question) in options else options[letter]
            elif (found := self._most_frequent(part, key)) is not None:
                return found
        return _most_frequent(self._letters)

    def _best_option(self, part: int, key: Key, options: Mapping[str, str]) -> str | None:
        everywhere, here = self._all[key], self._part[part, key]
        counts = {letter: everywhere[text] - here[text] for letter, text in options.items()}
        best = max(counts, key=counts.__getitem__)
        return best if counts[best] > 0 else None

    def _most_frequent(self, part: int, key: Key) -> str | None:
        if (part, key) not in self._best:
            elsewhere = self._all[key] - self._part[part, key]
            self._best[part, key] = _most_frequent(elsewhere) if elsewhere else None
        return self._best[part, key]


def _keys(question: Question) -> Iterator[Key]:
    """The question whole, then its beginnings, longest first."""
    words = tuple(str(question.fields.get("question") or question.prompt).casefold().split())
    yield ("", *words)  # marked, so that a short question is not taken for the beginning of a longer one
    for n in WORDS:
        yield words[:n]


def _text_of(question: Question) -> str:
    """The right answer as text: an option's own words, which do not move with its letter."""
    answer = best_reference(question)
    options: Mapping[str, str] = question.fields.get("choices") or {}
    return options.get(answer, answer)


def _part_of(question: Question) -> int:
    return int.from_bytes(hashlib.sha256(question.cluster.encode("utf-8", "replace")).digest()[:8], "big") % FOLDS


def _most_frequent(counts: Mapping[str, int]) -> str:
    return min(counts, key=lambda answer: (-counts[answer], answer))
