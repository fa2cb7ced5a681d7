"""What a run will do, before it does it: which questions, in which order, and how much the order saves.

All questions on one picture come together, in the order in which the pictures first appear, and rotations of one
question stay beside each other. So an adapter that keeps its last pictures' features encodes each picture once, and one
that keeps prefixes prefills each question's stem once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.data import Dataset
from evals.prompts.render import questions_of, request_of
from evals.questions import QuestionSpool
from evals.records import Question
from evals.spec.records import TaskSpec
from model_adapters.contract import Request


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The questions of one task in the order in which they are asked. It costs eight bytes a sample.

    Attributes:
        order: places of the samples in the data set, shape (samples,).
        requests: questions in all, rotations counted.
        pictured: questions that carry a picture.
        images: distinct pictures.
        samples_hash: fingerprint of the sample set, see :func:`evals.identity.samples_hash`.
        questions: the questions in the data set's order, to be saved in the run directory.
    """

    spec: TaskSpec
    dataset: Dataset
    order: NDArray[np.int64]
    requests: int
    pictured: int
    images: int
    samples_hash: str
    questions: QuestionSpool

    @property
    def encodings_saved(self) -> int:
        """Picture encodings that the order makes unnecessary."""
        return self.pictured - self.images

    def walk(self, is_answered: Callable[[Question], bool]) -> Iterator[tuple[Question, Request]]:
        """The open questions in order, with the requests that ask them; each is built when its turn comes."""
        for sample in self.dataset.in_order(self.order.tolist()):
            for question in questions_of(self.spec, sample):
                if not is_answered(question):
                    yield question, request_of(self.spec, sample, question)


def make_plan(spec: TaskSpec, dataset: Dataset) -> TaskPlan:
    """Order a task's questions. Reads every sample once, without its pixels.

    Raises:
        DataError: a sample that cannot be asked as the task says.
    """
    spool, digest = QuestionSpool(), hashlib.sha256()
    groups, group_of_image = array("q"), dict[str, int]()
    n_groups = n_requests = n_pictured = 0
    for sample in dataset:
        digest.update(bytes.fromhex(sample.content_hash))
        asked = questions_of(spec, sample)
        for question in asked:
            spool.add(question)
        n_requests += len(asked)
        group = n_groups  # without a picture there is nothing to keep together: a group of its own
        if sample.images and spec.image != "none":
            group = group_of_image.setdefault(sample.images[0].sha256, n_groups)
            n_pictured += len(asked)
        n_groups += group == n_groups
        groups.append(group)
    order = np.argsort(np.asarray(groups), kind="stable")
    return TaskPlan(spec, dataset, order, n_requests, n_pictured, len(group_of_image), digest.hexdigest(), spool)
