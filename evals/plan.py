"""What a run will do, before it does it: which questions, in which order, and how much the order saves.

All questions on one picture come together, in the order in which the pictures first appear, and rotations of one
question stay beside each other. So an adapter that keeps its last pictures' features encodes each picture once, and one
that keeps prefixes prefills each question's stem once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
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
    """The questions of one task in the order in which they are asked. It costs 15 bytes a sample.

    Attributes:
        order: places of the samples in the data set, shape (samples,).
        starts: whether a new picture begins here, for each place of the order, shape (samples,).
        counts: questions of each sample in the order, shape (samples,).
        requests: questions in all, rotations counted.
        pictured: questions that carry a picture.
        images: distinct pictures.
        samples_hash: fingerprint of the sample set, see :func:`evals.identity.samples_hash`.
        questions: the questions in the data set's order, to be saved in the run directory.
    """

    spec: TaskSpec
    dataset: Dataset
    order: NDArray[np.int32]
    starts: NDArray[np.bool_]
    counts: NDArray[np.uint16]
    requests: int
    pictured: int
    images: int
    samples_hash: str
    questions: QuestionSpool

    @property
    def encodings_saved(self) -> int:
        """Picture encodings that the order makes unnecessary."""
        return self.pictured - self.images

    @property
    def prefills_saved(self) -> int:
        """Requests whose prompt begins as that of the request before: with the same picture, or with the same question
        where there is none. An adapter that keeps prefixes reads that beginning once."""
        return self.requests - int(self.starts.sum())

    def savings(self) -> dict[str, int]:
        """What the order makes unnecessary, for the record."""
        return {
            "requests": self.requests,
            "images": self.images,
            "encodings_saved": self.encodings_saved,
            "prefills_saved": self.prefills_saved,
        }

    def requests_in(self, part: range) -> int:
        """Questions in a part of the order."""
        return int(self.counts[part.start : part.stop].sum())

    def walk(
        self, is_answered: Callable[[Question], bool], part: range | None = None
    ) -> Iterator[tuple[Question, Request]]:
        """The open questions of the order, or of a part of it, with the requests that ask them. They were made when the
        plan was, and are not made again."""
        for place in map(int, self.order if part is None else self.order[part.start : part.stop]):
            for question in self.questions.of(place):
                if not is_answered(question):
                    pictures = self.dataset.pictures_of(place, question)
                    yield question, request_of(self.spec, pictures, question)


def open_questions(
    spec: TaskSpec, dataset: Dataset, places: Sequence[int], is_answered: Callable[[Question], bool]
) -> Iterator[tuple[Question, Request]]:
    """The open questions of the samples at these places of the data set, in this order, with the requests that ask
    them; each is built when its turn comes, for those who have the data but not the plan."""
    for sample in dataset.in_order(places):
        for question in questions_of(spec, sample):
            if not is_answered(question):
                yield question, request_of(spec, sample.images, question)


def make_plan(spec: TaskSpec, dataset: Dataset) -> TaskPlan:
    """Order a task's questions. Reads every sample once, without its pixels.

    Raises:
        DataError: a sample that cannot be asked as the task says.
    """
    spool, digest = QuestionSpool(), hashlib.sha256()
    groups, counts, group_of_image = array("i"), array("H"), dict[str, int]()
    n_groups = n_requests = n_pictured = 0
    for sample in dataset:
        digest.update(bytes.fromhex(sample.content_hash))
        asked = questions_of(spec, sample)
        spool.add(asked)
        n_requests += len(asked)
        group = n_groups  # without a picture there is nothing to keep together: a group of its own
        if sample.images and spec.image != "none":
            group = group_of_image.setdefault(sample.images[0].sha256, n_groups)
            n_pictured += len(asked)
        n_groups += group == n_groups
        groups.append(group)
        counts.append(len(asked))
    order = np.argsort(np.asarray(groups), kind="stable").astype(np.int32)
    return TaskPlan(
        spec=spec,
        dataset=dataset,
        order=order,
        starts=np.diff(np.asarray(groups)[order], prepend=-1) != 0,
        counts=np.asarray(counts)[order],
        requests=n_requests,
        pictured=n_pictured,
        images=len(group_of_image),
        samples_hash=digest.hexdigest(),
        questions=spool,
    )
