"""The script that makes the example leaderboard: its suite is valid, its commands parse, its adapters exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import run_eval
from evals.cli.arguments import parser
from evals.controls import model_names
from evals.spec import find_suite

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "eight_adapters"
SCRIPT = (FOLDER / "make.sh").read_text(encoding="utf-8").replace("\\\n", " ")


def test_the_suite_is_valid() -> None:
    assert run_eval.main(["validate", str(FOLDER / "suites" / "eight.yaml")]) == 0
    assert len(find_suite(str(FOLDER / "suites" / "eight.yaml")).tasks) == 4


def test_the_script_is_shell() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash on this machine")
    assert subprocess.run([bash, "-n", str(FOLDER / "make.sh")], check=False).returncode == 0


def test_every_command_parses_and_names_an_adapter_that_exists() -> None:
    commands = re.findall(r'"\$PYTHON" run_eval\.py (.*)', SCRIPT)
    commands += [f"run x {line}" for line in re.findall(r"^ask \w+ (--.*)$", SCRIPT, re.MULTILINE)]
    assert len(commands) >= 9
    for command in commands:
        words = [word for word in shlex.split(command.split(" > ")[0]) if word != "$@"]
        options = parser().parse_args(words)
        if options.command in ("run", "serve"):
            assert options.model in model_names()
    controls = re.search(r"for control in (.*?); do", SCRIPT)
    assert controls is not None
    assert set(controls[1].split()) <= set(model_names())
