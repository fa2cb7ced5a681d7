"""What `list` and `validate` print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.cli.printing import print_json, print_table
from evals.errors import SpecError

if TYPE_CHECKING:
    from evals.spec.records import TaskSpec


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are listed; null keeps all."""

    family: str | None = None
    licence: str | None = None
    language: str | None = None

    def keeps(self, spec: TaskSpec) -> bool:
        """Whether a task is listed."""
        return (
            self.family in (None, spec.family)
            and (self.licence is None or self.licence.lower() in spec.licence.lower())
            and (self.language is None or self.language in spec.languages)
        )


def show_list(what: str, keep: TaskFilter, *, as_json: bool) -> None:
    """Tasks, suites, adapters, metrics or extractors."""
    columns, rows = _listing(what, keep)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(what, columns, [[str(cell) for cell in row] for row in rows])


def _listing(what: str, keep: TaskFilter) -> tuple[list[str], list[list[str | int]]]:
    from evals.spec import find_suite, find_task, suite_names, task_names

    if what == "tasks":
        specs = [spec for spec in map(find_task, task_names()) if keep.keeps(spec)]
        columns = ["task", "family", "protocol", "metric", "languages", "licence", "title"]
        return columns, [
            [s.name, s.family, s.protocol, s.metrics[0].name, " ".join(s.languages), s.licence, s.title] for s in specs
        ]
    if what == "suites":
        suites = [find_suite(name) for name in suite_names()]
        return ["suite", "tasks", "title"], [[s.name, len(s.tasks), s.title] for s in suites]
    if what == "adapters":
        from evals.controls import model_names

        return ["adapter"], [[name] for name in model_names()]
    if what == "metrics":
        from evals.metrics.registry import get_metric, metric_names

        metrics = [get_metric(name) for name in metric_names()]
        return ["metric", "headline", "needs", "equals"], [[m.name, m.headline, m.needs, m.source] for m in metrics]
    from evals.extract import EXTRACTORS

    return ["extractor"], [[name] for name in sorted(EXTRACTORS)]


def show_validation(names: Sequence[str], *, quick: bool, as_json: bool) -> int:
    """Check files, or with ``quick`` only their form; returns 0 if all are right, 2 otherwise."""
    from evals.spec import find_suite, find_task, is_suite, read_task, suite_names, task_names

    problems = []
    chosen = list(names) or [*task_names(), *suite_names()]
    for name in chosen:
        try:
            if is_suite(name):
                find_suite(name)
            else:
                read_task(name) if quick else find_task(name)  # which checks all presets as well
        except SpecError as error:
            problems.append(str(error))
    if as_json:
        print_json({"checked": len(chosen), "problems": problems})
    else:
        for problem in problems:
            print(problem)
        print(f"{len(chosen)} checked, {len(problems)} wrong")
    return 2 if problems else 0
