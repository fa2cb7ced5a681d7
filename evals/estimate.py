"""How long a task took in earlier runs: what a plan says of time. An estimate, never part of a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EarlierRate:
    """How fast a task was answered once.

    Attributes:
        requests_per_s: over the whole task, journal included.
        run_id, model, preset, updated: of that run.
    """

    requests_per_s: float
    run_id: str
    model: str
    updated: str


def earlier_rates(runs_dir: Path) -> dict[str, EarlierRate]:
    """For each task its newest run's rate. Folders that hold no readable run are passed over: this is a hint only."""
    newest: dict[str, EarlierRate] = {}
    for path in sorted(runs_dir.glob("*/results.json")) if runs_dir.is_dir() else []:
        manifest, results = _read(path.with_name("manifest.json")), _read(path)
        for task, result in (results.get("tasks") or {}).items():
            rate = (result.get("efficiency") or {}).get("requests_per_s")
            updated = str(manifest.get("updated", ""))
            if rate and (task not in newest or newest[task].updated <= updated):
                model = str((results.get("model") or {}).get("model"))
                newest[task] = EarlierRate(float(rate), str(results.get("run_id")), model, updated)
    return newest


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
