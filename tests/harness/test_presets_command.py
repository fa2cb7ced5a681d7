"""`presets`, `plan`'s time and `write-tsv`: one task under several protocols, an estimate, and its samples as a TSV."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import run_eval
from evals.estimate import earlier_rates
from evals.runner import Item
from evals.sensitivity import run_presets
from evals.spec import find_task
from evals.store import open_run
from tests.harness.scripted_adapters import Roomy
from tests.harness.small_tasks import SmallTask, choice_task, small_task

PRESETS = {
    "terse": {"prompt": {"template": "{question} One word."}},
    "long": {"prompt": {"template": "Please look closely. {question}"}, "generation": {"max_new_tokens": 3}},
}


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path / "task", presets=PRESETS)


def call(task: SmallTask, command: str, *more: object) -> int:
    options = [command, task.yaml, "--data-root", task.folder, "--cache-dir", task.folder / "cache", *more]
    return run_eval.main([str(option) for option in options])


def presets(task: SmallTask, out: Path, *more: object) -> int:
    return call(task, "presets", "--model", "null", "--out", out, "--quiet", "--no-report", "--json", *more)


def scores(text: str) -> dict[str, Any]:
    return {row["preset"]: row for row in json.loads(text)["scores"]}


def test_each_preset_is_a_run_and_is_paired_with_the_first(
    task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert presets(task, tmp_path / "out") == 0
    found = scores(capsys.readouterr().out)
    assert list(found) == ["default", "terse", "long"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{task.name}-{preset}" for preset in found}
    assert found["default"]["difference"] is None
    for preset in ("terse", "long"):
        assert found[preset]["difference"] == found[preset]["value"] - found["default"]["value"]
        assert 0 <= found[preset]["agreement"] <= 1


def test_workers_give_the_same_scores_and_make_each_run(
    task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert presets(task, tmp_path / "one", "--presets", "default,terse") == 0
    one = scores(capsys.readouterr().out)
    assert presets(task, tmp_path / "two", "--presets", "default,terse", "--workers", 2) == 0
    assert scores(capsys.readouterr().out) == one
    for preset in ("default", "terse"):
        (session,) = open_run(tmp_path / "two" / f"{task.name}-{preset}").manifest["sessions"]
        assert (session["executor"], session["workers"]) == ("workers", 2)


def test_a_preset_asked_after_memory_was_full_says_so(task: SmallTask, tmp_path: Path) -> None:
    adapter = Roomy(2, 4)
    items = tuple(Item(find_task(str(task.yaml), preset), preset) for preset in ("default", "terse"))
    found = run_presets(replace(task.job(None), items=items), tmp_path / "out", lambda: adapter)
    assert found.exit_code == 0
    halved = [
        open_run(tmp_path / "out" / f"{task.name}-{preset}").results["tasks"][task.name]["batch_halved"]
        for preset in ("default", "terse")
    ]
    assert [[(h["answered"], h["batch_size"]) for h in one] for one in halved] == [[(0, 2)], [(0, 2)]]


def test_the_same_command_asks_nothing_again(
    task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    presets(task, tmp_path / "out", "--presets", "terse,default")
    first = capsys.readouterr()
    presets(task, tmp_path / "out", "--presets", "terse,default")
    second = capsys.readouterr()
    assert list(scores(first.out)) == ["terse", "default"]
    assert scores(first.out) == scores(second.out)
    assert second.err.count("12 answers were there already and were not asked again") == 2


def test_protocols_that_count_other_units_get_a_score_and_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    circular = {"protocol": "circular", "metrics": [{"name": "circular"}]}
    multiple = choice_task(tmp_path / "task", protocol="vanilla", presets={"circular": circular})
    assert presets(multiple, tmp_path / "out") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["statistic"], row["difference"]) for row in found["scores"]] == [
        ("accuracy", None),
        ("circular", None),
    ]
    assert found["spread"] == {multiple.name: None}


@pytest.mark.parametrize(
    ("wanted", "message"), [("tersse,default", "Did you mean 'terse'"), ("terse", "a comparison needs two")]
)
def test_a_preset_that_is_not_there_is_found_before_anything_runs(
    task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: str, message: str
) -> None:
    assert presets(task, tmp_path / "out", "--presets", wanted) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_plan_says_how_long_the_newest_earlier_run_would_have_taken(
    task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(task, "plan", "--runs-dir", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["estimated_s"] is None
    presets(task, tmp_path / "out", "--presets", "terse,default")
    capsys.readouterr()
    (tmp_path / "out" / "broken").mkdir()
    (tmp_path / "out" / "broken" / "results.json").write_text("{")
    rate = earlier_rates(tmp_path / "out")[task.name]
    assert call(task, "plan", "--runs-dir", tmp_path / "out", "--json") == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["estimated_s"] == row["requests"] / rate.requests_per_s
    assert row["estimated_from"].startswith(rate.run_id)


def test_a_task_written_as_a_tsv_is_read_back_as_a_task(
    task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "LMUData"
    root.mkdir()
    assert call(task, "write-tsv", "--limit", "8", "--out", root / "Colours.tsv") == 0
    spec = json.loads(task.yaml.read_text())
    copy = spec | {
        "name": "colours_tsv",
        "data": {"source": "vlmevalkit", "tsv": "Colours"},
        "columns": {"id": "index", "fields": {"question": "question", "kind": "kind"}},
    }
    path = tmp_path / "colours_tsv.yaml"
    path.write_text(json.dumps(copy))
    capsys.readouterr()
    code = run_eval.main(["plan", str(path), "--data-root", str(root), "--cache-dir", str(tmp_path / "c"), "--json"])
    assert code == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["samples"], row["images"]) == (8, 4)
