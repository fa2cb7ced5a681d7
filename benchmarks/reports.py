"""What a report costs: making it, opening it, filtering in it, and serving a run that is too large for a page.

    python benchmarks/reports.py page --samples 20000      # CPU of `report`, size, first paint, filter and search
    python benchmarks/reports.py serve --samples 1000000   # start, first page, filter, search, memory

The runs are synthetic (yes/no questions, one picture for every ten samples) and written as the harness writes them.
CPU is that of the whole process, start included. Browser times are medians of several tries in headless Chromium.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil

from evals.records import ScoredSample
from evals.samples_table import SamplesWriter
from evals.store import Run
from model_adapters.contract import Timing

ROOT = Path(__file__).resolve().parents[1]
BATCH = 4096
SHAPES = ("circle", "square", "star", "triangle")
SAMPLES_PER_PICTURE = 10
MOST_PICTURES = 2_000


def row(number: int) -> ScoredSample:
    """One row: one of twenty is wrong, one of two hundred unparsed."""
    right, read = number % 20 != 7, number % 200 != 13
    reference = "yes" if number % 2 else "no"
    said = reference if right else ("no" if number % 2 else "yes")
    shape = SHAPES[number % len(SHAPES)]
    score = float(right and read)
    return ScoredSample(
        row_id=f"sample-{number:07d}",
        group=f"sample-{number:07d}",
        content_hash=f"{number:064x}",
        cluster=f"picture-{number // SAMPLES_PER_PICTURE}",
        prompt=f"Is there a {shape} beside object {number % 1000} of the picture? Answer yes or no.",
        image_hashes=(picture_hash(number // SAMPLES_PER_PICTURE % MOST_PICTURES),),
        references=(reference,),
        prediction=f"{said.title()}, as far as this picture shows it." if read else "I cannot tell.",
        extracted=said if read else None,
        rule="yes_no_first_word" if read else "",
        scores={"accuracy": score},
        units={"accuracy": (score, 1.0)},
        categories={"shape": shape},
        timing=Timing(1.2, 8.0 + number % 7, 12.5, 30.0 + number % 11, 60.0 + number * 37 % 9973 / 100, 4, None, None),
        prompt_tokens=92,
        new_tokens=4 + number % 5,
    )


def picture_hash(number: int) -> str:
    """The name that picture ``number`` is stored under."""
    return hashlib.sha256(b"picture %d" % number).hexdigest()


def write_run(folder: Path, samples: int) -> Run:
    """A run of one task on disk."""
    run = Run(folder)
    with SamplesWriter(run.samples_path("presence"), ["accuracy"], ["shape"]) as writer:
        for start in range(0, samples, BATCH):
            writer.write([row(number) for number in range(start, min(start + BATCH, samples))])
    write_pictures(folder / "thumbnails", min(samples // SAMPLES_PER_PICTURE + 1, MOST_PICTURES))
    model = {"model": "benchmark", "adapter": "null", "dtype": "float32", "device": "cpu", "parameters": 3_000_000}
    identity = {"model": model, "tasks": {"presence": {"task": {"preset": "default"}}}}
    head = {"schema_version": 1, "run_id": "benchmark"}
    run.write_manifest(head | {"status": "complete", "created": "2026-01-01T00:00:00+00:00", "identity": identity})
    results = head | {"model": model, "suite": None, "macro": None, "efficiency": {"peak_host_mib": 100.0}}
    run.write_results(results | {"tasks": {"presence": task_results(samples)}})
    return run


def task_results(samples: int) -> dict[str, Any]:
    """The numbers beside the rows; only their shape matters here."""
    estimate = {
        **{"value": 0.945, "low": 0.94, "high": 0.95, "se": 0.0025, "method": "cluster_t"},
        **{"n_units": samples, "n_clusters": samples // SAMPLES_PER_PICTURE, "few_clusters": False},
        **{"scale": [0.0, 1.0], "higher_is_better": True, "combine": "ratio"},
    }
    shares = {shape: {"n": samples // 4, "value": 0.94, "low": 0.93, "high": 0.95} for shape in SHAPES}
    return {
        **{"title": "Presence", "family": "yes_no", "metric": "accuracy", "headline": "accuracy"},
        **{"n": samples, "n_requests": samples, "n_scored": samples, "n_errors": 0, "coverage": 1.0},
        **{"parse_failures": samples // 200, "bounds": {"all_wrong": 0.94, "all_right": 0.95}, "subset": None},
        **{"chance": 0.5, "weight": 1.0, "published": [], "statistics": {"accuracy": estimate}},
        **{"categories": {"shape": shares}, "efficiency": {}},
    }


def write_pictures(folder: Path, count: int) -> None:
    """Stored pictures, as the runner keeps them."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = Image.new("RGB", (160, 160), (250, 250, 246))
        place = 20 + number % 90
        ImageDraw.Draw(image).ellipse((place, place, place + 40, place + 40), fill=(number % 255, 90, 160))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        (folder / f"{picture_hash(number)}.jpg").write_bytes(buffer.getvalue())


def measure_page(run: Run, tries: int) -> dict[str, Any]:
    """`report`, and its page in a browser."""
    costs = []
    for _ in range(tries):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, ROOT / "run_eval.py", "report", run.path], check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    page = run.path / "report.html"
    found = {"report_cpu_s": min(costs), "page_mb": page.stat().st_size / 1e6, "peak_mib": after.ru_maxrss / 1024}
    return found | measure_browser(page.as_uri(), tries)


PRESS = """
const [value, done] = [arguments[0], arguments[1]];
const button = document.querySelector(`.states button[value='${value}']`);
const start = performance.now();
const wait = () => requestAnimationFrame(() =>
  button.getAttribute("aria-pressed") === "true" ? done(performance.now() - start) : wait());
button.click();
wait();
"""
SEARCH = """
const [text, done] = [arguments[0], arguments[1]];
const [box, range] = [document.querySelector(".controls input"), document.querySelector(".pager span")];
const [start, before] = [performance.now(), range.textContent];
const wait = () => requestAnimationFrame(() =>
  range.textContent !== before ? done(performance.now() - start) : wait());
box.value = text;
box.dispatchEvent(new Event("input"));
wait();
"""


def measure_browser(address: str, tries: int) -> dict[str, Any]:
    """First paint, when the samples stand, and what a filter and a search (with its pause for typing) take."""
    from tools.browser import chromium, show

    found: dict[str, list[float]] = {}
    with chromium() as driver:
        for number in range(tries):
            show(driver, address, width=1440)
            wait_for = "return (performance.getEntriesByName('samples-ready')[0] || {}).startTime"
            while (ready := driver.execute_script(wait_for)) is None:
                time.sleep(0.05)
            paint = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
            found.setdefault("first_paint_ms", []).append(driver.execute_script(paint))
            found.setdefault("samples_ready_ms", []).append(ready)
            found.setdefault("filter_ms", []).append(driver.execute_async_script(PRESS, "wrong"))
            found.setdefault("filter_again_ms", []).append(driver.execute_async_script(PRESS, "all"))
            found.setdefault("search_ms", []).append(driver.execute_async_script(SEARCH, f"object 12{number} "))
    return {name: median(values) for name, values in found.items()}


def measure_serve(run: Run) -> dict[str, Any]:
    """A served run: how soon it answers, and whether its memory grows."""
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "run_eval.py"), "report", str(run.path), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            address = re.search(r"http://\S+", server.stdout.readline())[0]  # type: ignore[index]
            process = psutil.Process(server.pid)
            found = {"start_s": time.perf_counter() - start, "start_cpu_s": _cpu_s(process)}
            found |= dict(_asked(address, process))
            found |= {f"browser_{key}": value for key, value in measure_browser(address, 3).items()}
        finally:
            server.terminate()
    return found


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _asked(address: str, process: psutil.Process) -> Iterator[tuple[str, float]]:
    """Wall and CPU time of each kind of question (the wall time of a busy machine says little), and the memory."""

    def ask(path: str, **parameters: Any) -> None:
        with urlopen(f"{address}{path}?{urlencode(parameters)}") as reply:
            reply.read()

    questions: dict[str, tuple[str, dict[str, Any]]] = {
        "page": ("", {}),
        "first_samples": ("api/samples", {}),
        "filters": ("api/filters", {}),
        "categories": ("api/categories", {}),
        "wrong": ("api/samples", {"show": "wrong"}),
        "search": ("api/samples", {"text": "object 123 "}),
        "last_page": ("api/samples", {"at": 10**12 - 1}),
    }
    for name, (path, parameters) in questions.items():
        start, cpu = time.perf_counter(), _cpu_s(process)
        ask(path, **parameters)
        yield f"{name}_ms", 1000 * (time.perf_counter() - start)
        yield f"{name}_cpu_ms", 1000 * (_cpu_s(process) - cpu)
        if name in ("first_samples", "search"):
            yield f"rss_after_{name}_mib", process.memory_info().rss / 2**20
    total = int(json.loads(urlopen(f"{address}api/filters").read())[0][1])
    for number in range(500):
        ask("api/samples", at=number * 7919 % total)
    yield "rss_after_500_pages_mib", process.memory_info().rss / 2**20


def main() -> None:
    """Measure and print as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=("page", "serve"))
    arguments.add_argument("--samples", type=int, default=20_000)
    arguments.add_argument("--tries", type=int, default=3)
    arguments.add_argument("--keep", type=Path, help="folder for the run, used again where it is there")
    options = arguments.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "run"
        run = Run(folder) if (folder / "results.json").exists() else write_run(folder, options.samples)
        found = measure_page(run, options.tries) if options.what == "page" else measure_serve(run)
    print(json.dumps({"samples": options.samples} | {k: round(v, 2) for k, v in found.items()}, indent=1))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
