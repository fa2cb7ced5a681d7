"""Answers kept across runs: taken where everything that decides them is the same, never where something differs."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_adapters import Scripted, results_without_times
from small_tasks import SmallTask, choice_task, small_task

from evals.caching import CachingAdapter, ResponseStore
from evals.caching.keys import Keys
from evals.controls import load_model
from evals.executors.base import ExecutorChoice
from evals.executors.recipe import AdapterRecipe
from evals.runner import Outcome, execute
from model_adapters.contract import Failure, GenerationSettings, ImageRef, ModelAdapter, Request, Response, Turn

PICTURE = ImageRef("ab" * 32, "picture", bytes)
REQUEST = Request("q1", (Turn("user", (PICTURE, "Question 1: which?")),))


class Known(Scripted):
    """A model whose weights are known, as a local one's are."""

    def __init__(self, weights: str | None = "w1", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weights = weights

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "weights": self.weights}


def run(task: SmallTask, adapter: ModelAdapter, out: str) -> Outcome:
    return execute(task.job(task.folder / out), lambda: CachingAdapter(adapter, task.folder / "kept"))


def efficiency(outcome: Outcome) -> dict[str, Any]:
    (task,) = outcome.results["tasks"].values()
    return dict(task["efficiency"])


@pytest.mark.parametrize("make", [small_task, choice_task])
def test_a_second_run_asks_nothing_and_has_the_same_results_without_times(make: Any, tmp_path: Path) -> None:
    task, again = make(tmp_path), Known(batch_size=3)
    first = run(task, Known(batch_size=4), "one")
    second = run(task, again, "two")
    assert again.asked == []
    requests = len(list(second.run.samples(task.name)))
    assert efficiency(second) == {**efficiency(second), "from_cache": requests, "requests_per_s": None}
    assert efficiency(first)["from_cache"] == 0
    assert efficiency(second)["stages_ms"]["decode_ms"] is None
    same = [results_without_times(o.run.path / "results.json").replace(o.run.path.name, "") for o in (first, second)]
    assert same[0] == same[1]


def test_likelihoods_are_kept_too(tmp_path: Path) -> None:
    task, again = choice_task(tmp_path, protocol="likelihood"), Known()
    run(task, Known(), "one")
    assert efficiency(run(task, again, "two"))["from_cache"] == 12
    assert again.asked == []


def test_what_is_not_kept_is_asked_among_what_is(tmp_path: Path) -> None:
    task = small_task(tmp_path, n=12)
    run(task, Known(hook=lambda r: fail() if r.request_id in {"q00003", "q00008"} else None), "one")
    again = Known(batch_size=5)
    outcome = run(task, again, "two")
    assert sorted(again.asked) == ["q00003", "q00008"]  # a failure is never kept
    assert outcome.exit_code == 0
    assert efficiency(outcome)["from_cache"] == 10


def fail() -> str:
    raise RuntimeError("out of luck")


def test_more_kept_answers_than_may_wait_all_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.caching.adapter.MOST_WAITING", 2)
    task = small_task(tmp_path, n=30)
    run(task, Known(hook=lambda r: fail() if r.request_id in {"q00004", "q00026"} else None), "one")
    again = Known(batch_size=4)
    assert efficiency(run(task, again, "two"))["from_cache"] == 28
    assert sorted(again.asked) == ["q00004", "q00026"]


def test_a_control_answers_by_itself(tmp_path: Path) -> None:
    from evals.caching import behind_cache

    control = load_model("oracle")
    assert behind_cache(control, tmp_path) is control


@pytest.mark.parametrize(
    "changed",
    [
        replace(REQUEST, turns=(Turn("user", (PICTURE, "Question 2: which?")),)),
        replace(REQUEST, turns=(Turn("user", ("Question 1: which?", PICTURE)),)),
        replace(REQUEST, turns=(Turn("user", (replace(PICTURE, sha256="cd" * 32), "Question 1: which?")),)),
        replace(REQUEST, turns=(Turn("system", ("Be brief.",)), *REQUEST.turns)),
        replace(REQUEST, generation=GenerationSettings(max_new_tokens=3)),
        replace(REQUEST, generation=GenerationSettings(stop=("\n",))),
        replace(REQUEST, choices=("A", "B")),
    ],
    ids=["text", "order", "picture", "system", "length", "stop", "choices"],
)
def test_whatever_decides_an_answer_changes_its_key(changed: Request) -> None:
    keys = Keys(Known())
    assert keys.of(changed, "generate") != keys.of(REQUEST, "generate")
    assert keys.of(REQUEST, "score_choices") != keys.of(REQUEST, "generate")
    assert Keys(Known("w2")).of(REQUEST, "generate") != keys.of(REQUEST, "generate")


def test_names_for_people_and_an_unused_seed_change_no_key() -> None:
    key = Keys(Known()).of(REQUEST, "generate")
    assert Keys(Known(name="renamed")).of(REQUEST, "generate") == key
    other = replace(REQUEST, request_id="q2", generation=GenerationSettings(seed=7))
    assert Keys(Known()).of(other, "generate") == key


def test_sampled_answers_depend_on_seed_and_request_and_are_kept_of_known_weights_only() -> None:
    drawn = replace(REQUEST, generation=GenerationSettings(do_sample=True))
    seeded = replace(drawn, generation=GenerationSettings(do_sample=True, seed=1))
    keys = {Keys(Known()).of(r, "generate") for r in (drawn, seeded, replace(drawn, request_id="q2"))}
    assert len(keys) == 3
    assert Keys(Known(weights=None)).of(drawn, "generate") is None
    assert Keys(Known(weights=None)).of(REQUEST, "generate") is not None


def test_a_damaged_entry_is_passed_over_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ResponseStore(tmp_path) as store:
        for key in ("a", "b", "c"):
            store.put(key, {"text": key})
    with sqlite3.connect(tmp_path / "responses.sqlite") as file:
        file.execute("UPDATE responses SET value = '{\"text\":\"forged\"}' WHERE key = 'a'")
        file.execute("UPDATE responses SET value = x'00ff' WHERE key = 'b'")
    with ResponseStore(tmp_path) as store:
        assert [store.get(key) for key in ("a", "b", "c", "d")] == [None, None, {"text": "c"}, None]
    assert "passed over 2 damaged answers" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["at the start", "within"])
def test_a_damaged_file_is_passed_over_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    task = small_task(tmp_path)
    run(task, Known(), "one")
    file = tmp_path / "kept" / "responses.sqlite"
    data = file.read_bytes()
    file.write_bytes(b"no database" * 400 if where == "at the start" else data[:4096] + b"\xff" * (len(data) - 4096))
    again = Known()
    assert run(task, again, "two").exit_code == 0
    assert len(again.asked) == 12
    assert "answers are neither taken from here nor kept" in capsys.readouterr().err


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    def write(name: str) -> None:
        with ResponseStore(tmp_path) as store:
            for i in range(600):
                store.put(f"{name}{i}", {"text": name})

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with ResponseStore(tmp_path) as store:
        assert all(store.get(f"{name}{i}") == {"text": name} for name in "abcd" for i in range(0, 600, 37))


def test_the_first_answer_to_a_repeated_question_serves_the_next(tmp_path: Path) -> None:
    adapter = Known()
    caching = CachingAdapter(adapter, tmp_path)
    twice = [REQUEST, replace(REQUEST, request_id="q2")]
    found = {response.request_id: response for response in caching.generate(twice)}
    caching.close()
    assert adapter.closed
    assert found["q1"].text == found["q2"].text
    assert found.keys() == {"q1", "q2"}


def test_a_failed_response_is_passed_on(tmp_path: Path) -> None:
    class Refusing(Known):
        def answer(self, request: Request) -> Response:
            return Response(request.request_id, finish="error", failure=Failure("Timeout", "late"))

    caching = CachingAdapter(Refusing(), tmp_path)
    assert [r.failure for r in caching.generate([REQUEST])] == [Failure("Timeout", "late")]
    caching.close()


def test_workers_share_a_folder(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    for out, from_cache in (("one", 0), ("two", 12)):
        job = task.job(tmp_path / out, executor=ExecutorChoice("workers", 2))
        outcome = execute(job, AdapterRecipe("null", {"answer": "red"}, str(tmp_path / "kept")))
        assert efficiency(outcome)["from_cache"] == from_cache
