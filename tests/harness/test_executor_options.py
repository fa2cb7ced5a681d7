"""What the command line takes and refuses about workers, Ray and shards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small_tasks import SmallTask, small_task

import run_eval

pytestmark = pytest.mark.usefixtures("adapters")


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path)


def run(task: SmallTask, *more: str) -> int:
    place = ["--data-root", str(task.folder), "--out", str(task.folder / "run"), "--quiet"]
    return run_eval.main(["run", str(task.yaml), "--model", "scripted", *place, *more])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "error: --workers 0: at least one worker is needed"),
        (["--workers", "-2"], "error: --workers -2: at least one worker"),
        (["--executor", "in-process", "--workers", "2"], "error: --executor in-process has no workers"),
        (["--workers", "2", "--address", "head:6379"], "error: --address is a Ray cluster's"),
        (["--shard", "3/3"], "error: --shard 3/3: shards are numbered from 0, so of 3 the last one is 2/3"),
        (["--shard", "half"], "error: --shard half: expected I/N"),
        (["--shard", "0/2", "--new"], "error: --new and --shard exclude each other"),
        (["--model", "chance", "--workers", "2"], "error: The control 'chance' answers from a task's references"),
        (["--model", "scripte", "--workers", "2"], "error: Unknown adapter 'scripte'. Did you mean 'scripted'?"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    task: SmallTask, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(task, *options) == 2
    assert message in capsys.readouterr().err
    assert not (task.folder / "run").exists()


def test_rank_without_world_size_is_refused(
    task: SmallTask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "0")
    assert run(task, "--shard", "env") == 2
    assert "RANK is set but WORLD_SIZE is not" in capsys.readouterr().err


def test_without_ray_the_line_that_installs_it_is_said(
    task: SmallTask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(task, "--executor", "ray") == 2
    assert 'pip install "ray>=2.40,<3"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "message"),
    [("127.0.0.1:9", "error: No Ray cluster at 127.0.0.1:9"), ("head", "error: --address head: expected HOST:PORT")],
)
def test_an_address_where_no_cluster_is_ends_with_one_paragraph(
    task: SmallTask, capsys: pytest.CaptureFixture[str], address: str, message: str
) -> None:
    assert run(task, "--executor", "ray", "--address", address) == 2
    assert message in capsys.readouterr().err


def test_shards_and_merge_from_the_command_line(task: SmallTask, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(2):
        assert run(task, "--shard", f"{index}/2") == 0
    assert "shard 1 of 2: complete" in capsys.readouterr().err
    shards = [str(task.folder / f"run-shard-{index}-of-2") for index in range(2)]
    assert run_eval.main(["merge", shards[0], "--out", str(task.folder / "run")]) == 2
    assert "A single run needs no merge" in capsys.readouterr().err
    assert run_eval.main(["merge", *shards, "--out", str(task.folder / "run")]) == 0
    out, err = capsys.readouterr()
    assert "colours: 12 of 12 answers" in err
    assert "exact_match" in out
    assert (task.folder / "run" / "report.html").exists()
