"""Tasks and suites of the user's own, beside each other in any folder, are as good as those of the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import run_eval
from evals.errors import SpecError
from evals.spec import find_suite, find_task
from evals.store import open_run

TASK = """\
schema: 1
version: 1
name: {name}
title: 我的 {name}
family: vqa
description: 中文。
data: {{source: table, files: [题.tsv]}}
columns: {{id: 编号, images: [], references: 答案, fields: {{question: 问题}}}}
metrics: [{{name: exact_match, options: {{normalise: [nfkc]}}}}]
"""
SUITE = """\
schema: 1
name: 套件
title: 套件
description: 两个任务
tasks:
  - {{task: {one}, weight: 3, limit: 2}}
  - {{task: ../任务/乙.yaml}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with blanks and Chinese letters that holds tasks, a suite and data."""
    root = tmp_path / "我 的"
    for folder in ("任务", "suites", "data"):
        (root / folder).mkdir(parents=True)
    for name in ("甲", "乙"):
        (root / "任务" / f"{name}.yaml").write_text(TASK.format(name=name), encoding="utf-8")
    (root / "suites" / "套件.yaml").write_text(SUITE.format(one="../任务/甲.yaml"), encoding="utf-8")
    rows = ["编号\t问题\t答案", "题 1\t几？\t１２", "题 2\t几？\t12", "题 3\t谁？\tＡ"]
    (root / "data" / "题.tsv").write_bytes(("\ufeff" + "\r\n".join(rows) + "\r\n").encode())
    return root


def run(*arguments: object) -> int:
    return run_eval.main([str(argument) for argument in arguments])


def test_a_suite_of_own_tasks_is_run_ranked_and_gated(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite, data = place / "suites" / "套件.yaml", ("--data-root", place / "data")
    assert run("validate", suite) == 0
    for name in ("一", "二"):
        out = place / name
        assert run("run", suite, *data, "--model", "oracle", "--out", out, "--no-report", "--quiet") == 0
    results = open_run(place / "一").results
    assert results["suite"] == "套件"
    assert {task: (found["n"], found["weight"]) for task, found in results["tasks"].items()} == {
        "甲": (2, 3),
        "乙": (3, 1),
    }
    capsys.readouterr()
    assert run("leaderboard", place / "一", place / "二", "--suite", suite, "--json") == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    assert [(column["task"], column["weight"]) for column in columns] == [("甲", 3), ("乙", 1)]
    baseline = ("baseline", "create", place / "一", place / "二", "--name", "基线", "--out", place / "基线")
    assert run(*baseline, "--margin", "丙=0.05") == 2
    assert "'丙' is no margin, and no task of the baseline" in capsys.readouterr().err
    for value in ("nan", "inf", "-0.1", "viel"):
        assert run(*baseline, "--margin", f"甲={value}") == 2
    assert not (place / "基线").exists()
    assert run(*baseline, "--margin", "甲=0.9", "--margin", "macro=0.95") == 0
    assert run("gate", "--baseline", place / "基线", "--candidate", place / "二") in (0, 3)


def test_a_plan_names_what_is_missing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = ("--cache-dir", place / "cache")
    assert run("plan", place / "任务" / "甲.yaml", "pope", "--data-root", place / "data", *cache, "--json") == 0
    found = {entry["task"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["甲"]["samples"] == 3
    assert found["pope"]["missing"]
    assert run("plan", "pope", "--data-root", place / "data", *cache) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ("../任务/丙.yaml", r"套件\.yaml:6: there is no task file '\.\./任务/丙\.yaml'"),
        ("甲", r"unknown task '甲'.*by the path of its YAML file"),
        ("../任务/乙.yaml", "a task is listed twice"),
    ],
)
def test_a_suite_that_names_no_task_says_how(place: Path, one: str, message: str) -> None:
    suite = place / "suites" / "套件.yaml"
    suite.write_text(SUITE.format(one=one), encoding="utf-8")
    with pytest.raises(SpecError, match=f"(?s){message}"):
        find_suite(str(suite))


def test_a_suite_may_lie_in_any_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is known by the tasks that it lists."""
    (place / "suites" / "套件.yaml").rename(place / "任务" / "套件.yaml")
    suite, data = place / "任务" / "套件.yaml", ("--data-root", place / "data")
    assert run("validate", suite, place / "任务" / "甲.yaml") == 0
    assert run("plan", suite, *data, "--json") == 0
    assert [entry["task"] for entry in json.loads(capsys.readouterr().out.partition("\n")[2])] == ["甲", "乙"]
    assert run("validate", place / "任务" / "丙.yaml") == 2


def test_a_suite_is_the_same_from_any_working_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "data")
    suite = find_suite("../suites/套件.yaml")
    assert [entry.name for entry in suite.tasks] == ["甲", "乙"]
    assert [find_task(entry.task).title for entry in suite.tasks] == ["我的 甲", "我的 乙"]
