"""The queue of leases under every order of deaths: each question ends with one answer, or, if it kills, one failure."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import choice_task

from evals.asking import Asked, Earlier
from evals.data import Subset, open_dataset
from evals.errors import AdapterError, DataError
from evals.executors import lease as lease_module
from evals.executors.lease import Lease, WorkQueue
from evals.executors.messages import Batch, Died, Done, Message, Ready, Taken, decode, encode
from evals.executors.pool import PoolExecutor
from evals.executors.recipe import AdapterRecipe, WorkerRecipe
from evals.executors.worker import Worker
from evals.interrupt import StopSignal
from evals.journal import Journal, JournalIndex, encode_answers, read_answers
from evals.plan import TaskPlan, make_plan
from evals.progress import meter
from evals.records import Answer
from evals.spec import find_task

SAMPLES, PICTURES = 40, 6


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> TaskPlan:
    """160 questions: four rotations of each of 40 samples on six pictures."""
    task = choice_task(tmp_path_factory.mktemp("leases"), n=SAMPLES, images=PICTURES)
    spec = find_task(str(task.yaml))
    return make_plan(spec, open_dataset(spec, task.folder, task.folder / "cache"))


class FickleWorkers:
    """Workers in name only. They answer in batches of four and die: always on a poisonous request, and else by chance.

    Args:
        tells: whether they say what they have taken, as processes do and Ray actors do not.
    """

    def __init__(self, plan: TaskPlan, size: int, poison: set[str], luck: random.Random, tells: bool) -> None:
        self.size, self._plan, self._poison, self._luck, self._tells = size, plan, poison, luck, tells
        self._said: list[tuple[int, Message]] = []
        self.asked: Counter[str] = Counter()
        self.leases: list[Lease] = []
        for worker in range(size):
            self.start(worker)

    def start(self, worker: int) -> None:
        self._said.append((worker, Ready({"model": "fickle"}, {}, 0.0)))

    def give(self, worker: int, lease: Lease) -> None:
        lease = Lease.from_json(json.loads(json.dumps(lease.to_json())))
        self.leases.append(lease)
        questions = [q for place in lease.places for q in self._plan.questions.of(place)]
        assert questions[0].content_hash == lease.first_hash
        left = [q for q in questions if q.request_id not in lease.skip]
        assert left or lease.skip
        for start in range(0, len(left), 4):
            batch = left[start : start + 4]
            self.asked.update(q.request_id for q in batch)
            if self._tells:
                self._said += [(worker, Taken(q.request_id)) for q in batch]
            if self._poison & {q.request_id for q in batch} or (self._luck.random() < 0.1 and not lease.alone):
                self._said.append((worker, Died("it was unlucky")))
                return
            answers = [Answer(q.request_id, q.sample_id, q.content_hash, "A") for q in batch]
            lines = encode_answers(answers)
            self._said.append((worker, Batch([a.request_id for a in answers], 0, 0.0, 0, lines)))
        self._said.append((worker, Done(0, {"peak_host_mib": 1.0})))

    def stop(self) -> None:
        pass

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        said, self._said = self._said, []
        yield from said

    def close(self, *, at_once: bool) -> None:
        pass


def ask(plan: TaskPlan, pool: FickleWorkers, path: Path, part: range | None = None) -> Asked:
    with Journal(path) as journal, meter("", plan.requests, quiet=True) as shown:
        return PoolExecutor(pool).ask(plan, part or range(len(plan.order)), journal, StopSignal(), shown)


@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 4),
    poison=st.sets(st.integers(0, 4 * SAMPLES - 1), max_size=3),
    tells=st.booleans(),
)
def test_whatever_dies_each_question_gets_one_outcome(
    plan: TaskPlan, tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, poison: set[int], tells: bool
) -> None:
    path = tmp_path_factory.mktemp("run") / "j.jsonl"
    deadly = {f"q{number // 4:05d}#{number % 4}" for number in poison}
    pool = FickleWorkers(plan, size, deadly, random.Random(seed), tells)
    asked = ask(plan, pool, path)
    lines = list(read_answers(path))
    assert len(lines) == len({line.request_id for line in lines}) == plan.requests
    assert {line.request_id for line in lines if line.failure} == deadly
    assert {line.failure.type for line in lines if line.failure} <= {"WorkerDied"}
    assert (asked.answered, asked.failed) == (plan.requests - len(deadly), len(deadly))
    if tells:  # then no more than a batch is asked again for each death
        assert all(pool.asked[request] == 2 for request in deadly)


def test_answers_of_earlier_sessions_are_not_given_out(plan: TaskPlan, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = FickleWorkers(plan, 1, set(), random.Random(5), True)
    ask(plan, first, path, range(20))
    before = set(first.asked)
    second = FickleWorkers(plan, 2, set(), random.Random(1), True)
    asked = ask(plan, second, path)
    assert asked.kept == len(before) == plan.requests_in(range(20))
    assert not before & set(second.asked)


def test_leases_hold_whole_pictures_and_end_small(plan: TaskPlan, tmp_path: Path) -> None:
    with JournalIndex(tmp_path / "none") as index:
        queue = WorkQueue(plan, range(len(plan.order)), Earlier(index), 2)
        leases = [lease for worker in range(99) if (lease := queue.give(worker)) is not None]
    assert [place for lease in leases for place in lease.places] == plan.order.tolist()
    pictures = [{place % PICTURES for place in lease.places} for lease in leases]
    assert sum(map(len, pictures)) == PICTURES
    sizes = [4 * len(lease.places) for lease in leases]
    assert min(sizes) >= 24
    assert sizes == sorted(sizes, reverse=True)


def test_a_picture_with_very_many_questions_is_shared(
    plan: TaskPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LARGEST", 8)
    with JournalIndex(tmp_path / "none") as index:
        queue = WorkQueue(plan, range(len(plan.order)), Earlier(index), 1)
        leases = [lease for worker in range(99) if (lease := queue.give(worker)) is not None]
    assert {len(lease.places) for lease in leases} == {2}  # two samples of four rotations


def test_workers_that_only_die_end_the_run(plan: TaskPlan, tmp_path: Path) -> None:
    everything = {f"q{number:05d}#{k}" for number in range(SAMPLES) for k in range(4)}
    with pytest.raises(AdapterError, match=r"Workers died 10 times without one answer in between.*it was unlucky"):
        ask(plan, FickleWorkers(plan, 2, everything, random.Random(0), True), tmp_path / "j.jsonl")
    kept = [answer.failure for answer in read_answers(tmp_path / "j.jsonl")]
    assert all(failure and failure.type == "WorkerDied" for failure in kept)


def test_workers_with_different_models_are_not_mixed(plan: TaskPlan) -> None:
    pool = FickleWorkers(plan, 1, set(), random.Random(0), True)
    pool._said.append((0, Ready({"model": "other"}, {}, 0.0)))
    with pytest.raises(AdapterError, match="different models"):
        PoolExecutor(pool)


@pytest.mark.usefixtures("adapters")
def test_a_worker_that_sees_other_data_says_so(tmp_path: Path) -> None:
    task = choice_task(tmp_path, n=4, images=2)
    spec = find_task(str(task.yaml))
    recipe = WorkerRecipe(
        ((spec, Subset(ids=("q00000", "q00001", "q00003"))),),
        tmp_path,
        tmp_path / "cache",
        AdapterRecipe("scripted", {"batch_size": 2}),
        False,
    )
    worker = Worker(WorkerRecipe.from_json(recipe.to_json()))
    said: list[Message] = []
    worker.work(Lease("options", (1,), "0" * 64), said.append)
    error = decode(encode(said[-1])).error()  # type: ignore[union-attr]
    assert isinstance(error, DataError)
    assert "sample at place 1 differs" in str(error)


def test_messages_come_back_as_they_were(plan: TaskPlan) -> None:
    question = plan.questions.of(0)[0]
    lines = encode_answers([Answer(question.request_id, question.sample_id, question.content_hash, "a\nb\u2028ü\x00")])
    for message in (
        Batch([question.request_id], 0, 0.5, 1, lines),
        Batch([], 0, 0.0, 0, b""),
        Taken("q\n"),
        Done(2, {"peak_host_mib": None}),
        Ready({"model": "é"}, {"max_images": None}, 0.25),
    ):
        assert decode(encode(message)) == message
