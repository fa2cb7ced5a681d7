"""What the commands print: tables for people on a terminal, the same as JSON with --json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import SpecError
from evals.store import Run

if TYPE_CHECKING:
    from evals.compare import Ablation, Comparison, TaskComparison
    from evals.doctor import Check
    from evals.gate import SpeedVerdict, Verdict
    from evals.leaderboard import Board
    from evals.spec.records import TaskSpec


# Parts of licence names that forbid some uses, or of sets whose licence nobody states.
RESTRICTED = ("-nc", "-nd", "research", "unknown")


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    print()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table on stdout; ``right`` are the indices of columns with numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in right else "left", overflow="fold", no_wrap=i in right)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; do not fold tables that go to a file
    console.print(table)


def _number(value: float | None, scale: Sequence[float | None]) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f}" if list(scale) == [0.0, 1.0] else f"{value:,.2f}"


def show_results(run: Run, *, as_json: bool) -> None:
    """A run's headline scores with intervals, coverage and unread answers."""
    results = run.results
    if as_json:
        print_json(results)
        return
    rows = []
    for name, task in results["tasks"].items():
        headline = task["statistics"][task["headline"]]
        scale = headline["scale"]
        interval = f"[{_number(headline['low'], scale)}, {_number(headline['high'], scale)}]"
        rate = task["efficiency"]["requests_per_s"]
        rows.append(
            [
                name,
                task["headline"],
                _number(headline["value"], scale),
                interval,
                f"{task['n']:,}",
                f"{100 * task['coverage']:.1f}" if task["coverage"] is not None else "–",
                f"{task['parse_failures']:,}",
                _number(task["chance"], scale),
                f"{rate:,.0f}" if rate else "–",
            ]
        )
    columns = ["task", "score of", "score", "95 % interval", "n", "coverage %", "unread", "chance", "requests/s"]
    print_table(f"{run.manifest['run_id']} · {results['model'].get('model')}", columns, rows, range(2, 9))
    if results["macro"] and results["macro"]["value"] is not None:
        macro = results["macro"]
        low, high = _number(macro["low"], (0, 1)), _number(macro["high"], (0, 1))
        print(f"macro average {_number(macro['value'], [0.0, 1.0])} [{low}, {high}]")
    print(f"run directory: {run.path}", file=sys.stderr)


def show_comparison(comparisons: Sequence[Comparison], ablation: Ablation | None, *, as_json: bool) -> None:
    """Each comparison's tasks (scores, difference with interval, adjusted p, flips) and sentence; then the curves."""
    if as_json:
        from evals.compare import comparison_json

        print_json(comparison_json(comparisons, ablation))
        return
    for found in comparisons:
        columns = ["task", "A", "B", "B − A", "95 % interval", "p (Holm)", "fell", "rose", "verdict"]
        print_table(f"A {found.a} · B {found.b}", columns, map(_comparison_row, found.tasks), range(1, 8))
        for allowed in found.allowed:
            print(f"allowed to differ: {allowed.task} {allowed.part}: {allowed.detail}")
        for warning in found.warnings:
            print(f"note: {warning}")
        print(found.sentence)
    if ablation is not None:
        columns = ["step", "run", "macro", "rank", *(curve.task for curve in ablation.curves)]
        print_table("checkpoints", columns, _ablation_rows(ablation), range(2, len(columns)))
        for curve in ablation.curves:
            gained = "never" if curve.first_gain is None else f"from step {curve.first_gain:,} on"
            print(f"{curve.task}: significantly above the first step {gained}")
        print(ablation.sentence)


def _ablation_rows(ablation: Ablation) -> Iterable[list[str]]:
    for i, point in enumerate(ablation.macro):
        best, worst = ablation.ranks[i]
        rank = f"{best}" if best == worst else f"{best}–{worst}"
        tasks = [_number(curve.points[i].value, curve.scale) for curve in ablation.curves]
        yield [f"{point.step:,}", point.run, _number(point.value, (0.0, 1.0)), rank, *tasks]


def _comparison_row(task: TaskComparison) -> list[str]:
    found, scale = task.difference, task.scale

    def signed(value: float | None) -> str:
        text = _number(value, scale)
        return f"+{text}" if value is not None and value > 0 else text

    return [
        task.task,
        _number(found.a, scale),
        _number(found.b, scale),
        signed(found.value),
        f"[{signed(found.low)}, {signed(found.high)}]",
        "–" if task.p_holm is None else "<1e-12" if task.p_holm < 1e-12 else f"{task.p_holm:.2g}",
        "–" if found.n_fell is None else f"{found.n_fell:,}",
        "–" if found.n_rose is None else f"{found.n_rose:,}",
        task.verdict,
    ]


def show_verdict(verdict: Verdict | SpeedVerdict, *, as_json: bool) -> None:
    """A gate's verdict in words, or whole as JSON."""
    if as_json:
        from evals.gate.outputs import verdict_json

        print_json(verdict_json(verdict))
    else:
        print(verdict.sentence)


def show_board(board: Board, *, as_json: bool) -> None:
    """A leaderboard as Markdown, which is also what people paste, or as JSON."""
    from evals.leaderboard import board_json, board_markdown

    if as_json:
        print_json(board_json(board))
    else:
        print(board_markdown(board))


def show_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """How the scorers did on their shipped cases; returns 0 if all agree, 2 otherwise."""
    wrong = [check for check in checks if check.differences or not check.checked]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        rows = [[c.kind, c.name, f"{c.checked}", "differs" if c in wrong else "equal", c.source] for c in checks]
        print_table("scorers", ["kind", "name", "cases", "result", "equals"], rows, (2,))
        for check in wrong:
            for difference in check.differences:
                print(f"{check.name}: {difference}")
        print(f"{len(checks)} checked, {len(wrong)} differ")
    return 2 if wrong else 0


def show_machine(environment: dict[str, Any], devices: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """This machine and installation."""
    if as_json:
        print_json({"environment": environment, "devices": list(devices)})
        return
    facts = environment["hardware"] | {"python": environment["python"], "system": environment["system"]}
    rows = [[name, str(value)] for name, value in (facts | environment["libraries"]).items() if value is not None]
    print_table("environment", ["", ""], rows)
    print_table(
        "devices",
        ["device", "name", "memory MiB", "free MiB", "native bf16"],
        [
            [
                d["device"],
                d["name"],
                "–" if d["memory_mib"] is None else f"{d['memory_mib']:,.0f}",
                "–" if d["free_mib"] is None else f"{d['free_mib']:,.0f}",
                "unknown" if d["bf16"] is None else "yes" if d["bf16"] else "no",
            ]
            for d in devices
        ],
        (2, 3),
    )


def show_plan(items: Sequence[Any], data_root: Path, cache: Path, *, as_json: bool) -> None:
    """Samples, requests and picture encodings of what was chosen, and what of it is not on this machine."""
    from evals.data import open_dataset
    from evals.data.prefetch import missing_parts
    from evals.data.sources import Places
    from evals.plan import make_plan

    rows = []
    for item in items:
        missing = missing_parts(item.spec, Places(data_root, cache))
        if missing and item.spec.data.source == "hub":  # opening it would start a download
            print(f"{item.spec.name}: not on this machine: {'; '.join(missing)}. See prefetch.", file=sys.stderr)
            continue
        plan = make_plan(item.spec, open_dataset(item.spec, data_root, cache, item.subset))
        rows.append(
            {
                "task": item.spec.name,
                "preset": item.preset,
                "protocol": item.spec.protocol,
                "samples": len(plan.dataset),
                "subset": plan.dataset.subset,
                "requests": plan.requests,
                "images": plan.images,
                "encodings_saved": plan.encodings_saved,
                "licence": item.spec.licence,
            }
        )
    if as_json:
        print_json(rows)
        return
    columns = ["task", "preset", "protocol", "samples", "subset", "requests", "images", "encodings saved", "licence"]
    cells = [[f"{v:,}" if isinstance(v, int) else str(v or "–") for v in row.values()] for row in rows]
    print_table("plan", columns, cells, (3, 5, 6, 7))
    for item in items:
        if any(word in item.spec.licence.lower() for word in RESTRICTED):
            print(f"note: {item.spec.name} has the licence {item.spec.licence}; see {item.spec.home}.", file=sys.stderr)


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
        print_table(what, columns, rows)


def _listing(what: str, keep: TaskFilter) -> tuple[list[str], list[list[str]]]:
    from evals.spec import find_suite, find_task, suite_names, task_names

    if what == "tasks":
        specs = [spec for spec in map(find_task, task_names()) if keep.keeps(spec)]
        columns = ["task", "family", "protocol", "metric", "languages", "licence", "title"]
        return columns, [
            [s.name, s.family, s.protocol, s.metrics[0].name, " ".join(s.languages), s.licence, s.title] for s in specs
        ]
    if what == "suites":
        suites = [find_suite(name) for name in suite_names()]
        return ["suite", "tasks", "title"], [[s.name, str(len(s.tasks)), s.title] for s in suites]
    if what == "adapters":
        from model_adapters.registry import adapter_names

        return ["adapter"], [[name] for name in adapter_names()]
    if what == "metrics":
        from evals.metrics.registry import get_metric, metric_names

        metrics = [get_metric(name) for name in metric_names()]
        return ["metric", "headline", "needs", "equals"], [[m.name, m.headline, m.needs, m.source] for m in metrics]
    from evals.extract import EXTRACTORS

    return ["extractor"], [[name] for name in sorted(EXTRACTORS)]


def show_validation(names: Sequence[str], *, as_json: bool) -> int:
    """Check files; returns 0 if all are right, 2 otherwise."""
    from evals.spec import find_suite, find_task, suite_names, task_names

    suites, problems = set(suite_names()), []
    chosen = list(names) or [*task_names(), *suites]
    for name in chosen:
        try:
            if name in suites or Path(name).parent.name == "suites":
                find_suite(name)
            else:
                find_task(name)  # checks all presets as well
        except SpecError as error:
            problems.append(str(error))
    if as_json:
        print_json({"checked": len(chosen), "problems": problems})
    else:
        for problem in problems:
            print(problem)
        print(f"{len(chosen)} checked, {len(problems)} wrong")
    return 2 if problems else 0
