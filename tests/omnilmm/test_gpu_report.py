"""The script for a day with a GPU, without one: its limits, its table, and a rehearsal with a small model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_limits import PEAKS, limit_per_s, peaks_of
from benchmarks.gpu_report import SCENARIOS, compared, markdown, small_scenarios
from model_adapters.omnilmm.config import OmniLMMConfig

PROJECT = Path(__file__).resolve().parents[2]
# Samples a second on an H200 by the same roofline, worked out by hand; a circular question is four requests.
BY_HAND = {
    "short answer, batch 1": 198,
    "short answer, batch 64": 486,
    "letter by likelihood, batch 64": 422,
    "18 questions on one picture": 3654,
    "circular, 4 rotations": 4 * 256,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_limits_are_those_worked_out_by_hand(name: str) -> None:
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    limit = limit_per_s(scenario, OmniLMMConfig(), torch.bfloat16, PEAKS["H200"])
    assert limit == pytest.approx(BY_HAND[name], rel=0.05)


def test_a_card_that_is_not_in_the_table_has_no_limit() -> None:
    assert peaks_of("NVIDIA H200") == PEAKS["H200"]
    assert peaks_of("NVIDIA L40S") == PEAKS["L40S"]
    assert peaks_of("NVIDIA GeForce 3090") is None
    assert peaks_of(None) is None
    assert limit_per_s(SCENARIOS[0], OmniLMMConfig(), torch.bfloat16, None) is None


def row(number: int, samples_per_s: float) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "scenario": asdict(SCENARIOS[number]),
        "samples_per_s": samples_per_s,
        "ttft_ms": 4.0,
        "tpot_ms": None,
        "memory_mib": None,
        "energy_j_per_sample": None,
    }


def test_the_table_compares_with_limit_and_original_way_and_keeps_what_failed() -> None:
    failed = {"scenario": row(2, 0)["scenario"], "error": "OutOfMemoryError: full"}
    rows = [row(0, 99.0), failed, row(8, 10.0)]
    compared(rows, OmniLMMConfig(), torch.bfloat16, "NVIDIA H200")
    assert rows[0]["share_of_limit"] == pytest.approx(0.5, rel=0.01)
    assert rows[0]["times_original"] == pytest.approx(9.9)
    assert rows[2]["limit_per_s"] is None
    environment = {
        "date": "today", "device_name": "NVIDIA H200", "device": "cuda", "torch": "2", "transformers": "5",
        "dtype": "bfloat16", "parameters": 3.4e9, "load_s": 3.0,
    }  # fmt: skip
    text = markdown({"environment": environment, "scenarios": rows, "parity": {"check": "0 of 64"}})
    assert "| short answer, batch 1 | 99 | 198 | 50% | 9.9 | 4.00 | – | – | – |" in text
    assert "OutOfMemoryError: full" in text
    assert "| check | 0 of 64 |" in text


@pytest.mark.slow
def test_the_whole_script_runs_small_without_pillow_pandas_rich_and_psutil(tmp_path: Path) -> None:
    absent = ["PIL", "pandas", "rich", "psutil", "sentencepiece", "pydantic"]
    script = str(PROJECT / "benchmarks" / "gpu_report.py")
    start = f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); sys.argv[0] = {script!r}; "
    start += f"runpy.run_path({script!r}, run_name='__main__')"
    options = ["--small", "--device", "cpu", "--seconds", "0.1", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", start, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "gpu_report.json").read_text())
    assert [entry["scenario"]["name"] for entry in report["scenarios"]] == [
        scenario.name for scenario in small_scenarios()
    ]
    assert all(entry["samples_per_s"] > 0 for entry in report["scenarios"])
    assert len(report["parity"]) == 5
    assert (tmp_path / "gpu_report.md").read_text() in done.stdout
