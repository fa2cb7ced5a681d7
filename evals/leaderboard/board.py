"""Building a leaderboard from any runs: who is where, how surely, and who cannot be told apart.

Only entries of the same protocol and data are ranked together. An entry that lacks a task has no macro mean and no
rank; one that did not score every sample has no rank, nor has a control. Weights come from the suite, not from what
happened to run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evals.compare.batches import board_note
from evals.compare.evidence import Evidence, RunLike, load_evidence
from evals.compare.identity import PARTS, check_allowed, mismatches
from evals.compare.panel import Panel, align, pairwise
from evals.errors import ComparisonError, SpecError
from evals.files import sha256_json
from evals.leaderboard.records import Board, Cell, Column, Entry, Group
from evals.perf.attached import measured_speed
from evals.statistics import macro_mean, rank_intervals, score_part, significantly_better, tie_groups

CONTROL = "a control, no model"


def build_board(
    runs: Sequence[RunLike],
    *,
    title: str = "Leaderboard",
    weights: Mapping[str, float] | None = None,
    allow: Collection[str] = (),
) -> Board:
    """A leaderboard of scored runs.

    Args:
        runs: any, imported and frozen ones included.
        weights: the suite's tasks with their weights; None takes all tasks that occur, with the weights of their runs.
        allow: identity parts that may differ within a group (a different prompt or decoding, say); shown on the board.

    Raises:
        ComparisonError: no runs, or two with the same id.
        SpecError: no run has a task of the suite, runs give a task different weights, or a part does not exist.
    """
    check_allowed(allow)
    names = [run.manifest["run_id"] for run in runs]
    double = sorted({name for name in names if names.count(name) > 1})
    if not runs or double:
        found = f"{', '.join(double)} is given more than once" if double else "no run is given"
        raise ComparisonError(f"A leaderboard needs runs with different ids: {found}.")
    weights = dict(weights) if weights is not None else _common_weights(runs)
    columns = _columns(runs, weights)
    shown = {column.task: column.weight for column in columns}
    groups: list[list[RunLike]] = []
    for run in sorted(runs, key=lambda r: (len(_missing(r, shown)), r.manifest["run_id"])):
        home = next((group for group in groups if _same_protocol(group, run, shown, allow)), None)
        if home is None:
            groups.append([run])
        else:
            home.append(run)
    built = []
    for group in groups:
        ranked = _group(group, columns, shown, allow)
        built.append(replace(ranked, differs=_differences(groups[0][0], group[0], shown)))
    return Board(title, columns, tuple(built), tuple(allow), tuple(_notes(built, runs, allow)))


def _common_weights(runs: Sequence[RunLike]) -> dict[str, float]:
    found: dict[str, float] = {}
    for run in runs:
        for task, result in run.results["tasks"].items():
            weight = float(result.get("weight", 1.0))
            if found.setdefault(task, weight) != weight:
                raise SpecError(
                    f"Task {task!r} has weight {found[task]:g} in one run and {weight:g} in {run.manifest['run_id']}. "
                    "Give the suite whose weights count."
                )
    return found


def _columns(runs: Sequence[RunLike], weights: Mapping[str, float]) -> tuple[Column, ...]:
    columns = []
    for task, weight in weights.items():
        result = next((run.results["tasks"][task] for run in runs if task in run.results["tasks"]), None)
        if result is None:  # nobody has it: the column stays, empty, so that nobody has a macro mean either
            columns.append(Column(task, task, "", (0.0, 1.0), True, float(weight), None))
            continue
        about = result["statistics"][result["headline"]]
        low, high = about["scale"]
        columns.append(
            Column(
                task=task,
                title=result.get("title") or task,
                statistic=result["headline"],
                scale=(low, high),
                higher_is_better=about["higher_is_better"],
                weight=float(weight),
                chance=result.get("chance"),
                family=result.get("family") or "",
            )
        )
    if not any(task in run.results["tasks"] for task in weights for run in runs):
        names = ", ".join(weights)
        raise SpecError(f"None of the runs has a task of the suite ({names}). Run the suite, or choose another.")
    return tuple(columns)


def _missing(run: RunLike, weights: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(task for task in weights if task not in run.results["tasks"])


def _same_protocol(
    group: Sequence[RunLike], run: RunLike, weights: Mapping[str, float], allow: Collection[str]
) -> bool:
    """Whether the run agrees, on the tasks it has, with every member that has them too."""
    theirs = run.manifest["identity"]["tasks"]
    for member in group:
        ours = member.manifest["identity"]["tasks"]
        shared = [task for task in weights if task in ours and task in theirs]
        if not shared or any(m.part not in allow for m in mismatches(ours, theirs, shared)):
            return False
    return True


def _group(
    runs: Sequence[RunLike], columns: Sequence[Column], weights: Mapping[str, float], allow: Collection[str]
) -> Group:
    evidence = {run.manifest["run_id"]: _load(run, weights) for run in runs}
    entries = [_entry(run, columns, evidence[run.manifest["run_id"]]) for run in runs]
    ranked = [i for i, entry in enumerate(entries) if not entry.unranked]
    if ranked:
        panel = _panel([entries[i].run for i in ranked], evidence, weights)
        better = significantly_better(*pairwise(panel))
        order = sorted(range(len(ranked)), key=lambda k: _merit(entries[ranked[k]]))
        letters = tie_groups(better, order)
        for k, (place, i) in enumerate(zip(rank_intervals(better), ranked, strict=True)):
            entries[i] = replace(entries[i], rank=place, ties=letters[k])
    entries.sort(key=_merit)
    identity = runs[0].manifest["identity"]["tasks"]
    kept = {task: {p: identity[task].get(p) for p in PARTS if p not in allow} for task in weights if task in identity}
    return Group(sha256_json(kept)[:12], tuple(entries), ())


def _load(run: RunLike, weights: Mapping[str, float]) -> dict[str, Evidence]:
    return {task: load_evidence(run, task).compact() for task in weights if task in run.results["tasks"]}


def _panel(names: Sequence[str], evidence: Mapping[str, Mapping[str, Evidence]], weights: Mapping[str, float]) -> Panel:
    tasks = {task: align([evidence[name][task] for name in names]) for task in weights}
    return Panel(tuple(names), dict(weights), tasks)


def _merit(entry: Entry) -> tuple[bool, bool, float, str]:
    """Sorts the ranked first, then by macro mean, highest first."""
    return bool(entry.unranked), entry.macro is None, -(entry.macro or 0.0), entry.run


def _entry(run: RunLike, columns: Sequence[Column], evidence: Mapping[str, Evidence]) -> Entry:
    model: Mapping[str, Any] = run.manifest["identity"]["model"]
    cells = {c.task: _cell(run.results["tasks"][c.task], c) for c in columns if c.task in run.results["tasks"]}
    missing = tuple(c.task for c in columns if c.task not in cells)
    held = [(c, evidence[c.task]) for c in columns if c.task in cells]
    parts = [score_part(c.task, e.statistic, e.clusters, c.weight) for c, e in held]
    macro = macro_mean([] if missing else parts)
    control = bool(model.get("control"))
    imported = bool(run.manifest.get("imported")) or "replayed" in model  # answers that were there already
    environment = {} if imported else run.manifest.get("environment") or {}  # an import's machine measured nothing
    return Entry(
        run=run.manifest["run_id"],
        model=str(model.get("model") or model.get("name") or run.manifest["run_id"]),
        identity=dict(model),
        adapter=model.get("adapter"),
        dtype=model.get("dtype"),
        revision=model.get("revision") or _short(model.get("weights")),
        parameters=model.get("parameters"),
        imported=imported,
        control=control,
        created=run.manifest.get("created"),
        cells=cells,
        missing=missing,
        macro=macro.value,
        macro_low=macro.score_interval[0],
        macro_high=macro.score_interval[1],
        macro_normalised=None if missing else _normalised_macro(cells, columns),
        rank=None,
        ties="",
        unranked=CONTROL if control else _why_unranked(cells, missing, macro.value, macro.se),
        efficiency=_efficiency({"tasks": {}}) if imported else _efficiency(run.results) | measured_speed(run),
        hardware_key=environment.get("hardware_key"),
        hardware=_hardware(environment.get("hardware") or {}),
    )


def _short(text: Any) -> str | None:
    return None if text is None else str(text)[:12]


def _hardware(hardware: Mapping[str, Any]) -> str | None:
    name = hardware.get("device_name") or hardware.get("cpu") or hardware.get("device")
    return None if name is None else str(name)


def _why_unranked(cells: Mapping[str, Cell], missing: Sequence[str], macro: float | None, se: float | None) -> str:
    if missing:
        return f"missing {', '.join(missing)}"
    partial = [task for task, cell in cells.items() if cell.coverage is None or cell.coverage < 1]
    if partial:
        return f"not every sample was scored in {', '.join(partial)}"
    if macro is None:
        return "a task has no score on a closed scale"
    return "" if se is not None else "a task has fewer than two independent clusters"


def _cell(result: Mapping[str, Any], column: Column) -> Cell:
    about = result["statistics"][result["headline"]]
    bounds = result.get("bounds") or {}
    return Cell(
        value=about["value"],
        low=about["low"],
        high=about["high"],
        normalised=_normalised(about["value"], column),
        n=result["n"],
        coverage=result["coverage"],
        all_wrong=bounds.get("all_wrong"),
        all_right=bounds.get("all_right"),
        few_clusters=about["few_clusters"],
        subset=result.get("subset"),
    )


def _normalised(value: float | None, column: Column) -> float | None:
    """Where a score lies between chance (0) and the best possible (1); None on an open scale."""
    low, high = column.scale
    if value is None or low is None or high is None or math.isinf(high) or math.isinf(low):
        return None
    chance = 0.0 if column.chance is None else (column.chance - low) / (high - low)
    share = (value - low) / (high - low)
    share = share if column.higher_is_better else 1 - share
    return max(0.0, (share - chance) / (1 - chance)) if chance < 1 else None


def _normalised_macro(cells: Mapping[str, Cell], columns: Sequence[Column]) -> float | None:
    values = [(c.weight, cells[c.task].normalised) for c in columns]
    known = [(weight, value) for weight, value in values if value is not None]
    if len(known) < len(values):
        return None
    return float(np.average([value for _, value in known], weights=[weight for weight, _ in known]))


def _efficiency(results: Mapping[str, Any]) -> dict[str, float | None]:
    """Whole-run figures; null where nothing was measured, and no speed where memory was full on the way. Throughput is
    requests over the tasks' wall time."""
    halved = any(task.get("batch_halved") for task in results["tasks"].values())
    tasks = [task.get("efficiency") or {} for task in results["tasks"].values() if not halved]
    timed = [(t.get("wall_s"), t.get("requests_per_s")) for t in tasks]
    known = [(wall, rate) for wall, rate in timed if wall and rate]
    whole = results.get("efficiency") or {}
    medians = [(t.get("latency_ms") or {}).get("p50") for t in tasks]
    return {
        "requests_per_s": sum(w * r for w, r in known) / sum(w for w, _ in known) if known else None,
        "latency_p50_ms": float(np.median([m for m in medians if m is not None])) if any(medians) else None,
        "peak_allocated_mib": whole.get("peak_allocated_mib"),
        "peak_host_mib": whole.get("peak_host_mib"),
        "energy_j": whole.get("energy_j"),
    }


def _differences(first: RunLike, other: RunLike, weights: Mapping[str, float]) -> tuple[str, ...]:
    ours, theirs = first.manifest["identity"]["tasks"], other.manifest["identity"]["tasks"]
    shared = [task for task in weights if task in ours and task in theirs]
    lines = [f"{m.task}: {m.part} ({m.detail})" for m in mismatches(ours, theirs, shared)]
    if not shared:
        lines.append("no task in common")
    return tuple(lines)


def _notes(groups: Sequence[Group], runs: Sequence[RunLike], allow: Collection[str]) -> list[str]:
    notes = []
    if len(groups) > 1:
        notes.append("Entries differ in protocol or data: each group is ranked on its own, never across groups.")
    if allow:
        notes.append(f"Within a group, entries may differ in {', '.join(allow)}: allowed when this board was made.")
    keys = {entry.hardware_key for group in groups for entry in group.entries if entry.hardware_key}
    if len(keys) > 1:
        notes.append("Efficiency was measured on different hardware: compare it only between entries of the same.")
    if note := board_note(runs):
        notes.append(note)
    return notes
