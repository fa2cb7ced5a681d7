"""Stored speeds: in a baseline's folder one file a machine, ``speed-<hardware key>.json``, made from profiles there.

For a CI that cannot measure the baseline beside the candidate. It is the weaker test, because days differ; a file of
another machine is never used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import ComparisonError, StoreError
from evals.files import sha256_json, write_json
from evals.gate.speed import SpeedVerdict, judge_speed, profile_speeds, require_same_hardware, timed, verdict_of
from evals.gate.speed_rule import judge_stored_together
from evals.perf.stored import Profile, is_profile, open_profile
from evals.store import open_run

SCHEMA_VERSION = 1
PREFIX = "speed-"


def store_speed(profiles: Sequence[Profile], folder: Path) -> Path:
    """Keep the speed of some profiles of one machine, model and workload; replaces what was kept of that machine.

    Raises:
        ComparisonError: profiles of different hardware, model or workload, or an invalid one.
    """
    _require_one_kind(profiles)
    key = require_same_hardware(timed(profiles))
    speeds = [speed for profile in profiles for speed in profile_speeds(profile)]
    quantities = [q for q in speeds[0] if all(q in speed for speed in speeds)]
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "stored_speed",
        "hardware_key": key,
        "hardware": profiles[0].document["environment"]["before"]["hardware"],
        "workload": profiles[0].document["workload"],
        "model": profiles[0].document["model"],
        "made_from": [profile.name for profile in profiles],
        "values": {q: [speed[q] for speed in speeds] for q in quantities},
    }
    path = folder / f"{PREFIX}{key}.json"
    write_json(path, document | {"sha256": sha256_json(document)})
    return path


def judge_measurements(baseline: Sequence[Path], candidate: Sequence[Path]) -> SpeedVerdict:
    """Judge speed by paths: runs or profiles against the like, or profiles against a folder of stored speeds.

    Raises:
        ComparisonError: other hardware, other work, an invalid profile, or runs that were not interleaved.
        StoreError: something that cannot be read.
    """
    if len(baseline) == 1 and _holds_speeds(baseline[0]):
        return judge_against_stored(baseline[0], [open_profile(path) for path in candidate])
    return judge_speed(_opened(baseline), _opened(candidate))


def judge_against_stored(folder: Path, candidate: Sequence[Profile]) -> SpeedVerdict:
    """Judge profiles against what a baseline's folder keeps of this machine."""
    _require_one_kind(candidate)
    processes = timed(candidate)
    key = require_same_hardware(processes)
    stored = _stored(folder, key)
    if stored["workload"] != candidate[0].document["workload"]:
        raise ComparisonError(
            f"{folder} keeps the speed of other cases than {candidate[0].name} measured. Measure with the scenarios "
            "and batch sizes of the baseline, or store it again."
        )
    shared = [q for q in stored["values"] if all(q in one.speed for one in processes)]
    if not shared:
        raise ComparisonError(f"{folder} and {candidate[0].name} have no measured quantity in common.")
    findings = judge_stored_together({q: (stored["values"][q], [one.speed[q] for one in processes]) for q in shared})
    return verdict_of(findings, key, stored["made_from"], [one.name for one in processes])


def _opened(paths: Sequence[Path]) -> list[Any]:
    return [open_profile(path) if is_profile(path) else open_run(path) for path in paths]


def _holds_speeds(path: Path) -> bool:
    """Whether this is a baseline's folder: with stored speeds, or one that has none yet."""
    return path.is_dir() and (any(path.glob(f"{PREFIX}*.json")) or (path / "baseline.yaml").exists())


def _stored(folder: Path, key: str) -> Mapping[str, Any]:
    """The file of this machine, checked to be unedited."""
    path = folder / f"{PREFIX}{key}.json"
    if not path.exists():
        others = sorted(p.stem.removeprefix(PREFIX) for p in folder.glob(f"{PREFIX}*.json"))
        kept = f"it keeps {', '.join(others)}" if others else "it keeps none"
        raise ComparisonError(
            f"Not comparable: {folder} has no speed of this hardware ({key}); {kept}. Measure the baseline on this "
            "machine (`baseline speed`), or both sides in turns (`profile --against`)."
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is not valid JSON ({error}). Restore it from version control.") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise StoreError(f"{path} has another schema than this program reads ({SCHEMA_VERSION}). Store it again.")
    found = sha256_json({name: value for name, value in document.items() if name != "sha256"})
    if found != document.get("sha256"):
        raise StoreError(f"{path} was edited by hand. Change it only with `baseline speed`.")
    return document


def _require_one_kind(profiles: Sequence[Profile]) -> None:
    """The same model and work in all."""
    if not profiles:
        raise ComparisonError("No profile is given. Give folders that `profile --out` made.")
    for other in profiles[1:]:
        for part in ("workload", "model"):
            if other.document[part] != profiles[0].document[part]:
                raise ComparisonError(
                    f"{profiles[0].name} and {other.name} are not profiles of one {part}. Give repeated profiles of "
                    "the same model and scenarios."
                )
