"""Adapters that misbehave: one error record or the defined outcome each, and the other samples' scores unchanged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from scripted_adapters import Decoding, FailsWhole, Limited, NoLikelihood, Returns, Roomy, Scripted, usual
from small_tasks import SmallTask, choice_task, job_of, small_task

from evals.compare import Options, compare_runs
from evals.errors import AdapterError, ComparisonError
from evals.gate.speed import judge_speed
from evals.leaderboard import build_board
from evals.records import ScoredSample
from evals.runner import Outcome, execute
from model_adapters.contract import Failure, ModelAdapter, Request, Response, Timing

ODD = "q00005"


def run(task: SmallTask, adapter: ModelAdapter, out: str = "run", **changes: Any) -> Outcome:
    return execute(task.job(task.folder / out, **changes), lambda: adapter)


def samples(outcome: Outcome, task: str = "colours") -> dict[str, ScoredSample]:
    return {sample.row_id: sample for sample in outcome.run.samples(task)}


def unchanged(outcome: Outcome, task: SmallTask) -> bool:
    """All samples but the odd one have the scores that they have without a fault."""
    good = samples(run(task, Scripted(), "good"), task.name)
    found = samples(outcome, task.name)
    return all(found[row].scores == sample.scores for row, sample in good.items() if not row.startswith(ODD))


def raise_on_odd(request: Request) -> None:
    if request.request_id.startswith(ODD):
        raise RuntimeError("CUDA out of memory")


def usually(request: Request, **odd: Any) -> list[Response]:
    """The usual answer, but for the odd request what ``odd`` says."""
    changes = odd if request.request_id == ODD else {}
    return [Response(**({"request_id": request.request_id, "text": usual(request)} | changes))]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_an_adapter_that_raises_on_one_sample_costs_that_sample(tmp_path: Path, batch_size: int) -> None:
    task = small_task(tmp_path)
    outcome = run(task, Scripted(batch_size, hook=raise_on_odd))
    failure = samples(outcome)[ODD].failure
    assert failure is not None
    assert (failure.type, failure.message) == ("RuntimeError", "CUDA out of memory")
    assert "raise_on_odd" in failure.traceback
    assert unchanged(outcome, task)
    assert outcome.exit_code == 5  # 1 of 12 is more than 1 %


def test_a_batch_that_fails_as_a_whole_is_asked_one_by_one(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    outcome = run(task, FailsWhole(ODD, batch_size=5))
    assert [row for row, sample in samples(outcome).items() if sample.failure] == [ODD]
    assert unchanged(outcome, task)


def test_a_failed_sample_is_asked_again_by_the_next_run_and_only_that_one(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    assert run(task, Scripted(hook=raise_on_odd)).exit_code == 5
    again = Scripted()
    outcome = run(task, again)
    assert again.asked == [ODD]
    assert outcome.exit_code == 0
    assert outcome.results["tasks"]["colours"]["coverage"] == 1.0


def test_failures_within_the_allowed_share_end_with_zero(tmp_path: Path) -> None:
    outcome = run(small_task(tmp_path), Scripted(hook=raise_on_odd), max_error_rate=0.1)
    assert outcome.exit_code == 0
    assert outcome.run.manifest["status"] == "complete"


def test_an_error_is_not_an_answer_and_the_bounds_say_what_it_could_change(tmp_path: Path) -> None:
    task = small_task(tmp_path, n=12)
    result = run(task, Scripted(hook=raise_on_odd)).results["tasks"]["colours"]
    assert (result["n"], result["n_scored"], result["n_errors"]) == (12, 11, 1)
    assert result["coverage"] == pytest.approx(11 / 12)
    right = result["statistics"]["exact_match"]["value"] * 11
    assert result["bounds"] == {
        "all_wrong": pytest.approx(right / 12),
        "all_right": pytest.approx((right + 1) / 12),
    }


def test_an_adapter_that_always_raises_ends_with_five_and_every_reason_kept(tmp_path: Path) -> None:
    def fail(request: Request) -> None:
        raise ValueError(f"no {request.request_id}")

    outcome = run(small_task(tmp_path), Scripted(3, hook=fail))
    assert outcome.exit_code == 5
    assert {s.failure.message for s in samples(outcome).values() if s.failure} == {f"no q{i:05d}" for i in range(12)}
    assert outcome.results["tasks"]["colours"]["statistics"]["exact_match"]["value"] is None


def test_a_request_without_a_response_is_a_failure(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    outcome = run(task, Returns(lambda request: [] if request.request_id == ODD else usually(request)))
    failure = samples(outcome)[ODD].failure
    assert failure is not None
    assert failure.type == "NoAnswer"
    assert unchanged(outcome, task)


def test_the_first_of_two_responses_counts_and_unknown_ids_are_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = small_task(tmp_path)

    def make(request: Request) -> list[Response]:
        return [*usually(request), Response(request.request_id, "second"), Response("nobody asked", "x")]

    outcome = run(task, Returns(make))
    assert outcome.exit_code == 0
    assert unchanged(outcome, task)
    assert samples(outcome)[ODD].prediction != "second"
    assert "dropped 24 responses" in capsys.readouterr().err


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    outcome = run(small_task(tmp_path), Returns(lambda request: usually(request, text="")))
    odd = samples(outcome)[ODD]
    assert (odd.prediction, odd.scores["exact_match"], odd.failure) == ("", 0.0, None)
    assert outcome.results["tasks"]["colours"]["coverage"] == 1.0


@pytest.mark.parametrize(
    "text", ["x" * (1 << 20), "\x00\x1b[31m\u2028\u202e", "a\ud800b"], ids=["1 MB", "controls", "surrogate"]
)
def test_strange_texts_are_kept_and_scored(tmp_path: Path, text: str) -> None:
    task = small_task(tmp_path)
    outcome = run(task, Returns(lambda request: usually(request, text=text)))
    odd = samples(outcome)[ODD]
    assert odd.prediction == text.encode("utf-8", "replace").decode()
    assert odd.scores["exact_match"] == 0.0
    assert unchanged(outcome, task)


def test_an_adapter_may_report_a_failure_itself(tmp_path: Path) -> None:
    failure = Failure("Timeout", "no answer within 30 s")
    outcome = run(small_task(tmp_path), Returns(lambda request: usually(request, failure=failure, text="")))
    assert samples(outcome)[ODD].failure == failure


@pytest.mark.parametrize(
    "scores",
    [(math.nan, 0.0, -1.0, -2.0), (math.inf, 0.0, -1.0, -2.0), (0.0, -1.0), (), None],
    ids=["nan", "inf", "too few", "none", "missing"],
)
def test_choice_scores_that_cannot_be_compared_are_a_failure(tmp_path: Path, scores: tuple[float, ...] | None) -> None:
    task = choice_task(tmp_path, protocol="likelihood")

    def make(request: Request) -> list[Response]:
        good = tuple(-float(i) for i in range(4))
        return [Response(request.request_id, choice_scores=scores if request.request_id == ODD else good)]

    outcome = run(task, Returns(make))
    failure = samples(outcome, "options")[ODD].failure
    assert failure is not None
    assert failure.type == "InvalidAnswer"
    assert unchanged(outcome, task)


def test_times_that_are_no_numbers_are_unknown(tmp_path: Path) -> None:
    timing = Timing(decode_ms=math.nan, batch_ms=math.inf, image_ms=1.0)
    outcome = run(small_task(tmp_path), Returns(lambda request: usually(request, timing=timing)))
    assert samples(outcome)[ODD].timing == Timing(image_ms=1.0)


def test_an_adapter_that_cannot_do_what_the_task_wants_ends_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="cannot score choices"):
        run(choice_task(tmp_path, protocol="likelihood"), NoLikelihood())


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n garbage", None], ids=["empty", "garbage", "truncated"])
def test_a_broken_picture_costs_its_own_samples(tmp_path: Path, damage: bytes | None) -> None:
    task = small_task(tmp_path, n=12, images=12)
    picture = tmp_path / "images" / "5.png"
    picture.write_bytes(picture.read_bytes()[:50] if damage is None else damage)
    outcome = run(task, Decoding())
    failed = {row: sample.failure for row, sample in samples(outcome).items() if sample.failure}
    assert list(failed) == [ODD]
    assert failed[ODD].type == "OSError"
    assert unchanged(outcome, task)


def test_what_was_answered_before_a_fatal_error_is_kept(tmp_path: Path) -> None:
    """An error on purpose (a broken contract, a full disk) ends the run, after the answers so far are written."""
    task = small_task(tmp_path)

    def fatal(request: Request) -> None:
        if request.request_id == "q00010":
            raise AdapterError("the server is gone.")

    with pytest.raises(AdapterError, match="server is gone"):
        run(task, Scripted(hook=fatal))
    again = Scripted()
    assert run(task, again).exit_code == 0
    assert sorted(again.asked) == ["q00003", "q00007", "q00010", "q00011"]


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_out_of_memory_halves_the_batch_goes_on_and_is_recorded(
    tmp_path: Path, error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    task = small_task(tmp_path, n=20)
    adapter = Limited(3, 16, error)
    outcome = run(task, adapter)
    assert outcome.exit_code == 0
    assert sorted(adapter.asked) == [f"q{i:05d}" for i in range(20)]  # nothing is asked twice
    found = outcome.results["tasks"]["colours"]
    assert [(h["answered"], h["batch_size"]) for h in found["batch_halved"]] == [(0, 8), (0, 4), (0, 2)]
    assert found["batch_halved"][0]["error"] == error.__name__
    assert found["efficiency"]["batch_sizes"] == {"2": 20}
    assert outcome.run.manifest["tasks"]["colours"]["batch_halved"] == found["batch_halved"]
    assert "batches are of 2 now" in capsys.readouterr().err
    good = run(task, Scripted(), "good").results["tasks"]["colours"]
    assert found["statistics"] == good["statistics"]
    assert good["batch_halved"] == []


def test_out_of_memory_without_a_smaller_batch_costs_what_does_not_fit_alone(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    outcome = run(task, Limited(0, 4))
    assert outcome.exit_code == 5
    assert outcome.results["tasks"]["colours"]["n_errors"] == 12
    assert run(task, Limited(1, 4, settable=False), "fixed").exit_code == 0  # asked one by one


def test_an_adapter_that_halves_its_batches_by_itself_is_recorded_as_well(tmp_path: Path) -> None:
    task = small_task(tmp_path, n=20)
    adapter = Roomy(3, 16)
    found = run(task, adapter).results["tasks"]["colours"]
    assert sorted(adapter.asked) == [f"q{i:05d}" for i in range(20)]
    assert [(h["answered"], h["batch_size"], h["error"]) for h in found["batch_halved"]] == [
        (0, 8, "RuntimeError"),
        (0, 4, "RuntimeError"),
        (0, 2, "RuntimeError"),
    ]
    assert found["efficiency"]["batch_sizes"] == {"2": 20}


def test_memory_that_fills_up_late_is_noted_with_the_answers_before_it(tmp_path: Path) -> None:
    task = small_task(tmp_path, n=20)
    adapter = Roomy(4, 4, full_from="q00003")  # the first question on the last picture: in the fourth batch
    (halving,) = run(task, adapter).results["tasks"]["colours"]["batch_halved"]
    assert (halving["answered"], halving["batch_size"]) == (12, 2)


def test_a_later_task_of_the_session_says_that_its_batches_were_small_from_the_start(tmp_path: Path) -> None:
    tasks = [small_task(tmp_path, name, n=8) for name in ("first", "second")]
    job = job_of(tasks, tmp_path / "run")
    found = execute(job, lambda: Roomy(2, 4)).results["tasks"]
    assert [(h["answered"], h["batch_size"]) for h in found["second"]["batch_halved"]] == [(0, 2)]
    again = execute(job, lambda: Roomy(2, 4)).results["tasks"]  # nothing is asked, so nothing is added
    assert again["second"]["batch_halved"] == found["second"]["batch_halved"]


def test_speed_is_not_compared_where_the_batch_changed(tmp_path: Path) -> None:
    task = small_task(tmp_path, n=20)
    runs = [run(task, Limited(fits, 4), f"run{fits}").run for fits in (2, 4)]
    (found,) = compare_runs(runs, Options())
    assert [task.efficiency for task in found.tasks] == [()]
    said = "colours: speed is not compared: memory was full in run2, which went on in batches of 2"
    assert said in found.warnings
    with pytest.raises(ComparisonError, match=r"memory was full in run2.*--batch-size of that size or less"):
        judge_speed(runs[:1], runs[1:])
    board = build_board(runs)
    rates = {entry.run: entry.efficiency["requests_per_s"] for group in board.groups for entry in group.entries}
    assert rates["run2"] is None
    assert rates["run4"] is not None
    (same,) = compare_runs([runs[1], run(task, Limited(4, 4), "again").run], Options())
    assert [item.name for item in same.tasks[0].efficiency] != []
