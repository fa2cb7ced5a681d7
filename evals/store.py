"""A run directory: where everything about a run is found again, by people and by the other commands.

runs/<id>/manifest.json             identity, environment, status; replaced atomically
runs/<id>/questions/<task>.jsonl.gz what was asked: prompt, references, categories; scoring needs no data set
runs/<id>/responses/<task>.jsonl    what was answered: the journal
runs/<id>/samples/<task>.parquet    scored samples
runs/<id>/results.json              metrics with intervals
runs/<id>/thumbnails/<sha256>.jpg   small copies of pictures for the report
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.errors import StoreError
from evals.files import write_json
from evals.records import ScoredSample

SCHEMA_VERSION = 1


def _read_json(path: Path, what: str, remedy: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] | Any = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{path} does not exist: {what}. {remedy}") from None
    except ValueError as error:
        raise StoreError(f"{path} is not valid JSON ({error}): {what}. {remedy}") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}. Make it readable, or copy the folder again."
        ) from error
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION or not isinstance(value, dict):
        raise StoreError(
            f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION}. "
            "Use the program's version that wrote it, or run again."
        )
    return value


@dataclass(frozen=True)
class Run:
    """A run on disk, read lazily."""

    path: Path
    _samples: dict[str, list[ScoredSample]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise StoreError(
                f"The name of the run's folder is no UTF-8: {str(self.path)!r}. Arrow cannot open files there; rename "
                "it, or choose another one with --out."
            ) from None

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    def questions_path(self, task: str) -> Path:
        return self.path / "questions" / f"{task}.jsonl.gz"

    def responses_path(self, task: str) -> Path:
        return self.path / "responses" / f"{task}.jsonl"

    def samples_path(self, task: str) -> Path:
        return self.path / "samples" / f"{task}.parquet"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Identity, environment, status, tasks. Raises :class:`StoreError` if missing or of another schema."""
        return _read_json(
            self.manifest_path, "this is not a run directory", "Give a folder that `run` or `import` made."
        )

    @cached_property
    def results(self) -> dict[str, Any]:
        """Metrics with intervals, as ``score`` wrote them."""
        remedy = f"Run `run_eval.py score {self.path}` to make it from the answers."
        return _read_json(self.path / "results.json", "this run has not been scored", remedy)

    @property
    def tasks(self) -> list[str]:
        """Names of the run's tasks, in the order of the suite."""
        return list(self.manifest["identity"]["tasks"])

    def samples(self, task: str) -> list[ScoredSample]:
        """All scored rows of a task."""
        if task not in self._samples:
            from evals.samples_table import read_samples

            self._samples[task] = read_samples(self.scored_path(task))
        return self._samples[task]

    def columns(self, task: str, names: Sequence[str]) -> dict[str, Any]:
        """Some columns of a task's scored rows, as plain lists (numbers as numpy arrays); fast for large runs."""
        from evals.samples_table import read_columns

        return read_columns(self.scored_path(task), names)

    def scored_path(self, task: str) -> Path:
        """The samples file of a task; raises :class:`StoreError` where the run has not been scored."""
        path = self.samples_path(task)
        if not path.exists():
            raise StoreError(f"{path} does not exist. Run `run_eval.py score {self.path}` to make it from the answers.")
        return path

    def thumbnail(self, sha256: str) -> bytes | None:
        """A JPEG of at most 384 px, or None where the run stored none for this picture."""
        path = self.path / "thumbnails" / f"{sha256}.jpg"
        return path.read_bytes() if path.exists() else None

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace the manifest atomically."""
        write_json(self.manifest_path, manifest)
        self.__dict__.pop("manifest", None)

    def write_results(self, results: dict[str, Any]) -> None:
        """Replace results.json atomically; cached samples are forgotten."""
        write_json(self.path / "results.json", results)
        self.__dict__.pop("results", None)
        self._samples.clear()


def open_run(path: str | Path) -> Run:
    """A run directory, checked to be one."""
    run = Run(Path(path))
    _ = run.manifest
    return run
