"""Small tasks on disk: a few pictures, a table of questions, a YAML file. What the harness tests run."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from evals.data import Subset
from evals.runner import Item, Job
from evals.spec import find_task

OPTIONS = ("red", "green", "blue", "yellow")


@dataclass(frozen=True)
class SmallTask:
    """A task in a folder. ``rows`` are its questions: row ``i`` asks on picture ``i % images``."""

    folder: Path
    name: str
    rows: list[dict[str, Any]]

    @property
    def yaml(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    def job(self, out: Path | None, **changes: Any) -> Job:
        """A job that runs this task alone into ``out``."""
        return job_of([self], out, **changes)


def small_task(folder: Path, name: str = "colours", *, n: int = 12, images: int = 4, **changes: Any) -> SmallTask:
    """Make a task of ``n`` questions on ``images`` pictures (0: a text task); ``changes`` go into its YAML."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for i in range(images):
        (folder / "images" / f"{i}.png").write_bytes(png((i * 40 % 256, 90, 160)))
    rows = [row(i, images) for i in range(n)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    columns: dict[str, Any] = {"fields": {"question": "question", "kind": "kind"}}
    if not images:
        columns["images"] = []
    spec: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "title": "Colours",
        "version": 1,
        "family": "vqa",
        "description": "Which colour is it?",
        "data": {"source": "table", "files": [f"{name}.jsonl"], "image_root": "images"},
        "columns": columns,
        "metrics": [{"name": "exact_match"}],
        "categories": ["kind"],
    }
    for key, value in changes.items():
        spec[key] = spec[key] | value if isinstance(value, dict) and isinstance(spec.get(key), dict) else value
    task = SmallTask(folder, name, rows)
    task.yaml.write_text(json.dumps(spec, indent=1))  # JSON is YAML
    return task


def choice_task(folder: Path, name: str = "options", *, protocol: str = "circular", **kwargs: Any) -> SmallTask:
    """The same with four options a question."""
    metric = {"circular": "circular", "vanilla": "multiple_choice", "likelihood": "multiple_choice"}[protocol]
    return small_task(
        folder,
        name,
        family="multiple_choice",
        columns={"choices": ["choices"], "references": "letter"},
        prompt={"template": "{question}\n{options}"},
        protocol=protocol,
        extractor="robust",
        metrics=[{"name": metric}],
        **kwargs,
    )


def row(i: int, images: int) -> dict[str, Any]:
    """Question ``i``; its answer is the option that its number says."""
    given = {"image": f"{i % images}.png"} if images else {}
    return {
        "id": f"q{i:05d}",
        **given,
        "question": f"Question {i}: which colour?",
        "kind": ("warm", "cold")[i % 2],
        "answer": OPTIONS[i % 4],
        "letter": "ABCD"[i % 4],
        "choices": list(OPTIONS),
    }


def png(colour: tuple[int, int, int]) -> bytes:
    """A small picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(out, "PNG")
    return out.getvalue()


def job_of(tasks: list[SmallTask], out: Path | None, **changes: Any) -> Job:
    """A job over tasks that lie in one folder."""
    items = tuple(Item(find_task(str(task.yaml)), subset=changes.pop("subset", Subset())) for task in tasks)
    defaults = {"out": out, "quiet": True, "runs_dir": tasks[0].folder, "cache": tasks[0].folder / "cache"}
    return Job(items=items, data_root=tasks[0].folder, **(defaults | changes))
