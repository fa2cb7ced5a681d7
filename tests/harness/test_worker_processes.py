"""Worker processes: the results of one process, whatever dies; nothing that is answered is asked again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_adapters import Scripted, results_without_times
from small_tasks import SmallTask, choice_task, job_of, small_task

from evals.errors import AdapterError, SpecError
from evals.executors.base import ExecutorChoice
from evals.executors.recipe import AdapterRecipe
from evals.journal import read_answers
from evals.runner import Job, Outcome, execute

pytestmark = pytest.mark.usefixtures("adapters")
N = 60


def workers(job: Job, number: int, name: str = "scripted", **options: Any) -> Outcome:
    job = replace(job, executor=ExecutorChoice("workers", number))
    return execute(job, AdapterRecipe(name, options))


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path, n=N, images=7)


def journal(task: SmallTask, run: str = "run") -> Counter[str]:
    """How many lines each request has in the journal."""
    return Counter(a.request_id for a in read_answers(task.folder / run / "responses" / f"{task.name}.jsonl"))


def asked(task: SmallTask) -> Counter[str]:
    return Counter((task.folder / "asked.log").read_text().split())


def test_one_two_and_three_workers_give_the_results_of_one_process(tmp_path: Path) -> None:
    tasks = [small_task(tmp_path, n=100, images=9), choice_task(tmp_path, n=20, images=5)]
    execute(job_of(tasks, tmp_path / "0" / "run"), Scripted)
    expected = results_without_times(tmp_path / "0" / "run" / "results.json")
    for number in (1, 2, 3):
        out = tmp_path / str(number) / "run"
        assert workers(job_of(tasks, out), number, batch_size=number).exit_code == 0
        assert results_without_times(out / "results.json") == expected


def test_a_worker_killed_in_the_middle_costs_what_was_in_flight_and_nothing_else(task: SmallTask) -> None:
    options = {"poison": "q00030", "once": str(task.folder / "died"), "log": str(task.folder / "asked.log")}
    assert workers(task.job(task.folder / "run"), 2, "deadly", batch_size=4, delay_s=0.01, **options).exit_code == 0
    assert set(journal(task).values()) == {1}
    assert len(journal(task)) == N
    twice = {request for request, times in asked(task).items() if times > 1}
    assert "q00030" in twice
    assert len(twice) <= 4
    execute(task.job(task.folder / "whole" / "run"), Scripted)
    assert results_without_times(task.folder / "run" / "results.json") == results_without_times(
        task.folder / "whole" / "run" / "results.json"
    )


@pytest.mark.parametrize(("how", "said"), [("kill", "ended by SIGKILL"), ("exit", "ended with code 3")])
def test_a_sample_that_kills_its_worker_is_one_error_record_and_the_others_are_scored(
    task: SmallTask, how: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    log = str(task.folder / "asked.log")
    done = workers(task.job(task.folder / "run"), 1, "deadly", poison="q00017", how=how, batch_size=4, log=log)
    assert done.exit_code == 5  # one of sixty is more than one per cent
    result = done.results["tasks"]["colours"]
    assert (result["n_scored"], result["n_errors"]) == (N - 1, 1)
    failed = [a for a in read_answers(done.run.responses_path("colours")) if a.failure]
    assert [(a.request_id, a.failure.type) for a in failed if a.failure] == [("q00017", "WorkerDied")]
    assert said in str(failed[0].failure)
    assert asked(task)["q00017"] == 2
    assert "it is started again" in capfd.readouterr().err
    again = workers(task.job(task.folder / "run"), 1)  # the failure, and it only, is tried once more
    assert (again.exit_code, again.results["tasks"]["colours"]["n_errors"]) == (0, 0)
    assert sum(journal(task).values()) == N + 1


def test_what_one_number_of_workers_began_another_number_ends(task: SmallTask) -> None:
    job = task.job(task.folder / "run")
    execute(job, lambda: Scripted(hook=lambda request: 1 / 0 if int(request.request_id[1:]) % 3 else None))
    log = task.folder / "asked.log"
    assert workers(job, 2, log=str(log)).exit_code == 0
    assert set(asked(task)) == {f"q{i:05d}" for i in range(N) if i % 3}
    assert set(asked(task).values()) == {1}
    log.unlink()
    workers(job, 1, log=str(log))
    execute(job, lambda: Scripted(log=str(log)))
    assert not log.exists()


def test_why_a_model_cannot_be_loaded_is_said_as_in_one_process(task: SmallTask) -> None:
    with pytest.raises(AdapterError, match=r"^There are no weights here\. Put them there\.$"):
        workers(task.job(task.folder / "run"), 1, "cannot_load")
    with pytest.raises(AdapterError, match=r"has no option 'batchsize'.*Did you mean 'batch_size'"):
        workers(task.job(task.folder / "run"), 1, batchsize=3)
    assert not (task.folder / "run").exists()


def test_workers_that_die_while_they_load_end_the_run_and_not_the_patience(task: SmallTask) -> None:
    with pytest.raises(AdapterError, match=r"Workers died 3 times.*process \d+ ended with code 9"):
        workers(task.job(task.folder / "run"), 1, "dies_loading")


def test_each_worker_sees_one_gpu(task: SmallTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    done = workers(task.job(task.folder / "run"), 2, "names_gpu")
    assert {answer.text for answer in read_answers(done.run.responses_path("colours"))} == {"3", "5"}


def test_the_progress_of_workers_is_shown_with_the_score(task: SmallTask, capfd: pytest.CaptureFixture[str]) -> None:
    workers(task.job(task.folder / "run", quiet=False), 1)
    assert f"Colours: {N} of {N}" in (err := capfd.readouterr().err)
    assert "score 8" in err


def test_a_function_cannot_be_given_to_workers(task: SmallTask) -> None:
    with pytest.raises(SpecError, match="AdapterRecipe"):
        execute(replace(task.job(task.folder / "run"), executor=ExecutorChoice("workers", 1)), Scripted)
    with pytest.raises(SpecError, match="must be texts, numbers or booleans"):
        workers(task.job(task.folder / "run"), 1, hook=lambda request: "")


@pytest.mark.parametrize("kind", ["limited", "roomy"])
def test_workers_say_that_memory_was_full_whoever_halved_the_batches(task: SmallTask, kind: str) -> None:
    done = workers(task.job(task.folder / "run"), 2, kind, fits=3, batch_size=8)
    assert done.exit_code == 0
    assert set(journal(task).values()) == {1}
    found = done.results["tasks"]["colours"]
    sizes = [halving["batch_size"] for halving in found["batch_halved"]]
    assert sorted(sizes) in ([2, 2, 4, 4], [2, 4])  # each worker that got something to do
    assert found["batch_halved"][0]["answered"] == 0
    assert {halving["error"] for halving in found["batch_halved"]} == {"RuntimeError"}
    assert set(found["efficiency"]["batch_sizes"]) == {"2"}
