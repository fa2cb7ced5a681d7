"""MLflow, in a local store: an SQLite file and a folder of artifacts. No server, no network."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.exports.numbers import numbers_of, settings_of
from evals.exports.registry import Destination, tracker
from evals.store import Run

LONGEST_PARAMETER = 6000  # characters that MLflow takes
A_BATCH = 100  # parameters that MLflow takes at once
TAG = "omnilmm_eval.run"


def export(run: Run, to: Destination) -> str:
    """One MLflow run with all numbers as metrics, all settings as parameters, and results and report as artifacts. A
    run that is in the store already, with the same results, is not written again."""
    mlflow = tracker("mlflow", "mlflow")
    entities = tracker("mlflow.entities", "mlflow")
    to.folder.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{(to.folder / 'mlflow.db').resolve()}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = _experiment(client, to)
    mark = json.dumps([run.manifest["run_id"], run.manifest["updated"]])
    there = client.search_runs([experiment], f"tags.`{TAG}` = '{mark}' and attributes.status = 'FINISHED'")
    if there:
        return f"{uri}: run {there[0].info.run_id} was there already"
    when = int(datetime.fromisoformat(run.manifest["updated"]).timestamp() * 1000)
    name = run.manifest["run_id"]
    made = client.create_run(experiment, start_time=when, tags={TAG: mark}, run_name=name)
    _write(client, entities, made.info.run_id, run, when)
    client.set_terminated(made.info.run_id, end_time=when)
    return f"{uri}: run {made.info.run_id} in experiment {to.project!r}"


def _experiment(client: Any, to: Destination) -> str:
    known = client.get_experiment_by_name(to.project)
    if known is not None:
        return str(known.experiment_id)
    place = (to.folder / "artifacts").resolve().as_uri()
    return str(client.create_experiment(to.project, artifact_location=place))


def _write(client: Any, entities: Any, run_id: str, run: Run, when: int) -> None:
    metrics = [entities.Metric(name, value, when, 0) for name, value in numbers_of(run).items()]
    settings = [entities.Param(_parameter(n), text[:LONGEST_PARAMETER]) for n, text in settings_of(run).items()]
    for start in range(0, len(settings), A_BATCH):
        client.log_batch(run_id, params=settings[start : start + A_BATCH])
    for start in range(0, len(metrics), A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + A_BATCH])
    for file in ("manifest.json", "results.json", "report.html", "report.md"):
        path: Path = run.path / file
        if path.exists():
            client.log_artifact(run_id, str(path))


def _parameter(name: str) -> str:
    return name.replace("=", "_")
