"""What a task's score is held against: guessing, always the same answer, people, and published models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.distributions import Confusion
from reports.inputs import published_headlines

# Beginnings of the names under which published tables list what is no model.
PEOPLE = ("human",)
GUESSERS = ("random", "chance", "frequent", "majority", "blind")
# Shares of right answers: one answer for all samples reaches the share of those that it is right for.
_RIGHT_OR_WRONG = ("accuracy", "exact_match")


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of one task on its own scale.

    Attributes:
        floors: what needs no look at the picture: chance as the task states it, and published guessers.
        majority: the score of always giving the most frequent right answer; None where answers are many, several
            are right, or the number is no share of right ones.
        people: published scores of humans.
        models: published scores of models.
    """

    floors: tuple[float, ...] = ()
    majority: float | None = None
    people: tuple[float, ...] = ()
    models: tuple[float, ...] = ()


def levels(task: Mapping[str, Any], confusion: Confusion | None) -> Levels:
    """The levels that a task's card and its right answers give.

    Args:
        task: its part of results.json.
        confusion: right labels against given ones, where they are few.
    """
    found: dict[tuple[str, ...], list[float]] = {GUESSERS: [], PEOPLE: [], (): []}
    for entry in published_headlines(task):
        name, value = str(entry.get("model")).casefold(), entry.get("value")
        if value is not None:
            found[next((kind for kind in (GUESSERS, PEOPLE) if name.startswith(kind)), ())].append(float(value))
    chance = [] if task.get("chance") is None else [float(task["chance"])]
    floors = dict.fromkeys([*chance, *found[GUESSERS]])
    return Levels(tuple(floors), _majority(task, confusion), tuple(found[PEOPLE]), tuple(found[()]))


def _majority(task: Mapping[str, Any], confusion: Confusion | None) -> float | None:
    asked_once = task.get("n_requests", task.get("n")) == task.get("n")  # rotations have another answer each
    if confusion is None or not asked_once or task.get("headline") not in _RIGHT_OR_WRONG:
        return None
    totals = [sum(row) for row in confusion.counts]
    return max(totals) / sum(totals)
