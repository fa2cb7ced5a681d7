"""A profile that lies in a run's folder (``profile --out RUN/profile``) lends the run its times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.compare.evidence import RunLike
from evals.perf.stored import Profile, is_profile, open_profile

FOLDER = "profile"
WANTED = ("ttft_ms", "tpot_ms", "e2e_ms", "energy_j_per_request")
_SAME_MODEL = ("adapter", "weights", "dtype")


def measured_speed(run: RunLike) -> dict[str, float | None]:
    """The times that a run has from a profile: kept with a frozen run, or beside a run on disk."""
    kept: dict[str, float | None] | None = (run.results.get("efficiency") or {}).get("profile")
    return attached_speed(run.path, run.manifest) if kept is None else kept


def attached_speed(folder: Path, manifest: Mapping[str, Any]) -> dict[str, float | None]:
    """Times of single stream, from the case with most tokens, and the best rate of all cases.

    Returns:
        ``ttft_ms``, ``tpot_ms``, ``e2e_ms``, ``energy_j_per_request``, ``profiled_tokens_per_s``; empty where there is
        no profile, or it is invalid, of another model, or of other hardware than the run.
    """
    if not is_profile(folder / FOLDER):
        return {}
    profile = open_profile(folder / FOLDER)
    environment = manifest.get("environment") or {}
    if profile.invalid or profile.hardware_key != environment.get("hardware_key") or not _same_model(profile, manifest):
        return {}
    cases = [case for case in profile.document["cases"] if not case["skipped"]]
    single = [case for case in cases if case["batch"] == 1]
    if not single:
        return {}
    longest = max(single, key=lambda case: case["measured"]["new_tokens"] or 0.0)
    rates = [rate for case in cases if (rate := case["metrics"]["tokens_per_s"]["value"]) is not None]
    found: dict[str, float | None] = {tag: longest["metrics"][tag]["value"] for tag in WANTED}
    return found | {"profiled_tokens_per_s": max(rates, default=None)}


def _same_model(profile: Profile, manifest: Mapping[str, Any]) -> bool:
    ours, theirs = profile.document["model"], manifest["identity"]["model"]
    return all(ours.get(part) == theirs.get(part) for part in _SAME_MODEL)
