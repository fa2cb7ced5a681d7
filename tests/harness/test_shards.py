"""Static shards: parts that cover the plan, what a launcher's variables say, and the joining of shards into one run."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_adapters import Scripted, results_without_times
from small_tasks import SmallTask, choice_task, job_of, small_task

from evals.errors import SpecError, StoreError
from evals.executors.shard import Shard, read_shard, take_own_gpu
from evals.journal import read_answers
from evals.merge import Merged, merge_runs
from evals.runner import Job, Outcome, execute
from evals.store import open_run


class _Plan:
    """Counts of questions, and where pictures begin: what a part is cut by."""

    def __init__(self, pictures: list[list[int]]) -> None:
        self.counts = np.array([count for samples in pictures for count in samples], dtype=np.uint16)
        self.starts = np.array([k == 0 for samples in pictures for k in range(len(samples))], dtype=bool)
        self.order = np.arange(len(self.counts))
        self.requests = int(self.counts.sum())


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=40), st.integers(1, 9))
def test_parts_follow_each_other_cover_all_and_never_cut_a_picture(pictures: list[list[int]], of: int) -> None:
    plan: Any = _Plan(pictures)
    parts = [Shard(k, of).part(plan) for k in range(of)]
    assert (parts[0].start, parts[-1].stop) == (0, len(plan.order))
    assert all(a.stop == b.start for a, b in pairwise(parts))
    assert all(part.start == len(plan.order) or plan.starts[part.start] for part in parts)
    largest = max(sum(samples) for samples in pictures)
    sizes = [int(plan.counts[part.start : part.stop].sum()) for part in parts]
    assert max(sizes) <= plan.requests / of + largest


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Shard(1, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, Shard(0, 2)),
        ({"RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, Shard(3, 8)),
    ],
)
def test_a_launcher_says_which_shard_this_is(environment: dict[str, str], shard: Shard) -> None:
    assert read_shard("env", environment) == shard
    assert read_shard(f"{shard.index}/{shard.of}") == shard


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("env", {"RANK": "1"}, "RANK is set but WORLD_SIZE is not; torchrun sets both"),
        ("env", {"SLURM_NTASKS": "4"}, "SLURM_NTASKS is set but SLURM_PROCID is not; SLURM sets both"),
        ("env", {}, "neither RANK and WORLD_SIZE nor SLURM_PROCID and SLURM_NTASKS are set"),
        ("env", {"RANK": "one", "WORLD_SIZE": "4"}, "RANK=one and WORLD_SIZE=4 are not both whole numbers"),
        ("env", {"RANK": "4", "WORLD_SIZE": "4"}, "RANK=4 and WORLD_SIZE=4: shards are numbered from 0"),
        ("2/2", {}, "numbered from 0, so of 2 the last one is 1/2"),
        ("0/0", {}, "numbered from 0"),
        ("1of2", {}, "expected I/N, for example 0/4"),
        ("-1/2", {}, "expected I/N"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_shard(text, environment)


def test_under_a_launcher_a_process_keeps_to_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setenv("LOCAL_RANK", "3")
    take_own_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    take_own_gpu()  # what a launcher has bound already stays
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"


N, OF = 60, 3


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path, n=N, images=7)


def run_shard(job: Job, index: int, of: int = OF, **options: Any) -> Outcome:
    return execute(replace(job, shard=Shard(index, of)), lambda: Scripted(**options))


def shards_of(job: Job, of: int = OF, **options: Any) -> list[Path]:
    return [run_shard(job, index, of, **options).run.path for index in range(of)]


def journal(run: Path, task: str = "colours") -> list[str]:
    return [answer.request_id for answer in read_answers(run / "responses" / f"{task}.jsonl")]


def merge(folders: list[Path], out: Path) -> Merged:
    return merge_runs(folders, out, 0.01)


def test_joined_shards_are_the_run_of_one_process(tmp_path: Path) -> None:
    tasks = [small_task(tmp_path, n=N, images=7), choice_task(tmp_path, n=20, images=5)]
    whole = execute(job_of(tasks, tmp_path / "whole" / "run"), Scripted)
    folders = shards_of(job_of(tasks, tmp_path / "run"))
    assert [folder.name for folder in folders] == [f"run-shard-{k}-of-3" for k in range(3)]
    merged = merge(folders, tmp_path / "run")
    assert merged.exit_code == 0
    assert (merged.absent, merged.tasks["options"].requests, merged.tasks["options"].answers) == ([], 80, 80)
    names = [result / "results.json" for result in (tmp_path / "run", whole.run.path)]
    assert results_without_times(names[0]) == results_without_times(names[1])
    pictures = [{path.name for path in (run / "thumbnails").iterdir()} for run in (tmp_path / "run", whole.run.path)]
    assert pictures[0] == pictures[1]
    assert open_run(tmp_path / "run").manifest["status"] == "complete"


def test_shards_share_no_question_and_no_picture(task: SmallTask) -> None:
    folders = shards_of(task.job(task.folder / "run"))
    asked = [journal(folder) for folder in folders]
    assert sorted(request for requests in asked for request in requests) == [f"q{i:05d}" for i in range(N)]
    pictures = [{int(request[1:]) % 7 for request in requests} for requests in asked]
    assert not pictures[0] & pictures[1] | pictures[1] & pictures[2] | pictures[0] & pictures[2]


def test_a_missing_shard_is_named_and_the_whole_is_incomplete_until_it_comes(task: SmallTask) -> None:
    folders = shards_of(task.job(task.folder / "run"))
    merged = merge([folders[0], folders[2]], task.folder / "run")
    assert (merged.exit_code, merged.absent) == (5, ["shard 1 of 3"])
    counts = merged.tasks["colours"]
    assert counts.missing == sorted(journal(folders[1]))[:20]
    assert counts.n_missing == len(journal(folders[1]))
    assert open_run(task.folder / "run").manifest["status"] == "incomplete"
    before = journal(task.folder / "run")
    assert merge(folders, task.folder / "run").exit_code == 0
    assert journal(task.folder / "run")[: len(before)] == before  # merging again adds what is new and no more
    assert len(journal(task.folder / "run")) == N


def test_what_shards_lack_an_ordinary_run_asks(task: SmallTask) -> None:
    folders = shards_of(task.job(task.folder / "run"))
    merge([folders[0], folders[2]], task.folder / "run")
    rest = Scripted()
    assert execute(task.job(task.folder / "run"), lambda: rest).exit_code == 0
    assert sorted(rest.asked) == sorted(journal(folders[1]))


def test_shards_that_overlap_are_fine_where_they_agree(task: SmallTask) -> None:
    job = task.job(task.folder / "run")
    folders = [*shards_of(job), run_shard(job, 0, 2).run.path]
    counts = merge(folders, task.folder / "run").tasks["colours"]
    assert (counts.answers, counts.twice, counts.n_conflicts) == (N, len(journal(folders[3])), 0)
    assert len(journal(task.folder / "run")) == N


def test_of_answers_that_differ_the_last_shards_counts_and_it_is_said(task: SmallTask) -> None:
    job = task.job(task.folder / "run")
    folders = [*shards_of(job), run_shard(job, 0, 2, hook=lambda request: "mauve").run.path]
    counts = merge(folders, task.folder / "run").tasks["colours"]
    assert counts.n_conflicts == len(journal(folders[3]))
    assert set(counts.conflicts) <= set(journal(folders[3]))
    answers = {a.request_id: a.text for a in read_answers(task.folder / "run" / "responses" / "colours.jsonl")}
    assert {request for request, text in answers.items() if text == "mauve"} == set(journal(folders[3]))


def test_an_answer_counts_before_a_failure_whichever_shard_comes_last(task: SmallTask) -> None:
    job = task.job(task.folder / "run")
    failing = run_shard(job, 0, 2, hook=lambda request: 1 / 0)  # type: ignore[arg-type, return-value]
    assert failing.exit_code == 5
    merged = merge([*shards_of(job), failing.run.path], task.folder / "run")
    assert (merged.exit_code, merged.tasks["colours"].answers) == (0, N)


def test_a_shard_continues_and_is_not_taken_for_another(task: SmallTask) -> None:
    job = task.job(task.folder / "run")
    first = run_shard(job, 0)
    again = Scripted()
    assert execute(replace(job, shard=Shard(0, OF)), lambda: again).exit_code == 0
    assert again.asked == []
    first.run.path.rename(task.folder / "run-shard-1-of-3")
    with pytest.raises(StoreError, match=r"shard: 'shard 0 of 3' → 'shard 1 of 3'"):
        run_shard(job, 1)
    (task.folder / "run-shard-1-of-3").rename(task.folder / "run")
    with pytest.raises(StoreError, match=r"shard: 'shard 0 of 3' → None"):
        execute(job, Scripted)


def test_shards_and_new_exclude_each_other(task: SmallTask) -> None:
    with pytest.raises(SpecError, match="--new and --shard"):
        run_shard(task.job(task.folder / "run", new=True), 0)


def test_what_is_no_part_of_one_run_is_not_joined(task: SmallTask) -> None:
    ours = shards_of(task.job(task.folder / "run"))
    other_model = shards_of(task.job(task.folder / "b"), name="other")
    more_data = shards_of(small_task(task.folder, n=N + 1, images=7).job(task.folder / "c"))
    out = task.folder / "merged"
    with pytest.raises(StoreError, match=r"no parts of one run.*\n  model\.model: 'scripted' → 'other'"):
        merge([ours[0], other_model[1]], out)
    with pytest.raises(StoreError, match=r"no parts of one run.*\n  tasks\.colours\.data\.samples"):
        merge([ours[0], more_data[1]], out)
    (task.folder / "mine").mkdir()
    (task.folder / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="not a run directory"):
        merge([ours[0], task.folder / "mine"], out)
    for single in ([ours[0]], [ours[0], ours[0]]):
        with pytest.raises(SpecError, match="A single run needs no merge"):
            merge(single, out)
    assert not out.exists()
    with pytest.raises(StoreError, match="is not empty and holds no run"):
        merge(ours, task.folder / "mine")
    with pytest.raises(SpecError, match="one of the runs to be joined"):
        merge(ours, ours[1])
    merge(other_model, out)
    with pytest.raises(StoreError, match=r"holds another run:\n  model\.model"):
        merge(ours, out)


def test_results_of_a_shard_alone_are_not_written(task: SmallTask) -> None:
    run = run_shard(task.job(task.folder / "run"), 0).run
    assert not (run.path / "results.json").exists()
    assert json.loads((run.path / "manifest.json").read_text())["shard"] == "shard 0 of 3"
