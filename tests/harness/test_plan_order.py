"""The plan: order, what the order saves, and the questions it keeps."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from small_tasks import SmallTask, choice_task, small_task

from evals.data import open_dataset
from evals.errors import StoreError
from evals.identity import samples_hash
from evals.plan import TaskPlan, make_plan, open_questions
from evals.questions import QuestionSpool, read_questions, write_questions
from evals.spec import find_task


def plan_of(task: SmallTask) -> TaskPlan:
    spec = find_task(str(task.yaml))
    return make_plan(spec, open_dataset(spec, task.folder, task.folder / "cache"))


def ids(plan: TaskPlan) -> list[str]:
    return [request.request_id for _, request in plan.walk(lambda question: False)]


def test_questions_on_one_picture_come_together_in_the_order_of_first_appearance(tmp_path: Path) -> None:
    plan = plan_of(small_task(tmp_path, n=7, images=3))
    assert ids(plan) == [f"q{i:05d}" for i in (0, 3, 6, 1, 4, 2, 5)]
    assert (plan.requests, plan.pictured, plan.images, plan.encodings_saved) == (7, 7, 3, 4)


def test_rotations_of_one_question_stay_beside_each_other(tmp_path: Path) -> None:
    plan = plan_of(choice_task(tmp_path, n=4, images=2))
    assert ids(plan) == [f"q{i:05d}#{k}" for i in (0, 2, 1, 3) for k in range(4)]
    assert (plan.requests, plan.images, plan.encodings_saved, plan.prefills_saved) == (16, 2, 14, 14)


def test_rotations_of_a_question_without_a_picture_share_its_beginning(tmp_path: Path) -> None:
    assert plan_of(choice_task(tmp_path, n=3, images=0)).savings() == {
        "requests": 12,
        "images": 0,
        "encodings_saved": 0,
        "prefills_saved": 9,
    }


def test_text_questions_keep_the_order_of_the_data(tmp_path: Path) -> None:
    plan = plan_of(small_task(tmp_path, n=9, images=0))
    assert ids(plan) == [f"q{i:05d}" for i in range(9)]
    assert (plan.pictured, plan.images, plan.encodings_saved) == (0, 0, 0)


def test_a_task_asked_without_its_pictures_has_no_encodings(tmp_path: Path) -> None:
    plan = plan_of(small_task(tmp_path, n=8, images=2, image="none"))
    assert ids(plan) == [f"q{i:05d}" for i in range(8)]
    assert (plan.pictured, plan.encodings_saved) == (0, 0)
    assert all(not request.images for _, request in plan.walk(lambda question: False))


def test_what_is_answered_is_passed_over(tmp_path: Path) -> None:
    plan = plan_of(small_task(tmp_path, n=6, images=2))
    left = [request.request_id for _, request in plan.walk(lambda q: q.sample_id in {"q00000", "q00003"})]
    assert left == ["q00002", "q00004", "q00001", "q00005"]


def test_each_request_belongs_to_its_question_and_shows_its_picture(tmp_path: Path) -> None:
    for question, request in plan_of(small_task(tmp_path, n=10, images=3)).walk(lambda question: False):
        assert request.request_id == question.request_id
        assert tuple(image.sha256 for image in request.images) == question.image_hashes
        assert request.turns[-1].text == question.prompt
        request.images[0].open()


def test_the_plan_is_the_same_every_time(tmp_path: Path) -> None:
    task = small_task(tmp_path, n=20, images=6)
    one, two = plan_of(task), plan_of(task)
    assert (ids(one), one.samples_hash) == (ids(two), two.samples_hash)


def test_questions_are_kept_in_the_order_of_the_data_and_come_back(tmp_path: Path) -> None:
    plan = plan_of(choice_task(tmp_path, n=5, images=2))
    plan.questions.save(tmp_path / "kept" / "q.jsonl.gz")
    kept = list(read_questions(tmp_path / "kept" / "q.jsonl.gz"))
    assert [q.request_id for q in kept] == [f"q{i:05d}#{k}" for i in range(5) for k in range(4)]
    assert {q.request_id: q for q in kept} == {q.request_id: q for q, _ in plan.walk(lambda question: False)}
    assert samples_hash(kept) == plan.samples_hash
    write_questions(tmp_path / "again.gz", kept)
    assert (tmp_path / "again.gz").read_bytes() == (tmp_path / "kept" / "q.jsonl.gz").read_bytes()


def test_missing_questions_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing was asked yet\. Run the same"):
        list(read_questions(tmp_path / "none.gz"))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not gzip", id="not gzip"),
        pytest.param(gzip.compress(b"{]\n", mtime=0), id="no JSON"),
        pytest.param(gzip.compress(b"{}\n", mtime=0), id="no question"),
        pytest.param(None, id="no file"),
    ],
)
def test_damaged_questions_are_a_clear_error(tmp_path: Path, damage: bytes | None) -> None:
    """Half a file, another file, or lines that are no questions. An empty file holds no question and no error."""
    path = tmp_path / "q.gz"
    plan_of(small_task(tmp_path)).questions.save(path)
    path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    if damage == b"":
        assert list(read_questions(path)) == []
        return
    with pytest.raises(StoreError, match=r"is damaged .* Delete it and run the same"):
        list(read_questions(path))


def test_the_questions_of_any_sample_are_found_by_its_place(tmp_path: Path) -> None:
    plan = plan_of(choice_task(tmp_path, n=600, images=2))
    for place in (599, 0, 257, 256, 255, 1):
        assert [q.request_id for q in plan.questions.of(place)] == [f"q{place:05d}#{k}" for k in range(4)]
    assert len(plan.questions) == 600


def test_a_plan_asks_what_the_data_itself_would_ask(tmp_path: Path) -> None:
    """What was kept of the questions makes the same requests as the samples do."""
    plan = plan_of(choice_task(tmp_path, protocol="likelihood", n=9, images=4))
    kept = list(plan.walk(lambda question: False))
    anew = list(open_questions(plan.spec, plan.dataset, plan.order.tolist(), lambda question: False))
    assert [q for q, _ in kept] == [q for q, _ in anew]
    assert [r for _, r in kept] == [r for _, r in anew]
    assert [r.images[0].read() for _, r in kept] == [r.images[0].read() for _, r in anew]


def test_a_full_folder_of_temporary_files_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, plan = QuestionSpool(), plan_of(small_task(tmp_path))
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(spool, "_file", full)
        spool.add(plan.questions.of(0))
        with pytest.raises(StoreError, match=r"temporary file in .*No space left.*TMPDIR"):
            spool.save(tmp_path / "q.gz")
