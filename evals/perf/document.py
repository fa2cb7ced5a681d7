"""profile.json: everything about one side's processes as one document. Its keys are explained in docs/profile.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from evals.files import sha256_json
from evals.perf.cards import card_peaks
from evals.perf.fit import Fit
from evals.perf.job import ProfileJob, Side
from evals.perf.metrics import NoValue, Seen, metric_table
from evals.perf.metrics.base import answered
from evals.perf.metrics.limits import roofline
from evals.perf.stored import KIND, SCHEMA_VERSION
from evals.perf.summary_values import case_summaries, process_summaries
from evals.perf.timeline import CaseRecord, Flag, ProcessRecord, RequestTimes


def build_document(
    processes: Sequence[ProcessRecord], side: Side, job: ProfileJob, *, profile_id: str, command: str
) -> dict[str, Any]:
    """The document of one side.

    Args:
        processes: at least one, in the order in which they ran.
    """
    first = processes[0]
    flags = _flags(processes)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "profile_id": profile_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "valid": not any(flag["severity"] == "invalid" for flag in flags),
        "flags": flags,
        "model": dict(first.model),
        "options": {"adapter": side.model, **{key: str(value) for key, value in side.options.items()}},
        "hardware_key": first.before["hardware_key"],
        "environment": {"before": dict(first.before), "after": dict(processes[-1].after)},
        "peaks": _peaks(first),
        "procedure": {
            "repeats": len(processes),
            **asdict(job.rules),
            "batches": list(job.batches),
            "num_beams": job.num_beams,
        },
        "workload": workload_key(processes),
        "fit": fit_json(first.fit) if first.fit else None,
        "metrics": metric_table(),
        "process": {tag: summary.as_json() for tag, summary in process_summaries(processes).items()},
        "cases": [_case(processes, case) for case in first.cases],
        "replicates": [_replicate(process) for process in processes],
    }


def fit_json(fit: Fit) -> dict[str, Any]:
    """A fit with the batch sizes as JSON's text keys."""
    return asdict(fit) | {"batch_mib": {str(batch): mib for batch, mib in fit.batch_mib.items()}}


def workload_key(processes: Sequence[ProcessRecord]) -> str:
    """Hash of what was asked; profiles of different keys are not compared."""
    return sha256_json([asdict(case.case) for case in processes[0].cases])


def _flags(processes: Sequence[ProcessRecord]) -> list[dict[str, Any]]:
    """Flags of all processes, each with the replicates that raised it."""
    seen: dict[Flag, list[int]] = {}
    for process in processes:
        for flag in process.flags:
            seen.setdefault(flag, []).append(process.index)
    keys = {process.before["hardware_key"] for process in processes}
    if len(keys) > 1:
        moved = Flag("invalid", "hardware_changed", f"processes ran on different hardware: {', '.join(sorted(keys))}")
        seen[moved] = [process.index for process in processes]
    found: list[dict[str, Any]] = [asdict(flag) | {"replicates": indices} for flag, indices in seen.items()]
    return sorted(found, key=lambda flag: ("invalid", "warning", "note").index(flag["severity"]))


def _peaks(process: ProcessRecord) -> dict[str, Any] | None:
    peaks = card_peaks(process.facts.get("device_name"))
    if peaks is None:
        return None
    tflops = peaks.tflops(str(process.model.get("dtype")), tf32=bool(process.facts.get("tf32_matmul")))
    return {"card": peaks.name, "tflops": tflops, "bandwidth_gb_s": peaks.bandwidth_gb_s, "source": peaks.source}


def _case(processes: Sequence[ProcessRecord], first: CaseRecord) -> dict[str, Any]:
    name = first.case.name
    records = [case for process in processes for case in process.cases if case.case.name == name]
    summaries = case_summaries(processes, name)
    return {
        "name": name,
        **asdict(first.case),
        "num_beams": max(first.case.num_beams, first.beams),
        "skipped": next((record.skipped for record in records if record.skipped), "") or None,
        "notes": sorted({note for record in records for note in record.notes}),
        "warm_up": [record.warm_up for record in records],
        "measured": _measured(records),
        "metrics": {tag: summary.as_json() for tag, summary in summaries.items()},
        "roofline": [asdict(point) for point in roofline(Seen(processes[0], first))] if not first.skipped else [],
    }


def _measured(records: Sequence[CaseRecord]) -> dict[str, Any]:
    """What the requests really were: counts and mean tokens of the clean closed pass."""
    requests: list[RequestTimes] = []
    for record in records:
        try:
            requests += answered(record.latency) if record.latency else ()
        except NoValue:
            continue
    return {
        "requests": len(requests),
        "prompt_tokens": _mean([r.prompt_tokens for r in requests]),
        "new_tokens": _mean([r.new_tokens for r in requests]),
        "seconds": sum(record.latency.seconds for record in records if record.latency),
    }


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _replicate(process: ProcessRecord) -> dict[str, Any]:
    return {"index": process.index, "started": process.started, "raw": f"raw/replicate-{process.index + 1}.json.gz"}
