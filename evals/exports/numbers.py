"""A run as trackers know it: a flat table of numbers and a flat table of texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evals.store import Run


def numbers_of(run: Run) -> dict[str, float]:
    """All numbers of the results: ``<task>/<statistic>`` with ``/low`` and ``/high``, counts, efficiency; no nulls."""
    results = run.results
    found: dict[str, float] = {}
    for task, result in results["tasks"].items():
        for name, about in result["statistics"].items():
            found |= _flat(f"{task}/{name}", {"": about["value"], "low": about["low"], "high": about["high"]})
        counts = {key: result[key] for key in ("n", "n_errors", "coverage", "parse_failures")}
        found |= _flat(task, counts) | _flat(f"{task}/efficiency", result.get("efficiency") or {})
    if macro := results.get("macro"):
        found |= _flat("macro", {"": macro["value"], "low": macro["low"], "high": macro["high"]})
    return found | _flat("efficiency", results.get("efficiency") or {})


def settings_of(run: Run) -> dict[str, str]:
    """What the numbers were made with, as text: the model's identity, each task's version, preset and prompt hash."""
    identity = run.manifest["identity"]
    texts = {f"model/{key}": _text(value) for key, value in identity["model"].items() if value is not None}
    for task, parts in identity["tasks"].items():
        about = {**parts["task"], "samples": parts["data"]["samples"], "prompt": parts["prompt"]}
        texts |= {f"{task}/{key}": _text(value) for key, value in about.items() if value is not None}
    hardware = (run.manifest.get("environment") or {}).get("hardware") or {}
    return texts | {f"hardware/{key}": _text(value) for key, value in hardware.items() if value is not None}


def plain(name: str) -> str:
    """A name that every tracker takes: letters, digits, ``_ - . /``."""
    return re.sub(r"[^A-Za-z0-9_\-./]", "_", name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
    return {plain(name).rstrip("/"): number for name, number in _walk(prefix, values)}


def _walk(prefix: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(f"{prefix}/{key}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield prefix, float(value)
