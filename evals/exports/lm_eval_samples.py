"""The layout in which lm-evaluation-harness and lmms-eval log samples: ``samples_<task>_<time>.jsonl`` beside
``results_<time>.json`` in a folder named by the model. Other people's viewers and converters read it.

Source: the keys that lm-evaluation-harness 0.4 writes with ``--log_samples`` (doc_id, doc, target, arguments, resps,
filtered_resps, filter, metrics, three hashes, and one key a metric).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.exports.registry import Destination
from evals.files import canonical_json, write_atomically, write_json
from evals.questions import read_questions
from evals.records import Question, ScoredSample
from evals.store import Run

FILTER = "none"


def export(run: Run, to: Destination) -> str:
    """One samples file a task, and the results."""
    stamp = datetime.fromisoformat(run.manifest["updated"]).strftime("%Y-%m-%dT%H-%M-%S.%f")
    model = run.manifest["identity"]["model"]
    folder = to.folder / re.sub(r"[^\w.-]", "__", str(model.get("model") or run.manifest["run_id"]))
    for task in run.results["tasks"]:
        lines = (canonical_json(line) + b"\n" for line in sample_lines(run, task))
        write_atomically(folder / f"samples_{task}_{stamp}.jsonl", lambda file, lines=lines: file.writelines(lines))  # type: ignore[misc]
    write_json(folder / f"results_{stamp}.json", results_document(run))
    return str(folder)


def sample_lines(run: Run, task: str) -> Iterator[dict[str, Any]]:
    """One object a request, in the data set's order. A failed request has an empty list of replies and no scores."""
    generation = run.manifest["identity"]["tasks"][task].get("generation") or {}
    rows = run.samples(task)
    for number, (question, row) in enumerate(zip(read_questions(run.questions_path(task)), rows, strict=True)):
        yield _line(number, question, row, generation)


def _line(number: int, question: Question, row: ScoredSample, generation: Mapping[str, Any]) -> dict[str, Any]:
    target = row.references[0] if len(row.references) == 1 else list(row.references)
    doc = {**question.fields, "id": row.row_id, "sample_id": row.group, "images": list(row.image_hashes)}
    scores = {name: score for name, score in row.scores.items() if score is not None}
    said = [] if row.prediction is None else [row.prediction]
    read = [] if row.prediction is None else [row.prediction if row.extracted is None else row.extracted]
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": row.prompt, "arg_1": dict(generation)}},
        "resps": [said],
        "filtered_resps": read,
        "filter": FILTER,
        "metrics": list(scores),
        "doc_hash": _hash(json.dumps(doc, sort_keys=True, default=str)),
        "prompt_hash": _hash(row.prompt),
        "target_hash": _hash(str(target)),
        **scores,
    }


def results_document(run: Run) -> dict[str, Any]:
    """Scores by task as ``"<statistic>,none"`` with ``"<statistic>_stderr,none"``, and what made them."""
    manifest, results = run.manifest, run.results
    scores: dict[str, dict[str, Any]] = {}
    for task, result in results["tasks"].items():
        scores[task] = {"alias": task}
        for name, about in result["statistics"].items():
            scores[task][f"{name},{FILTER}"] = about["value"]
            scores[task][f"{name}_stderr,{FILTER}"] = about["se"]
    tasks = manifest["identity"]["tasks"]
    counts = {task: {"original": r["n"], "effective": r["n_scored"]} for task, r in results["tasks"].items()}
    return {
        "results": scores,
        "configs": {task: manifest["tasks"][task]["spec"] for task in scores},
        "versions": {task: tasks[task]["task"]["version"] for task in scores},
        "n-samples": counts,
        "config": {"model": manifest["identity"]["model"].get("adapter"), "model_args": manifest["identity"]["model"]},
        "model_name": manifest["identity"]["model"].get("model"),
        "date": datetime.fromisoformat(manifest["updated"]).timestamp(),
        "task_hashes": {task: tasks[task]["data"]["samples"] for task in scores},
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def samples_files(folder: Path) -> list[Path]:
    """The samples files of an export."""
    return sorted(folder.rglob("samples_*.jsonl"))
