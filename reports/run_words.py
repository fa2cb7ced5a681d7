"""What a run says, in sentences: the verdict line, and what the reader must know before believing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.inputs import headline, title

_UNFINISHED = {
    "interrupted": "This run was interrupted",
    "failed": "This run stopped with an error",
    "started": "This run is not finished",
    "incomplete": "More requests failed in this run than were allowed",
}


def model_line(model: Mapping[str, Any]) -> str:
    """Size, precision and device of a model: ``5.2 M parameters, bf16 on cpu``; empty where nothing is known."""
    parts = []
    if model.get("parameters") is not None:
        parts.append(f"{fmt.parameters(model['parameters'])} parameters")
    where = " on ".join(str(model[key]) for key in ("dtype", "device") if model.get(key))
    return ", ".join(parts + ([where] if where else []))


def verdict(results: Mapping[str, Any]) -> str:
    """One or two sentences: which model, how many samples, and the headline score with its interval."""
    model, tasks = results["model"], results["tasks"]
    described = f"{model.get('model') or 'The model'}"
    if details := model_line(model):
        described += f", {details},"
    asked = sum(task.get("n") or 0 for task in tasks.values())
    scored = sum(task.get("n_scored") or 0 for task in tasks.values())
    if not asked:
        return f"{described} has not been asked anything yet."
    if not scored:
        return f"{described} gave no answer that could be scored to any of {fmt.plural(asked, 'sample')}."
    if len(tasks) == 1:
        name, task = next(iter(tasks.items()))
        estimate = headline(task)
        return (
            f"{described} reaches {_score_words(estimate)} {str(task.get('headline', 'score')).replace('_', ' ')} "
            f"on {title(name, task)}, {fmt.plural(task.get('n') or 0, 'sample')}."
        )
    start = f"{described} was asked {fmt.plural(asked, 'sample')} of {fmt.plural(len(tasks), 'task')}"
    macro = results.get("macro")
    if macro and macro.get("value") is not None:
        return f"{start} and reaches a macro average of {_score_words(macro)}."
    return f"{start}. There is no macro average: {_why_no_macro(tasks)}."


def _why_no_macro(tasks: Mapping[str, Any]) -> str:
    missing = [title(name, task) for name, task in tasks.items() if headline(task)["value"] is None]
    return f"{fmt.sentence_list(missing)} has no score" if missing else "the tasks have different scales, or no weights"


def _score_words(estimate: Mapping[str, Any]) -> str:
    scale = estimate.get("scale", fmt.PERCENT_SCALE)
    low, high = estimate.get("low"), estimate.get("high")
    text = fmt.score(estimate.get("value"), low, high, scale) + fmt.unit(scale)
    return text if low is None else f"{text} (95{fmt.NBSP}% interval {fmt.interval(low, high, scale)})"


def notices(results: Mapping[str, Any], status: str) -> list[str]:
    """What stands between the numbers and their meaning: an unfinished run, failures, subsets, few clusters."""
    tasks = results["tasks"]
    found = []
    if status in _UNFINISHED:
        missing = sum(
            (task.get("n") or 0) - (task.get("n_scored") or 0) - (task.get("n_errors") or 0) for task in tasks.values()
        )
        rest = f"; {fmt.plural(missing, 'sample')} still to be asked" if missing > 0 else ""
        found.append(
            f"{_UNFINISHED[status]}{rest}. The numbers are of what was answered. The same command continues it."
        )
    found += _failures(tasks)
    subsets = [f"{title(name, task)} ({task['subset']})" for name, task in tasks.items() if task.get("subset")]
    if subsets:
        found.append(f"Scores over a part of the data are not the published task's: {fmt.sentence_list(subsets)}.")
    few = [title(name, task) for name, task in tasks.items() if headline(task).get("few_clusters")]
    if few:
        found.append(
            f"Fewer than 20 independent units, so the interval is only a rough guide: {fmt.sentence_list(few)}."
        )
    return [notice.replace("?.", "?") for notice in found]


def _failures(tasks: Mapping[str, Any]) -> list[str]:
    found = []
    for key, one, fate_of_one, fate_of_many in (
        ("n_errors", "request", "failed and has no score", "failed and have no score"),
        (
            "parse_failures",
            "answer",
            "could not be parsed and counts as wrong",
            "could not be parsed and count as wrong",
        ),
    ):
        total = sum(task.get(key) or 0 for task in tasks.values())
        if total:
            where = fmt.sentence_list([title(name, task) for name, task in tasks.items() if task.get(key)])
            found.append(f"{fmt.plural(total, one)} {fate_of_one if total == 1 else fate_of_many}: {where}.")
    return found
