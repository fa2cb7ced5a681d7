"""Runs on disk for the report tests, written as the harness writes them: same files, same JSON."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.records import ScoredSample
from evals.samples_table import write_samples
from evals.store import Run, open_run
from model_adapters.contract import Failure, Timing

HOSTILE = {
    "script": "</script><script>document.title='owned'</script>",
    "image": "<img src=x onerror=\"document.title='owned'\">",
    "comment": "<!-- <script> ]]> -->",
    "bidi": "safe \u202etxt.exe\u202c and \u2066isolated\u2069",
    "zero width": "in\u200bvis\u2060ible\ufeff \u00adsoft",
    "controls": "bell \x07 escape \x1b[31m nul \x00 end",
    "separators": "line\u2028paragraph\u2029end",
    "long": "word " * 200_000,
    "unbroken": "x" * 1_000_000,
    "chinese": "图中有一只红色的圆形。",
    "arabic": "في الصورة دائرة حمراء",
    "template": "{{ 7 * 7 }} {% raw %} ${1+1}",
    "empty": "",
}


def jpeg(color: tuple[int, int, int], size: tuple[int, int] = (96, 96)) -> bytes:
    """A picture as the store keeps it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", size, (250, 250, 246))
    ImageDraw.Draw(image).ellipse((size[0] // 5, size[1] // 5, size[0] * 4 // 5, size[1] * 4 // 5), fill=color)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def sample(number: int, **changes: Any) -> ScoredSample:
    """A yes/no row that was answered rightly; keyword arguments change it."""
    base = ScoredSample(
        row_id=f"q{number:05d}",
        group=f"q{number:05d}",
        content_hash=f"{number:064x}",
        cluster=f"image{number // 2}",
        prompt="Is there a red circle in the picture? Answer yes or no.",
        image_hashes=(),
        references=("yes" if number % 2 else "no",),
        prediction="Yes" if number % 2 else "No",
        extracted="yes" if number % 2 else "no",
        rule="yes_no_first_word",
        scores={"accuracy": 1.0},
        categories={"shape": ("circle", "square", "star")[number % 3], "language": "zh" if number % 5 == 0 else "en"},
        timing=Timing(1.2, 8.4 + number % 7, 12.5, 30.0 + number % 11, 60.0 + (number * 37) % 90, 4, None, None),
        prompt_tokens=92,
        new_tokens=2 + number % 4,
    )
    return replace(base, **changes)


def failed(number: int) -> ScoredSample:
    """A row whose request failed."""
    failure = Failure(
        "OSError", "image file is truncated (12 bytes not processed)", "Traceback ...\nOSError: truncated"
    )
    none: dict[str, Any] = {"prediction": None, "extracted": None, "rule": "", "scores": {"accuracy": None}}
    return sample(number, failure=failure, timing=Timing(), prompt_tokens=None, new_tokens=None, **none)


def unparsed(number: int) -> ScoredSample:
    """A row whose answer could not be read."""
    said = "I am not able to tell from this picture."
    return sample(number, prediction=said, extracted=None, rule="", scores={"accuracy": 0.0})


def wrong(number: int) -> ScoredSample:
    """A row answered with the other word."""
    said = "No" if number % 2 else "Yes"
    return sample(number, prediction=said, extracted=said.lower(), scores={"accuracy": 0.0})


def mixed(count: int, *, seed: int = 1) -> list[ScoredSample]:
    """Rows of all fates: about 85 % right."""
    rng = random.Random(seed)
    makers = [sample] * 17 + [wrong] * 2 + [unparsed]
    rows = [rng.choice(makers)(number) for number in range(count)]
    if count > 10:
        rows[7] = failed(7)
    return rows


def with_units(row: ScoredSample) -> ScoredSample:
    """The row with what it adds to the mean of its score; a failed one adds nothing."""
    score = row.scores.get("accuracy")
    return row if score is None else replace(row, units={"accuracy": (score, 1.0)})


def task_result(rows: Sequence[ScoredSample], **changes: Any) -> dict[str, Any]:
    """A task's part of results.json for these rows; intervals are plain normal ones, good enough to be drawn."""
    scores = [value for row in rows if (value := row.scores.get("accuracy")) is not None]
    n = len(scores)
    mean = sum(scores) / n if n else None
    half = 1.96 * (mean * (1 - mean) / n) ** 0.5 + 1 / (2 * n) if mean is not None else 0.0
    ends = (None, None) if mean is None else (max(mean - half, 0.0), min(mean + half, 1.0))
    estimate = {
        **{"value": mean, "low": ends[0], "high": ends[1], "se": half / 1.96 if n else None, "method": "cluster_t"},
        **{"n_units": n, "n_clusters": len({row.cluster for row in rows}), "few_clusters": n < 20},
        **{"scale": [0.0, 1.0], "higher_is_better": True, "combine": "ratio"},
    }
    categories: dict[str, dict[str, Any]] = {}
    for row in rows:
        for column, value in row.categories.items():
            categories.setdefault(column, {}).setdefault(value, []).append(row.scores.get("accuracy") or 0.0)
    for values in categories.values():
        for value, found in values.items():
            share = sum(found) / len(found)
            values[value] = {"n": len(found), "value": share, "low": max(share - 0.08, 0), "high": min(share + 0.05, 1)}
    result = {
        **{
            "title": "Shapes, yes or no",
            "family": "presence",
            "headline": "accuracy",
            "metric": "accuracy",
            "n": len(rows),
            "n_requests": len(rows),
        },
        **{
            "n_scored": n,
            "n_errors": sum(row.failure is not None for row in rows),
            "coverage": n / len(rows) if rows else None,
        },
        "parse_failures": sum(row.failure is None and row.extracted is None for row in rows),
        "bounds": {"all_wrong": 0.81, "all_right": 0.9},
        **{"subset": None, "chance": 0.5, "published": [], "weight": 1.0, "statistics": {"accuracy": estimate}},
        "categories": categories,
        "efficiency": {
            "stages_ms": {"image_ms": 1.2, "vision_ms": 11.4, "prefill_ms": 12.5, "decode_ms": 35.0},
            "latency_ms": {"mean": 101.0, "p50": 99.0, "p90": 140.0, "p99": 149.0},
            **{"requests_per_s": 16.6, "prompt_tokens": 92.0, "new_tokens": 3.5, "wall_s": 0.06 * len(rows)},
        },
    }
    return result | changes


def write_run(
    folder: Path,
    tasks: dict[str, list[ScoredSample]],
    *,
    changes: dict[str, dict[str, Any]] | None = None,
    status: str = "complete",
    model: str = "omnilmm-small (final)",
    run_id: str = "20260523-1412-demo",
    pictures: dict[str, bytes] | None = None,
) -> Run:
    """Write a scored run and open it."""
    identity = {
        "model": {
            "adapter": "omnilmm",
            "adapter_version": "1",
            "model": model,
            "weights": "sha256:5e1f…",
            "dtype": "bfloat16",
        },
        "tasks": {name: {"spec": hashlib.sha256(name.encode()).hexdigest(), "scorer": "1"} for name in tasks},
    }
    hardware = {"cpu": "a processor", "cores": 2, "memory_gib": 8, "device": "cpu"}
    described = {
        "model": model,
        "adapter": "omnilmm",
        "parameters": 5_210_000,
        "weights": "5e1f",
        "dtype": "bf16",
        "device": "cpu",
    }
    manifest = {
        **{
            "schema_version": 1,
            "run_id": run_id,
            "status": status,
            "created": "2026-05-23T14:12:08+00:00",
        },
        "command": "run_eval.py run demo --model omnilmm --checkpoint final",
        "identity": identity,
        "environment": {"hardware": hardware, "hardware_key": "0123456789abcdef", "python": "3.11.2"},
    }
    results = {name: task_result(rows, **(changes or {}).get(name, {})) for name, rows in tasks.items()}
    values = [task["statistics"][task["headline"]]["value"] for task in results.values()]
    known = [value for value in values if value is not None]
    macro = sum(known) / len(known) if known and len(known) == len(values) else None
    ends = {} if macro is None else {"value": macro, "low": macro - 0.013, "high": macro + 0.012, "method": "delta"}
    run = Run(folder)
    run.write_manifest(manifest)
    for name, rows in tasks.items():
        write_samples(run.samples_path(name), [with_units(row) for row in rows])
    run.write_results(
        {
            **{
                "schema_version": 1,
                "run_id": manifest["run_id"],
                "model": described,
                "suite": "demo",
                "tasks": results,
            },
            "macro": ends or None,
            "efficiency": {"load_s": 1.31, "peak_host_mib": 913.5, "peak_allocated_mib": None},
        }
    )
    for sha256, data in (pictures or {}).items():
        path = folder / "thumbnails" / f"{sha256}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return open_run(folder)


def demo_run(
    folder: Path,
    *,
    count: int = 240,
    seed: int = 1,
    model: str = "omnilmm-small (final)",
    run_id: str = "20260523-1412-demo",
) -> Run:
    """A run of three tasks with pictures, in which everything happens that a report has to show."""
    colors = {"red": (213, 60, 50), "blue": (30, 100, 190), "green": (30, 150, 90)}
    pictures = {hashlib.sha256(name.encode()).hexdigest(): jpeg(color) for name, color in colors.items()}
    hashes = list(pictures)
    presence = [replace(row, image_hashes=(hashes[i % 3],)) for i, row in enumerate(mixed(count, seed=seed))]
    words = [
        sample(
            i,
            prompt="What is written in the picture?" if i % 4 else "图片里写的是什么?",
            references=("harbour", "harbor"),
            prediction=("harbour", "harbor", "a harbour with boats")[(i + seed) % 3],
            extracted=("harbour", "harbor", "a harbour with boats")[(i + seed) % 3],
            rule="",
            scores={"accuracy": (1.0, 1.0, 0.4)[(i + seed) % 3], "ned": (0.0, 0.1, 0.6)[(i + seed) % 3]},
            categories={"length": str(4 + i % 5)},
            image_hashes=(hashes[i % 3],),
        )
        for i in range(count)
    ]
    hostile = [
        sample(
            i,
            prediction=text,
            extracted=text,
            rule="",
            references=("a caption",),
            scores={"accuracy": 0.5},
            categories={},
        )
        for i, text in enumerate(HOSTILE.values())
    ]
    published = [
        {"model": "OmniLMM-3B", "value": 0.876, "source": "model card", "date": "2024-02", "protocol": "official"}
    ]
    tables: dict[str, dict[str, Any]] = {
        "shapes_presence": {"published": published},
        "words_ocr": {"title": "Words, 单词", "family": "ocr", "chance": None, "parse_failures": 0},
        "shapes_caption": {
            "title": "Captions of shape scenes",
            "family": "caption",
            "chance": None,
            "subset": "first 13",
        },
    }
    rows = {"shapes_presence": presence, "words_ocr": words, "shapes_caption": hostile}
    return write_run(folder, rows, changes=tables, pictures=pictures, model=model, run_id=run_id)
