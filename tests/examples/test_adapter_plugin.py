"""The template package builds, installs beside the suite, and brings its adapter, metric, task and suite."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PLUGIN = PROJECT / "examples" / "adapter_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the package, built from a copy into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [*pip, "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(folder / "site"), str(PROJECT), str(PROJECT / "tests")])
    return {**os.environ, "PYTHONPATH": path}


def listed(installed: dict[str, str], what: str) -> set[str]:
    command = [sys.executable, "run_eval.py", "list", what, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=installed, timeout=300, check=True)
    return {next(iter(row.values())) for row in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("what", "name"),
    [("adapters", "brightness"), ("metrics", "near_match"), ("tasks", "bright_or_dark"), ("suites", "example")],
)
def test_what_the_package_brings_is_listed_beside_our_own(installed: dict[str, str], what: str, name: str) -> None:
    ours = {"adapters": "omnilmm", "metrics": "anls", "tasks": "easyvqa", "suites": "demo"}[what]
    assert {name, ours} <= listed(installed, what)


def test_its_own_tests_pass(installed: dict[str, str]) -> None:
    """They run the adapter contract, the metric, and the task from the command line to a report."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGIN / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, env=installed, cwd=PLUGIN, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_a_package_that_names_no_folder_is_told_apart(tmp_path: Path, installed: dict[str, str]) -> None:
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[omnilmm_eval.tasks]\nlost = not_there.tasks\n")
    command = [sys.executable, "run_eval.py", "list"]
    environment = {**installed, "PYTHONPATH": f"{tmp_path}{os.pathsep}{installed['PYTHONPATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment, timeout=300)
    assert done.returncode == 2
    assert "'lost'" in done.stderr
    assert "not_there.tasks" in done.stderr
