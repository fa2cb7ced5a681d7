"""Small readings of a run's results that several views share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NO_NUMBER = {
    "value": None,
    "low": None,
    "high": None,
    "scale": (0.0, 1.0),
    "higher_is_better": True,
    "few_clusters": False,
}


def statistic(task: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One number of a task with its interval; all of it null where nothing could be scored."""
    return _NO_NUMBER | dict(task.get("statistics", {}).get(name, {}))


def headline(task: Mapping[str, Any]) -> dict[str, Any]:
    """The number that stands for a task."""
    return statistic(task, str(task.get("headline")))


def published_headlines(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Published values of the number that stands for the task."""
    named = (None, task.get("headline"))
    return [entry for entry in task.get("published") or [] if entry.get("statistic") in named]


def title(name: str, task: Mapping[str, Any]) -> str:
    """A task's title for people."""
    return str(task.get("title") or name)
