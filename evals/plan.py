"""What a run will do, before it does it: which questions, in which order, and how much the order saves.

All questions on one picture come together, in the order in which the pictures first appear, and rotations of one
question stay beside each other. So an adapter that keeps its last pictures' features encodes each picture once, and one
that keeps prefixes prefills each question's stem once.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from evals.data import Dataset
from evals.errors import StoreError
from evals.files import canonical_json, write_atomically
from evals.prompts.render import questions_of, request_of
from evals.records import Question
from evals.spec.records import TaskSpec
from model_adapters.contract import Request


@dataclass(frozen=True, slots=True)
class Step:
    """One question's place in the plan.

    Attributes:
        index: of the sample in the data set.
        rotation: which of the sample's questions.
        request_id, content_hash: of the question; what the journal is asked for.
        image: hash of its first picture; "" without one.
    """

    index: int
    rotation: int
    request_id: str
    sample_id: str
    content_hash: str
    image: str


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The questions of one task in the order in which they are asked."""

    spec: TaskSpec
    dataset: Dataset
    steps: tuple[Step, ...]

    @property
    def images(self) -> int:
        """Distinct pictures."""
        return len({step.image for step in self.steps if step.image})

    @property
    def encodings_saved(self) -> int:
        """Picture encodings that the order makes unnecessary."""
        return sum(1 for step in self.steps if step.image) - self.images

    def requests(self, skip: Collection[str]) -> Iterator[Request]:
        """The requests in order, without those already answered; a sample is built when its turn comes."""
        for step in self.steps:
            if step.request_id not in skip:
                sample = self.dataset[step.index]
                yield request_of(self.spec, sample, questions_of(self.spec, sample)[step.rotation])


def make_plan(spec: TaskSpec, dataset: Dataset) -> tuple[TaskPlan, list[Question]]:
    """Order a task's questions; also returns the questions themselves in the data set's order."""
    questions: list[Question] = []
    groups: dict[str, list[Step]] = {}
    for index, sample in enumerate(dataset):
        asked = questions_of(spec, sample)
        questions += asked
        image = sample.images[0].sha256 if sample.images and spec.image == "keep" else ""
        # Without a picture there is nothing to keep together, so each sample is its own group.
        group = groups.setdefault(image or f"sample {index}", [])
        group += [
            Step(index, rotation, q.request_id, q.sample_id, q.content_hash, image) for rotation, q in enumerate(asked)
        ]
    return TaskPlan(spec, dataset, tuple(step for group in groups.values() for step in group)), questions


def write_questions(path: Path, questions: list[Question]) -> None:
    """Keep the questions in the run directory: JSON lines, gzipped with a fixed time stamp to be reproducible."""

    def write(file: object) -> None:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:  # type: ignore[call-overload]
            for question in questions:
                packed.write(canonical_json(asdict(question)) + b"\n")

    write_atomically(path, write)


def read_questions(path: Path) -> list[Question]:
    """The questions that :func:`write_questions` kept.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [_question(json.loads(line)) for line in lines]
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist: nothing was asked yet. Run the same `run` command again.") from None
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}). Delete it and run the same `run` command again.") from error


def _question(line: dict[str, object]) -> Question:
    for name in ("image_hashes", "references"):
        line[name] = tuple(line[name])  # type: ignore[arg-type]
    return Question(**line)  # type: ignore[arg-type]
