"""The adapter keeps the contract, the metric scores, the task runs.

Run with the suite's own tests on the path, for the contract: PYTHONPATH=/path/to/omnilmm-eval/tests python -m pytest
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from adapter_contract import AdapterContract, ask, plain_picture

import run_eval
from evals.metrics import get_metric
from model_adapters import load_adapter
from model_adapters.contract import AdapterError, ModelAdapter, Request

DATA = Path(__file__).parents[1] / "data"


class TestBrightness(AdapterContract):
    honours_stop = False  # its answers are no generated text

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Callable[[], ModelAdapter]:
        return load_brightness

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return [ask(f"r{shade}", plain_picture(shade), "Bright or dark?") for shade in range(0, 250, 25)]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        return [ask("blind", "Bright or dark?")]


def load_brightness() -> ModelAdapter:
    return load_adapter("brightness")


def test_the_threshold_is_checked() -> None:
    with pytest.raises(AdapterError, match="0 to 255"):
        load_adapter("brightness", threshold=300)


def test_the_metric_gives_half_for_one_letter_off() -> None:
    metric = get_metric("near_match")
    assert metric.score_samples(["dark", "Bark", "bright", None], [["dark"]] * 4) == [1.0, 0.5, 0.0, None]
    assert metric.compute(["dark", "bark"], [["dark"]] * 2) == {"near_match": 0.75}


def test_the_task_runs_and_is_scored(tmp_path: Path) -> None:
    words = ["run", "example", "--model", "brightness", "--data-root", str(DATA), "--out", str(tmp_path / "run")]
    assert run_eval.main([*words, "--quiet"]) == 0
    task = json.loads((tmp_path / "run" / "results.json").read_text())["tasks"]["bright_or_dark"]
    assert task["statistics"]["near_match"]["value"] == 1.0
    assert (tmp_path / "run" / "report.html").exists()
