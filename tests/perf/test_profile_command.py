"""`profile` as a user calls it: real processes, an adapter from another package, files, verdicts and exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import run_eval
from evals.errors import StoreError
from evals.perf.metrics import METRICS
from evals.perf.stored import open_profile
from evals.perf.worker import read_outcome

PROJECT = Path(__file__).resolve().parents[2]
SHORT = ("--scenario", "short-answer", "--seconds", "0.1", "--quick")


def call(*arguments: object, sleepy: Path | None = None) -> subprocess.CompletedProcess[str]:
    paths = [str(path) for path in (sleepy, os.environ.get("PYTHONPATH")) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(PROJECT / "run_eval.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=PROJECT, timeout=300)


@pytest.fixture(scope="module")
def profiled(sleepy, tmp_path_factory):
    """Two processes of the sleepy adapter at batch 1 and 4."""
    out = tmp_path_factory.mktemp("profiled") / "p"
    done = call(
        *("profile", "--model", "sleepy", "--batch", "1,4", "--repeats", "2", "--out", out, *SHORT), sleepy=sleepy
    )
    assert done.returncode == 0, done.stderr
    return out, done


def test_it_reports_what_the_adapter_took(profiled):
    out, done = profiled
    document = json.loads((out / "profile.json").read_text())
    [single, offline] = document["cases"]
    assert (single["name"], offline["name"]) == ("short-answer b1", "short-answer b4")
    metrics = single["metrics"]
    # sleeping never ends early; how late it ends is the machine's affair
    assert metrics["ttft_ms"]["value"] >= 60
    assert metrics["tpot_ms"]["value"] >= 30
    assert metrics["e2e_ms"]["value"] >= 120
    assert metrics["tokens_per_s"]["value"] <= 3 / 0.120
    assert len(metrics["e2e_ms"]["replicates"]) == 2
    assert metrics["e2e_ms"]["interval_over"] == "processes"
    assert offline["notes"][0].startswith("the adapter forms batches of its own")
    assert "short-answer b1" in done.stdout


def test_gpu_numbers_of_a_processor_are_null_with_the_reason(profiled):
    document = json.loads((profiled[0] / "profile.json").read_text())
    for tag in ("energy_j_per_request", "peak_allocated_mib", "sm_clock_mhz"):
        found = document["cases"][0]["metrics"][tag]
        assert (found["value"], found["reason"]) == (None, "the model runs on cpu")
    assert document["peaks"] is None
    assert document["environment"]["before"]["card"] is None


def test_raw_times_are_kept_and_give_the_same_numbers_again(profiled):
    out, _ = profiled
    document = json.loads((out / "profile.json").read_text())
    for replicate in document["replicates"]:
        record = read_outcome(out / replicate["raw"]).record
        assert record.started == replicate["started"]
        times = sorted(r.done_ns - r.submit_ns for r in record.cases[0].latency.requests)
        middle = (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2e6
        assert document["cases"][0]["metrics"]["e2e_ms"]["replicates"][replicate["index"]] == pytest.approx(middle)


def test_the_report_and_its_figures_are_written(profiled):
    out, done = profiled
    assert f"report: {out / 'profile.html'}" in done.stderr
    text = (out / "profile.md").read_text()
    assert "| short-answer b1 |" in text
    assert "the model runs on cpu" in text
    figures = re.findall(r"\]\((\w+\.svg)\)", text)
    assert {"latency_batch.svg", "throughput_latency.svg"} <= set(figures)
    assert all((out / name).read_text().lstrip().startswith("<?xml") for name in figures)


def test_every_key_of_the_document_is_explained(profiled):
    """docs/profile.md names each key, and no key that is not there."""
    document = json.loads((profiled[0] / "profile.json").read_text())
    page = (PROJECT / "docs" / "profile.md").read_text()
    section = page.partition("## profile.json")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| `([\w.]+)`", section, re.MULTILINE))
    top = set(document)
    case = {f"cases.{key}" for key in document["cases"][0]}
    summary = {f"summary.{key}" for key in document["cases"][0]["metrics"]["e2e_ms"]}
    flag = {"flags.severity", "flags.kind", "flags.detail", "flags.replicates"}
    assert explained == top | case | summary | flag


def test_every_metric_is_in_the_documentation():
    page = (PROJECT / "docs" / "profile.md").read_text()
    assert {tag for tag in METRICS if f"`{tag}`" not in page} == set()


def test_a_folder_with_a_profile_is_not_overwritten(profiled, capsys):
    assert run_eval.main(["profile", "--model", "null", "--out", str(profiled[0]), *SHORT]) == 2
    assert "already holds a profile" in capsys.readouterr().err


def test_a_profile_stored_as_the_speed_of_this_machine_is_found_by_the_gate(profiled, tmp_path, capsys):
    """Two processes are too few to judge by, which is said; never green."""
    made, folder = str(profiled[0]), str(tmp_path)
    assert run_eval.main(["baseline", "speed", made, "--out", folder]) == 0
    code = run_eval.main(["gate", "--perf", "--baseline", folder, "--candidate", made, "--out", f"{folder}/gate"])
    assert (code, "at least 10 are needed" in capsys.readouterr().out) == (3, True)


@pytest.mark.slow
def test_a_model_slower_by_a_tenth_fails_against_itself(sleepy, tmp_path, capsys):
    options = ("--model", "sleepy", "-o", "factor=1.1", "--against=-o factor=1.0", "--repeats", "4", "--batch", "1")
    done = call("profile", *options, "--out", tmp_path / "p", *SHORT, sleepy=sleepy)
    verdict = json.loads((tmp_path / "p" / "verdict.json").read_text())
    assert (done.returncode, verdict["outcome"]) == (1, "FAIL"), done.stdout + done.stderr
    sides = ["--baseline", str(tmp_path / "p/baseline"), "--candidate", str(tmp_path / "p/candidate")]
    assert run_eval.main(["gate", "--perf", *sides, "--out", str(tmp_path / "gate")]) == 1
    assert "slower by" in capsys.readouterr().out


def test_two_sides_take_turns_and_get_a_verdict(sleepy, tmp_path):
    """Three pairs of very short passes: how it ends is the machine's affair, not whether."""
    options = ("--model", "sleepy", "-o", "factor=1.1", "--against=-o factor=1.0", "--repeats", "3", "--batch", "1")
    done = call("profile", *options, "--out", tmp_path / "p", *SHORT, sleepy=sleepy)
    verdict = json.loads((tmp_path / "p" / "verdict.json").read_text())
    assert done.returncode == verdict["exit_code"] == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}[verdict["outcome"]]
    assert {finding["quantity"] for finding in verdict["findings"]} == {
        "short-answer b1 ttft_ms",
        "short-answer b1 tpot_ms",
        "short-answer b1 e2e_ms",
    }
    started = {
        side: [r["started"] for r in open_profile(tmp_path / "p" / side).document["replicates"]]
        for side in ("baseline", "candidate")
    }
    order = "".join(
        side for _, side in sorted([(t, "A") for t in started["baseline"]] + [(t, "B") for t in started["candidate"]])
    )
    assert order == "ABBAAB"
    documents = [open_profile(tmp_path / "p" / side).document for side in ("baseline", "candidate")]
    assert [document["options"]["factor"] for document in documents] == ["1.0", "1.1"]


def test_the_baseline_is_measured_by_the_other_checkouts_code(tmp_path):
    """Even where this checkout is the working folder."""
    base = tmp_path / "base"
    for room in ("evals", "model_adapters"):
        shutil.copytree(
            PROJECT / room, base / room, ignore=shutil.ignore_patterns("__pycache__", "checkpoints", "*.safetensors")
        )
    conditions = base / "evals" / "perf" / "conditions.py"
    conditions.write_text(conditions.read_text().replace('"container": _in_container()', '"container": "base"'))
    out = tmp_path / "p"
    done = call("profile", "--model", "null", "--repeats", "1", "--against-code", base, "--out", out, *SHORT)
    assert done.returncode == 3, done.stderr  # one pair is too few to judge by
    sides = {side: open_profile(out / side).document for side in ("baseline", "candidate")}
    assert sides["baseline"]["environment"]["before"]["container"] == "base"
    assert sides["candidate"]["environment"]["before"]["container"] != "base"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scenario", "captoin"), "Did you mean 'caption'"),
        (("--batch", "x"), "whole numbers"),
        (("--batch", "0"), "at least 1"),
        (("--repeats", "0"), "at least 1"),
        (("--seconds", "-1"), "more than 0"),
        (("--beams", "0"), "at least 1"),
        (("--against=--nonsense",), "--against: unrecognized arguments"),
        (("--against-code", "/nowhere"), "no checkout of this program"),
        (("--task", "nothing_like_this"), "nothing_like_this"),
    ],
)
def test_wrong_options_are_said_in_a_sentence(arguments, said, tmp_path, capsys):
    code = run_eval.main(["profile", "--model", "null", "--quick", "--out", str(tmp_path / "p"), *arguments])
    assert code == 2
    assert said in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_an_error(tmp_path, capfd):
    code = run_eval.main(["profile", "--device", "cuda:7", "--quick", "--out", str(tmp_path / "p")])
    assert code == 2
    assert "'cuda:7' was asked for" in capfd.readouterr().err
    assert not (tmp_path / "p" / "profile.json").exists()


def test_an_interrupted_profile_says_that_it_begins_anew(sleepy, tmp_path):
    """Ctrl-C reaches the measuring process, too, which has nothing to add."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(sleepy), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(PROJECT / "run_eval.py"), "profile", "--model", "sleepy", *SHORT, "--seconds", "60"]
    log = tmp_path / "stderr"
    with log.open("wb") as stderr:
        # Tests that a shell runs in the background ignore Ctrl-C, and so would what they start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path / "p")],
            stderr=stderr,
            env=environment,
            cwd=PROJECT,
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, before)
        while "short-answer b1 ..." not in log.read_text() and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    said = log.read_text()
    assert "Interrupted. There is no profile yet" in said
    assert "Traceback" not in said
    assert not (tmp_path / "p" / "profile.json").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "out_of_memory=true",
            "Out of memory while the model was loaded: CUDA out of memory. Tried to allocate 5.00 GiB",
        ),
        ("dies=true", "ended with code 9 and left no record"),
    ],
)
def test_a_model_that_does_not_load_says_why(option, said, sleepy, tmp_path):
    done = call("profile", "--model", "sleepy", "-o", option, "--out", tmp_path / "p", *SHORT, sleepy=sleepy)
    assert done.returncode == 2
    assert said in done.stderr


def test_plan_says_what_fits_without_loading(capsys):
    assert run_eval.main(["profile", "--plan", "--device", "cpu", "--batch", "1,64", "--json"]) == 0
    fit = json.loads(capsys.readouterr().out)
    assert fit["largest_batch"] > 64
    assert set(fit["batch_mib"]) == {"1", "64"}
    assert run_eval.main(["profile", "--plan", "--model", "null"]) == 0
    assert "does not say what memory it needs" in capsys.readouterr().out


def test_what_is_no_profile_is_refused(tmp_path):
    (tmp_path / "profile.json").write_text('{"schema_version": 2, "kind": "profile"}')
    with pytest.raises(StoreError, match="schema version"):
        open_profile(tmp_path)
    (tmp_path / "profile.json").write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        open_profile(tmp_path)
    with pytest.raises(StoreError, match="Give a folder"):
        open_profile(tmp_path / "none")


def test_the_real_model_is_measured_on_a_scenario_and_on_a_tasks_own_questions(tmp_path):
    """Stages, roofline and trace of the small OmniLMM; a batch larger than the task is left out, and said."""
    out = tmp_path / "p"
    options = ("--task", "easyvqa", "--limit", "4", "--batch", "1,8", "--device", "cpu", "--trace", "--memory-snapshot")
    done = call("profile", *SHORT, *options, "--out", out)
    assert done.returncode == 0, done.stderr
    cases = {case["name"]: case for case in json.loads((out / "profile.json").read_text())["cases"]}
    assert set(cases) == {"short-answer b1", "short-answer b8", "task easyvqa b1", "task easyvqa b8"}
    for name in ("short-answer b8", "task easyvqa b1"):
        for stage in ("image_decode", "resize", "h2d", "vision", "resampler", "prefill", "decode"):
            assert cases[name]["metrics"][f"{stage}_ms"]["value"] > 0
        assert cases[name]["metrics"]["ttft_ms"]["value"] < cases[name]["metrics"]["e2e_ms"]["value"]
    assert cases["task easyvqa b8"]["skipped"] == "a batch of 8 is larger than the task's 4 requests"
    assert "share pictures" in cases["task easyvqa b1"]["metrics"]["mfu_prefill"]["reason"]
    for name in ("short-answer b1", "short-answer b8"):  # the formula is held against torch's counter at batch 1
        points = {point["stage"]: point for point in cases[name]["roofline"]}
        assert set(points) == {"vision", "prefill", "decode"}
        assert points["decode"]["intensity"] < points["prefill"]["intensity"]
        assert "no published peak of this processor" in cases[name]["metrics"]["mfu_prefill"]["reason"]
    assert json.loads((out / "traces" / "trace.json").read_text())["traceEvents"]
    assert "only the CUDA allocator keeps a history" in done.stderr
    assert (out / "stages.svg").exists()
    assert (out / "roofline.svg").exists()
