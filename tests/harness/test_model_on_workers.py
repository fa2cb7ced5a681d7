"""The shipped model on two workers: the results of one process, in fp32."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_adapters import results_without_times

import run_eval


@pytest.mark.slow
def test_the_shipped_model_on_two_workers_gives_the_results_of_one_process(tmp_path: Path) -> None:
    common = ["run", "demo", "--limit", "12", "--checkpoint", "small-final", "--device", "cpu", "--dtype", "float32"]
    common += ["--cache-dir", str(tmp_path / "cache"), "--no-report", "--quiet"]
    assert run_eval.main([*common, "--out", str(tmp_path / "one" / "run")]) == 0
    assert run_eval.main([*common, "--workers", "2", "--out", str(tmp_path / "two" / "run")]) == 0
    results = [results_without_times(tmp_path / name / "run" / "results.json") for name in ("one", "two")]
    assert results[0] == results[1]
    assert '"n": 12' in results[0]
