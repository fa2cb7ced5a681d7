"""What a worker is told when it starts: which tasks, where their data lies, and how its model is loaded. Plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evals.controls import load_model
from evals.data import Dataset, Subset, open_dataset
from evals.errors import SpecError
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec
from model_adapters.contract import ModelAdapter
from model_adapters.registry import ADAPTERS, adapter_path


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """How an adapter is loaded, here or in another process. Calling it loads one.

    Attributes:
        name: a name that :func:`evals.controls.load_model` knows.
        options: its options; plain JSON values.
        response_cache: folder of answers kept across runs; null takes and keeps none.
    """

    name: str
    options: Mapping[str, Any]
    response_cache: str | None = None

    def __call__(self) -> ModelAdapter:
        adapter = load_model(self.name, **self.options)
        if self.response_cache is None:
            return adapter
        from evals.caching import behind_cache

        return behind_cache(adapter, Path(self.response_cache))


@dataclass(frozen=True, slots=True)
class WorkerRecipe:
    """Everything that a worker needs to know before its first lease."""

    tasks: tuple[tuple[TaskSpec, Subset], ...]
    data_root: Path
    cache: Path
    adapter: AdapterRecipe
    wants_score: bool

    def to_json(self) -> str:
        """One JSON document. Raises :class:`SpecError` for an adapter option that is no plain value."""
        try:
            return json.dumps(
                {
                    "tasks": [{"spec": asdict(spec), "subset": asdict(subset)} for spec, subset in self.tasks],
                    "data_root": str(self.data_root.resolve()),
                    "cache": str(self.cache.resolve()),
                    "adapter": asdict(self.adapter),
                    "path": adapter_path(self.adapter.name),
                    "wants_score": self.wants_score,
                }
            )
        except TypeError as error:
            raise SpecError(
                f"The adapter's options cannot be given to a worker ({error}); they must be texts, numbers or booleans."
            ) from error

    @staticmethod
    def from_json(text: str) -> WorkerRecipe:
        """The recipe of such a document; the adapter's name is made known where it is not."""
        value = json.loads(text)
        ADAPTERS.setdefault(value["adapter"]["name"], value["path"])
        tasks = tuple(
            (build_stored(TaskSpec, task["spec"]), Subset(**task["subset"] | {"ids": tuple(task["subset"]["ids"])}))
            for task in value["tasks"]
        )
        places = Path(value["data_root"]), Path(value["cache"])
        return WorkerRecipe(tasks, *places, AdapterRecipe(**value["adapter"]), value["wants_score"])

    def open(self, task: str) -> tuple[TaskSpec, Dataset]:
        """A task and its data."""
        spec, subset = next((spec, subset) for spec, subset in self.tasks if spec.name == task)
        return spec, open_dataset(spec, self.data_root, self.cache, subset)
