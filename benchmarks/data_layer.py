#!/usr/bin/env python3
"""What the data layer costs: opening a set, building every sample, and reading its pictures, each in a fresh process.

    python benchmarks/data_layer.py [--sizes 1 2000 20000 1000000] [--pictures 500] [--repeats 3]

Questions share 500 pictures, as in POPE and its like. Prints a Markdown table: CPU seconds (user and system, start-up
of Python and all imports included), milliseconds a sample, and the peak of resident memory. Rows are read from Parquet
with picture paths, from JSON lines with picture paths, and from a VLMEvalKit TSV whose rows share pictures by index;
the largest size is read from Parquet only. "built" makes every sample (each picture is read and hashed once);
"touched" also decodes every sample's picture, which an adapter that keeps features does once a picture.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
SEED = 20240229
LARGEST_FOR_TEXT = 100_000
COLUMNS = {"id": "index", "fields": {"question": "question", "category": "category"}}
SOURCES: dict[str, dict[str, Any]] = {
    "parquet": {"source": "table", "files": ["rows.parquet"], "image_root": "pictures"},
    "jsonl": {"source": "table", "files": ["rows.jsonl"], "image_root": "pictures"},
    "tsv": {"source": "vlmevalkit", "tsv": "rows"},
}


def make_pictures(folder: Path, count: int) -> list[bytes]:
    """JPEG pictures of about 50 kB, 448 x 336, made of seeded noise blocks."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    draw, encoded = random.Random(SEED), []
    for i in range(count):
        blocks = Image.frombytes("RGB", (112, 84), draw.randbytes(112 * 84 * 3))
        out = io.BytesIO()
        blocks.resize((448, 336), Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
        (folder / f"{i}.jpg").write_bytes(out.getvalue())
        encoded.append(out.getvalue())
    return encoded


def make_rows(folder: Path, pictures: list[bytes], size: int) -> None:
    """The same questions in each of the three layouts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    (folder / "pictures").symlink_to(folder.parent / "pictures")
    index = list(range(size))
    rows = {
        "index": [str(i) for i in index],
        "image": [f"{i % len(pictures)}.jpg" for i in index],
        "question": [f"Is there an object of kind {i} in the picture?" for i in index],
        "answer": ["yes" if i % 2 else "no" for i in index],
        "category": ["abc"[i % 3] for i in index],
    }
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    if size > LARGEST_FOR_TEXT:
        return
    with (folder / "rows.jsonl").open("w") as lines:
        for values in zip(*rows.values(), strict=True):
            lines.write(json.dumps(dict(zip(rows, values, strict=True))) + "\n")
    with (folder / "rows.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(rows)
        for i, values in enumerate(zip(*rows.values(), strict=True)):
            cell = base64.b64encode(pictures[i]).decode() if i < len(pictures) else str(i % len(pictures))
            writer.writerow([values[0], cell, *values[2:]])


def measure_here(layout: str, folder: Path, work: str) -> dict[str, float]:
    """In this process: open the set; build every sample unless ``open``; decode every picture if ``touched``."""
    from evals.data import open_dataset
    from evals.spec.build import build_stored
    from evals.spec.records import TaskSpec

    task = {"schema": 1, "name": "bench", "title": "", "version": 1, "family": "vqa", "description": ""}
    task |= {"data": SOURCES[layout], "columns": COLUMNS, "metrics": [{"name": "exact_match"}]}
    dataset = open_dataset(build_stored(TaskSpec, task), folder, folder / "cache")
    if work != "open":
        for sample in dataset:
            if work == "touched":
                sample.images[0].open()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}


def measure(layout: str, folder: Path, work: str, repeats: int) -> tuple[float, float]:
    """Smallest CPU seconds and median peak MiB of fresh processes; a first one that makes caches is not counted."""
    found = []
    for _ in range(repeats + 1):
        child = [sys.executable, __file__, "--child", layout, str(folder), work]
        done = subprocess.run(child, check=True, capture_output=True, text=True, cwd=PROJECT)
        found.append(json.loads(done.stdout))
    counted = found[1:]
    return min(run["cpu_s"] for run in counted), statistics.median(run["peak_mib"] for run in counted)


def main() -> None:
    """Make the data, measure, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="+", default=[1, 2000, 20000, 1000000])
    options.add_argument("--pictures", type=int, default=500)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--child", nargs=3, metavar=("LAYOUT", "FOLDER", "WORK"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        layout, folder, work = chosen.child
        print(json.dumps(measure_here(layout, Path(folder), work)))
        return
    print("| layout | samples | work | CPU s | ms a sample | peak MiB |\n|---|---:|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as made:
        pictures = make_pictures(Path(made) / "pictures", chosen.pictures)
        for size in chosen.sizes:
            folder = Path(made) / str(size)
            make_rows(folder, pictures, size)
            for layout in SOURCES if size <= LARGEST_FOR_TEXT else ("parquet",):
                start = 0.0
                for work in ("open", "built", "touched") if size <= LARGEST_FOR_TEXT else ("open", "built"):
                    cpu_s, peak_mib = measure(layout, folder, work, chosen.repeats)
                    start = cpu_s if work == "open" else start
                    each = "" if work == "open" else f"{1000 * (cpu_s - start) / size:.4f}"
                    print(f"| {layout} | {size:,} | {work} | {cpu_s:.2f} | {each} | {peak_mib:.0f} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    main()
