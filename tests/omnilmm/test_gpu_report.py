"""The script for a day with a GPU, without one: its limits, its table, and a rehearsal with a small model."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_limits import limits_of, peaks_of
from benchmarks.gpu_report import compared, markdown, tried
from benchmarks.gpu_scenarios import SCENARIOS, Scenario, requests, small_scenarios
from benchmarks.gpu_variants import Variant, padded_heads, reached_peaks
from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.modeling import OmniLMM

PROJECT = Path(__file__).resolve().parents[2]
H200 = (790e12, 4.3e12)  # reached on one
# On an H200 by the same roofline, worked out by hand with whole layers: samples a second; a circular question is four.
BY_HAND = {
    "short answer, batch 1": 198,
    "short answer, batch 64": 486,
    "letter by likelihood, batch 64": 422,
    "caption of 30 tokens, batch 64": 384,
    "OCR of 100 tokens, batch 64": 204,
    "circular, 4 rotations": 4 * 256,
}


def scenario_of(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


@pytest.mark.parametrize("name", BY_HAND)
def test_limits_are_those_worked_out_by_hand(name: str) -> None:
    limits = limits_of(scenario_of(name), OmniLMMConfig(), torch.bfloat16, H200, whole=True)
    assert limits is not None
    assert limits.samples_per_s == pytest.approx(BY_HAND[name], rel=0.004)


def test_waiting_at_batch_1_and_questions_on_one_picture_are_those_worked_out_by_hand() -> None:
    single = limits_of(scenario_of("short answer, batch 1"), OmniLMMConfig(), torch.bfloat16, H200)
    assert single is not None
    assert single.ttft_ms == pytest.approx(2.50, abs=0.005)
    assert single.tpot_ms == pytest.approx(1.28, abs=0.005)
    pope = replace(scenario_of("18 questions on one picture"), batch=64)
    shared = limits_of(pope, OmniLMMConfig(), torch.bfloat16, H200, whole=True)
    assert shared is not None
    assert shared.samples_per_s == pytest.approx(3654, rel=0.015)  # by hand each row reads more of the shared columns
    one_forward = limits_of(replace(pope, new_tokens=1), OmniLMMConfig(), torch.bfloat16, H200, whole=True)
    assert one_forward is not None
    assert one_forward.samples_per_s == pytest.approx(4032, rel=0.001)


@pytest.mark.parametrize("scenario", SCENARIOS[2:8], ids=lambda scenario: scenario.name)
def test_what_the_engine_leaves_out_raises_its_own_limit_a_little(scenario: Scenario) -> None:
    own, whole = (limits_of(scenario, OmniLMMConfig(), torch.bfloat16, H200, whole=w) for w in (False, True))
    assert own is not None
    assert whole is not None
    assert 1.001 < own.samples_per_s / whole.samples_per_s < 1.02


def test_peaks_are_those_that_were_reached_or_else_published_ones() -> None:
    assert peaks_of("NVIDIA H200") == H200
    assert peaks_of("NVIDIA L40S") == (362e12, 864e9)
    assert peaks_of("Tesla T4") == (65e12, 320e9)  # it has no bf16
    assert peaks_of("NVIDIA GeForce 3090") is None
    assert peaks_of(None) is None
    assert limits_of(SCENARIOS[0], OmniLMMConfig(), torch.bfloat16, None) is None


@pytest.fixture(scope="module")
def small() -> OmniLMM:
    from model_adapters.omnilmm.shipped import resolve_checkpoint

    return OmniLMM.from_checkpoint(resolve_checkpoint("small-final"), dtype="float32", device="cpu")


@pytest.mark.parametrize("scenario", [SCENARIOS[0], SCENARIOS[3], *small_scenarios()[6:8]], ids=lambda s: s.name)
def test_prompts_have_the_stated_length_and_share_the_stated_beginning(small: OmniLMM, scenario: Scenario) -> None:
    from itertools import islice, takewhile

    texts = [r.turns[0].content[1] for r in islice(requests(scenario, small, 0), scenario.questions)]
    ids = [small.prompt([{"role": "user", "content": text}]).ids for text in texts]
    assert all(scenario.prompt_tokens <= len(one) <= scenario.prompt_tokens + 6 for one in ids)
    if scenario.questions > 1:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*ids[:2], strict=False)))
        assert scenario.shared_tokens <= shared <= scenario.shared_tokens + 8


@torch.inference_mode()
def test_padded_heads_are_the_same_function(small: OmniLMM) -> None:
    pixels = torch.rand(2, 3, small.config.image_size, small.config.image_size) * 2 - 1
    padded = padded_heads(small.vpm, 48)
    torch.testing.assert_close(padded(pixels), small.vpm(pixels), rtol=1e-5, atol=1e-5)
    assert {m.head_dim for m in padded.modules() if hasattr(m, "q_proj")} == {48}
    assert {m.head_dim for m in small.vpm.modules() if hasattr(m, "q_proj")} == {32}


def test_what_a_device_reaches_is_measured_or_unknown() -> None:
    found = reached_peaks(torch.device("cpu"), n=64, mib=1)
    assert found is not None
    assert min(found) > 0
    assert reached_peaks(torch.device("cpu"), n=64, mib=10**9) is None  # no machine has that much memory


def test_a_variant_that_is_not_possible_or_has_no_time_says_so() -> None:
    def broken() -> tuple[float, list[int]]:
        raise RuntimeError("no compiler\nlong story")

    def differ(a: list[int], b: list[int]) -> str:
        return f"{a} {b}"

    lines = [tried(Variant("g", "in use", "ms", lambda: (2.0, [1]), differ), [], True)]
    lines.append(tried(Variant("g", "other", "ms", lambda: (3.0, [2]), differ), lines, True))
    assert (lines[0]["ratio"], lines[1]["ratio"], lines[1]["same"]) == (None, 1.5, "[1] [2]")
    assert tried(Variant("g", "x", "ms", broken, differ), lines, True)["skipped"] == (
        "not possible here: RuntimeError: no compiler"
    )
    assert tried(Variant("g", "x", "ms", broken, differ), lines, False)["skipped"] == "skipped: no time was left"


def row(number: int, samples_per_s: float) -> dict[str, object]:
    return {
        "scenario": asdict(SCENARIOS[number]),
        "samples_per_s": samples_per_s,
        "prompt_tokens": None,
        "ttft_ms": 4.0,
        "tpot_ms": None,
        "memory_mib": None,
        "energy_j_per_sample": None,
    }


def test_the_table_compares_with_limit_and_original_way_and_keeps_what_failed() -> None:
    failed = {"scenario": row(2, 0)["scenario"], "error": "OutOfMemoryError: full"}
    rows = [row(0, 99.0), failed, row(8, 10.0)]
    compared(rows, OmniLMMConfig(), torch.bfloat16, H200)
    assert rows[0]["share_of_limit"] == pytest.approx(0.5, rel=0.01)
    assert rows[0]["times_original"] == pytest.approx(9.9)
    assert rows[2]["limit_per_s"] is None
    environment = {
        "date": "today", "device_name": "NVIDIA H200", "device": "cuda", "torch": "2", "transformers": "5",
        "dtype": "bfloat16", "parameters": 3.4e9, "load_s": 3.0, "card": {"driver": "550.54"},
        "peaks_reached_here": (780e12, 4.2e12),
    }  # fmt: skip
    variant = {"group": "g", "name": "v", "unit": "ms", "value": 2.0, "ratio": 0.5, "same": "equal", "skipped": ""}
    report = {"environment": environment, "peaks": H200, "scenarios": rows, "parity": {"check": "0 of 64"}}
    text = markdown(report | {"variants": [variant]})
    assert "| short answer, batch 1 | 99 | 197.7 | 50% | 9.9 | 4.00 (2.50) | – | – | – |" in text
    assert "driver 550.54" in text
    assert "Reached here: 780 TFLOP/s, 4,200 GB/s. Limits with 790 TFLOP/s, 4,300 GB/s." in text
    assert "| g | v | 2 ms | 0.500 | equal |" in text
    assert "OutOfMemoryError: full" in text
    assert "| check | 0 of 64 |" in text


@pytest.mark.slow
def test_the_whole_script_runs_small_without_pillow_pandas_rich_and_psutil(tmp_path: Path) -> None:
    absent = [
        "PIL",
        "pandas",
        "rich",
        "psutil",
        "sentencepiece",
        "pydantic",
        "pynvml",
        "scipy",
        "matplotlib",
        "pyarrow",
    ]
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
    assert len(report["variants"]) == 12
    assert all(entry["value"] or entry["skipped"] for entry in report["variants"])
    by_name = {(entry["group"], entry["name"]): entry for entry in report["variants"]}
    for group in ("steps: caption of 30 tokens, batch 64", "steps: decode, batch 1 (TPOT)"):
        assert by_name[group, "not recorded"]["same"].startswith("0 of ")
    assert report["environment"]["no_card"] == "the model runs on no CUDA device"
    assert (tmp_path / "gpu_report.md").read_text() in done.stdout
