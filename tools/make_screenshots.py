#!/usr/bin/env python3
"""Screenshots of every view of the reports for the documentation, from the shipped checkpoints and published answers.

    python tools/make_screenshots.py --predictions ../shared/data/predictions [--runs runs/screenshots] [--full]

Runs are made once and used again: the demo tasks with both shipped checkpoints and one of random weights (100 samples
a task, or with --full the whole demo), and the published answers that tools/published_scores.py imports. Pictures go to
docs/assets, none larger than 250 KB. Needs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tools.browser import capture, chromium, show  # noqa: E402

ASSETS = PROJECT / "docs" / "assets"
CHECKPOINTS = PROJECT / "model_adapters" / "checkpoints"
LARGEST_BYTES = 250_000
WIDE, PHONE = 1440, 390
MATHVISTA = ("llava-llama-2-13b", "random-guess", "frequent-guess")


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: a page, the element that it begins with, and how it is looked at."""

    name: str
    page: str
    at: str = ""
    height: int = 900
    width: int = WIDE
    dark: bool = False
    fragment: str = ""


SHOTS = (
    Shot("run_report", "demo-final/report.html", height=1180),
    Shot("run_samples", "demo-final/report.html", at="#samples", height=860, fragment="#v?f=wrong"),
    Shot("run_published", "published/llava-1.5-13b/report.html", at="#published", height=620),
    Shot("run_lengths", "demo-final/report.html", at="#answers", height=820, dark=True),
    Shot("comparison_report", "comparison/comparison.html", height=1150),
    Shot("comparison_samples", "comparison/comparison.html", at="#samples", height=900, dark=True),
    Shot("comparison_steps", "steps/comparison.html", height=900),
    Shot("leaderboard", "board/leaderboard.html", height=1500),
    Shot("leaderboard_published", "published-board/leaderboard.html", height=1250),
    Shot("gate", "gate/gate.html", height=1250),
    Shot("phone_run", "demo-final/report.html", width=PHONE, height=1300),
    Shot("phone_comparison", "comparison/comparison.html", width=PHONE, height=1300, dark=True),
    Shot("phone_samples", "comparison/comparison.html", at="#samples", width=PHONE, height=1300),
    Shot("phone_leaderboard", "board/leaderboard.html", width=PHONE, height=1300, dark=True),
    Shot("phone_gate", "gate/gate.html", width=PHONE, height=1300),
)


def command(*arguments: object, allowed: tuple[int, ...] = (0,)) -> None:
    """One command of run_eval.py."""
    line = [sys.executable, str(PROJECT / "run_eval.py"), *map(str, arguments)]
    code = subprocess.run(line, cwd=PROJECT, check=False, stdout=subprocess.DEVNULL).returncode
    if code not in allowed:
        raise SystemExit(f"run_eval.py {' '.join(map(str, arguments))} ended with {code}")


def make_runs(runs: Path, predictions: Path, *, full: bool) -> None:
    """What is not there yet of the runs."""
    part = [] if full else ["--limit", 100]
    if not (runs / "random").exists():
        source = CHECKPOINTS / "small-final"
        subprocess.run(
            [sys.executable, PROJECT / "tools" / "make_weights.py", source, runs / "random"], check=True, cwd=PROJECT
        )
    for name, checkpoint, size in (
        ("demo-early", "small-early", part),
        ("demo-final", "small-final", part),
        ("checkpoint-0", runs / "random", ["--limit", 40]),
        ("checkpoint-1", "small-early", ["--limit", 40]),
        ("checkpoint-2", "small-final", ["--limit", 40]),
    ):
        if not (runs / name / "results.json").exists():
            command("run", "demo", "--checkpoint", checkpoint, *size, "--out", runs / name, "--quiet", allowed=(0, 5))
    if not (runs / "published").exists():
        tool = [sys.executable, PROJECT / "tools" / "published_scores.py", predictions, "--runs", runs / "published"]
        subprocess.run(tool, check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)


def make_pages(runs: Path) -> None:
    """The pages, always made again."""
    early, final = runs / "demo-early", runs / "demo-final"
    for run in (final, runs / "published" / "llava-1.5-13b"):
        command("report", run)
    command("compare", early, final, "--out", runs / "comparison")
    command("compare", *(runs / f"checkpoint-{number}" for number in range(3)), "--out", runs / "steps")
    command("leaderboard", early, final, "--title", "Demo", "--out", runs / "board")
    shown = [runs / "published" / name for name in MATHVISTA]
    command("leaderboard", *shown, "--title", "MathVista, published answers", "--out", runs / "published-board")
    if not (runs / "baseline").exists():
        command("baseline", "create", final, "--name", "main", "--single", "screenshots", "--out", runs / "baseline")
    command("gate", "--baseline", runs / "baseline", "--candidate", early, "--out", runs / "gate", allowed=(0, 1, 3))


def take(runs: Path) -> None:
    """All pictures, in one browser."""
    with chromium() as driver:
        for shot in SHOTS:
            show(driver, (runs / shot.page).resolve().as_uri() + shot.fragment, width=shot.width, dark=shot.dark)
            driver.implicitly_wait(10)
            driver.find_element("css selector", "main")
            if (runs / shot.page).read_bytes().count(b'id="browser"'):
                driver.find_element("css selector", ".detail h3, .detail .empty")
            place = (
                "return Math.max(document.querySelector(arguments[0]).getBoundingClientRect().top + scrollY - 16, 0)"
            )
            top = driver.execute_script(place, shot.at) if shot.at else 0
            clip = {"x": 0, "y": top, "width": shot.width, "height": shot.height, "scale": 1}
            path = capture(driver, ASSETS / f"{shot.name}.png", clip=clip)
            print(f"{path.relative_to(PROJECT)}: {shrink(path) / 1000:.0f} KB")


def shrink(path: Path) -> int:
    """Write a PNG again, with a palette only where it is too large otherwise; returns its bytes."""
    from PIL import Image

    image = Image.open(path).convert("RGB")
    for colours in (0, 256, 128, 64):
        buffer = io.BytesIO()
        reduced = image.quantize(colours, dither=Image.Dither.NONE) if colours else image
        reduced.save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LARGEST_BYTES:
            break
    path.write_bytes(buffer.getvalue())
    return buffer.tell()


def main() -> None:
    """Make runs, pages and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, required=True, help="folder of the published predictions")
    parser.add_argument("--runs", type=Path, default=Path("runs/screenshots"), help="folder for runs and pages")
    parser.add_argument("--full", action="store_true", help="the whole demo instead of 100 samples a task")
    options = parser.parse_args()
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    make_runs(runs, options.predictions.resolve(), full=options.full)
    make_pages(runs)
    take(runs)


if __name__ == "__main__":
    main()
