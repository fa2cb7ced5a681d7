"""Ray actors: the results of one process; an actor that dies costs what was in flight, a poisonous sample itself."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from run_processes import answered, asked, equals_uninterrupted, finish, start, wait_for
from scripted_adapters import Scripted, results_without_times
from small_tasks import SmallTask, choice_task, job_of, small_task

from evals.errors import AdapterError
from evals.executors.base import ExecutorChoice
from evals.executors.recipe import AdapterRecipe
from evals.journal import read_answers
from evals.runner import Job, Outcome, execute

pytestmark = [pytest.mark.usefixtures("adapters"), pytest.mark.slow]
N = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray instance for the tests in this process."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=3, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path, n=N, images=7)


def actors(job: Job, number: int, name: str = "scripted", **options: Any) -> Outcome:
    return execute(replace(job, executor=ExecutorChoice("ray", number)), AdapterRecipe(name, options))


def journal(task: SmallTask) -> Counter[str]:
    return Counter(a.request_id for a in read_answers(task.folder / "run" / "responses" / f"{task.name}.jsonl"))


def test_actors_give_the_results_of_one_process(tmp_path: Path, cluster: None) -> None:
    tasks = [small_task(tmp_path, n=100, images=9), choice_task(tmp_path, n=20, images=5)]
    execute(job_of(tasks, tmp_path / "0" / "run"), Scripted)
    for number in (1, 2):
        out = tmp_path / str(number) / "run"
        assert actors(job_of(tasks, out), number, batch_size=3).exit_code == 0
        expected = results_without_times(tmp_path / "0" / "run" / "results.json")
        assert results_without_times(out / "results.json") == expected


def test_an_actor_killed_in_the_middle_costs_what_was_in_flight_and_nothing_else(
    task: SmallTask, cluster: None
) -> None:
    log = task.folder / "asked.log"
    options = {"poison": "q00030", "once": str(task.folder / "died"), "log": str(log)}
    assert actors(task.job(task.folder / "run"), 2, "deadly", batch_size=4, delay_s=0.02, **options).exit_code == 0
    assert set(journal(task).values()) == {1}
    assert len(journal(task)) == N
    twice = {request for request, times in Counter(log.read_text().split()).items() if times > 1}
    assert "q00030" in twice
    assert len(twice) <= 8  # the batch in flight, and one that was answered but had not arrived yet
    execute(task.job(task.folder / "whole" / "run"), Scripted)
    assert results_without_times(task.folder / "run" / "results.json") == results_without_times(
        task.folder / "whole" / "run" / "results.json"
    )


def test_an_actor_whose_memory_was_full_says_so_and_the_session_names_the_executor(
    task: SmallTask, cluster: None
) -> None:
    done = actors(task.job(task.folder / "run"), 1, "roomy", fits=3, batch_size=8, is_auto=True)
    halved = done.results["tasks"]["colours"]["batch_halved"]
    assert [(h["answered"], h["batch_size"]) for h in halved] == [(0, 4), (0, 2)]
    (session,) = done.run.manifest["sessions"]
    assert (session["executor"], session["workers"], session["batch_size"]) == ("ray", 1, 2)
    assert done.results["efficiency"]["auto_batch_size"] == 2


def test_a_sample_that_kills_its_actor_is_one_error_record(task: SmallTask, cluster: None) -> None:
    log = task.folder / "asked.log"
    done = actors(task.job(task.folder / "run"), 2, "deadly", poison="q00017", how="exit", batch_size=4, log=str(log))
    assert done.exit_code == 5
    failed = [a for a in read_answers(done.run.responses_path("colours")) if a.failure]
    assert [(a.request_id, a.failure.type) for a in failed if a.failure] == [("q00017", "WorkerDied")]
    assert done.results["tasks"]["colours"]["n_scored"] == N - 1
    assert log.read_text().split().count("q00017") == 2
    assert actors(task.job(task.folder / "run"), 1).exit_code == 0
    assert sum(journal(task).values()) == N + 1


def test_why_a_model_cannot_be_loaded_is_said_as_in_one_process(task: SmallTask, cluster: None) -> None:
    with pytest.raises(AdapterError, match=r"^There are no weights here\. Put them there\.$"):
        actors(task.job(task.folder / "run"), 1, "cannot_load")


def test_a_signal_lets_actors_finish_their_batches_and_processes_continue(tmp_path: Path) -> None:
    task, out = small_task(tmp_path, n=N, images=9), tmp_path / "cut" / "run"
    out.parent.mkdir()
    process = start(task, out, "--executor", "ray", "--workers", "2", delay_s=0.1)
    wait_for(out, 7)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    before = asked(out)
    assert answered(task, out) == set(before)
    assert len(before) < N
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    code, err = finish(task, out, "--workers", "1", batch=5)
    assert code == 0, err
    assert sorted(asked(out)) == sorted({*asked(out)})
    assert equals_uninterrupted(task, out)
