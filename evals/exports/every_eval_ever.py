"""Every Eval Ever, the shared format of evaluation results: one document a run, one JSON line a scored request.

Source: evaleval/every_eval_ever, eval.schema.json and instance_level_eval.schema.json, version 0.3.0. Values of
``additional_details`` are texts there; what is null here is left out there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any
from uuid import UUID

from evals.exports.registry import Destination
from evals.files import canonical_json, write_bytes, write_json
from evals.records import ScoredSample
from evals.store import Run

SCHEMA = "0.3.0"
LIBRARY = "omnilmm-eval"


def export(run: Run, to: Destination) -> str:
    """``data/<suite>/<developer>/<model>/<uuid>.json`` and ``<uuid>_samples.jsonl``, as that project's repository has
    them; the same run has the same uuid. Requests without a score (failed ones) are in the counts only, since the
    format wants a number for each line."""
    suite, model, _ = (re.sub(r"[^\w.+-]", "_", part) for part in evaluation_id(run).rsplit("/", 2))
    digest = hashlib.sha256(canonical_json([run.manifest["run_id"], evaluation_id(run)])).digest()
    place = f"data/{suite}/unknown/{model}/{UUID(bytes=digest[:16], version=4)}"  # nobody says who made a model
    lines = [canonical_json(line) for line in instances(run)]
    data = b"".join(line + b"\n" for line in lines)
    write_bytes(to.folder / f"{place}_samples.jsonl", data)
    details = {
        "format": "jsonl",
        "file_path": f"{place}_samples.jsonl",
        "hash_algorithm": "sha256",
        "checksum": hashlib.sha256(data).hexdigest(),
        "total_rows": len(lines),
    }
    path = to.folder / f"{place}.json"
    write_json(path, document(run, to.organization) | {"detailed_evaluation_results": details})
    return str(path)


def document(run: Run, organization: str) -> dict[str, Any]:
    """The run as a whole: model, library, and every statistic of every task with its uncertainty."""
    manifest, model = run.manifest, run.manifest["identity"]["model"]
    deployed = "self_deployed" if model.get("weights") else "unknown"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation_id(run),
        "evaluation_timestamp": manifest["updated"],
        "retrieved_timestamp": _epoch(manifest["updated"]),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": LIBRARY, "version": version(LIBRARY)},
        "model_info": {
            "name": str(model.get("model")),
            "id": str(model.get("model")),
            "inference_engine": {"name": str(model.get("adapter")), "version": str(model.get("adapter_version"))},
            "additional_details": _texts(model) | {"deployment_type": deployed, "model_availability": "unknown"},
        },
        "evaluation_results": [
            _result(run, task, name) for task, result in run.results["tasks"].items() for name in result["statistics"]
            if result["statistics"][name]["value"] is not None
        ],
    }  # fmt: skip


def evaluation_id(run: Run) -> str:
    """``<suite or tasks>/<model>/<time>``."""
    manifest = run.manifest
    what = manifest.get("suite") or "+".join(run.results["tasks"])
    return f"{what}/{manifest['identity']['model'].get('model')}/{_epoch(manifest['updated'])}"


def _result(run: Run, task: str, name: str) -> dict[str, Any]:
    result, stored = run.results["tasks"][task], run.manifest["tasks"][task]
    about = result["statistics"][name]
    low, high = about["scale"]
    metric: dict[str, Any] = {
        "evaluation_description": stored["spec"]["description"].strip(),
        "metric_id": name,
        "metric_name": name,
        "lower_is_better": not about["higher_is_better"],
    }
    if low is not None and high is not None:
        metric |= {"score_type": "continuous", "min_score": low, "max_score": high}
    counts = {key: result[key] for key in ("n", "n_scored", "n_errors", "parse_failures", "coverage", "chance")}
    return {
        "evaluation_result_id": f"{task}/{name}",
        "evaluation_name": task,
        "evaluation_timestamp": run.manifest["updated"],
        "source_data": _source(stored["spec"], result),
        "metric_config": metric,
        "score_details": {"score": about["value"], "details": _texts(counts), "uncertainty": _uncertainty(about)},
        "generation_config": _generation(run, task),
    }


def _uncertainty(about: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": about["n_units"]}
    if about["se"] is not None:
        found["standard_error"] = {"value": about["se"], "method": about["method"]}
    if about["low"] is not None and about["high"] is not None:
        ends = {"lower": about["low"], "upper": about["high"]}
        found["confidence_interval"] = {**ends, "confidence_level": 0.95, "method": about["method"]}
    return found


def _source(spec: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    data = spec["data"]
    named = {"dataset_name": spec["title"], "additional_details": _texts({"subset": result.get("subset")})}
    if data["source"] != "hub":
        return {**named, "source_type": "other"}
    known = {"hf_split": data.get("split"), "hf_revision": data.get("revision")}
    given = {key: value for key, value in known.items() if value}
    return {**named, "source_type": "hf_dataset", "hf_repo": data["id"], "samples_number": result["n"], **given}


def _generation(run: Run, task: str) -> dict[str, Any]:
    settings = run.manifest["identity"]["tasks"][task].get("generation") or {}
    arguments: dict[str, Any] = {"prompt_template": run.manifest["tasks"][task]["spec"]["prompt"]["template"]}
    if settings:
        sampled = settings["do_sample"]
        arguments |= {
            "max_tokens": settings["max_new_tokens"],
            "temperature": settings["temperature"] if sampled else 0,
        }
    if run.manifest.get("command"):
        arguments["execution_command"] = run.manifest["command"]
    return {"generation_args": arguments, "additional_details": _texts(settings)}


def instances(run: Run) -> Iterator[dict[str, Any]]:
    """One object a scored request, under the headline statistic of its task."""
    found = evaluation_id(run)
    model = str(run.manifest["identity"]["model"].get("model"))
    for task, result in run.results["tasks"].items():
        for row in run.samples(task):
            score = row.scores.get(result["metric"])
            if score is not None and row.prediction is not None:
                line = _instance(row, score)
                yield {
                    "schema_version": SCHEMA,
                    "evaluation_id": found,
                    "model_id": model,
                    "evaluation_name": task,
                    "evaluation_result_id": f"{task}/{result['headline']}",
                    **line,
                }


def _instance(row: ScoredSample, score: float) -> dict[str, Any]:
    read = row.extracted is not None
    line: dict[str, Any] = {
        "sample_id": row.row_id,
        "sample_hash": hashlib.sha256(canonical_json([row.prompt, row.references])).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": row.prompt, "reference": list(row.references)},
        "output": {"raw": [row.prediction]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": row.extracted,
                "extraction_method": row.rule or "verbatim",
                "is_terminal": True,
            }
        ]
        if read
        else [],
        "evaluation": {"score": score, "is_correct": score >= 1.0},
        "metadata": _texts({**row.categories, "cluster": row.cluster, "images": " ".join(row.image_hashes)}),
    }
    if row.prompt_tokens is not None and row.new_tokens is not None:
        total = row.prompt_tokens + row.new_tokens
        line["token_usage"] = {
            "input_tokens": row.prompt_tokens,
            "output_tokens": row.new_tokens,
            "total_tokens": total,
        }
    times = {"latency_ms": row.timing.batch_ms, "time_to_first_token_ms": row.timing.ttft_ms}
    known = {name: value for name, value in times.items() if value is not None}
    return line | ({"performance": known} if known else {})


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _epoch(iso: str) -> str:
    return str(int(datetime.fromisoformat(iso).timestamp()))
