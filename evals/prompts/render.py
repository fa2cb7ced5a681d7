"""Questions of a sample, and the requests that put them to a model.

A free-answer sample is one question. A multiple-choice sample is one question too, or, under the circular protocol,
one for each rotation of its options: option ``i`` stands at place ``(i - k) mod n`` in rotation ``k``, and rotation 0
is the data set's own order.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from evals.errors import DataError, SpecError
from evals.prompts.template import Template
from evals.records import Question, Sample
from evals.spec.records import MULTIPLE_CHOICE, TaskSpec
from model_adapters.contract import Request, Turn

LETTERS = string.ascii_uppercase


def questions_of(spec: TaskSpec, sample: Sample) -> list[Question]:
    """All questions of a sample under the task's protocol.

    Raises:
        DataError: the sample's options do not fit the protocol, or the template names a field that its row lacks.
    """
    if spec.protocol not in MULTIPLE_CHOICE:
        return [_question(spec, sample, sample.sample_id, sample.fields, sample.references)]
    options, right = _options(spec, sample)
    if spec.protocol != "circular":
        return [_choice_question(spec, sample, sample.sample_id, options, right)]
    n = len(options)
    return [
        _choice_question(spec, sample, f"{sample.sample_id}#{k}", [*options[k:], *options[:k]], (right - k) % n)
        for k in range(n)
    ]


def request_of(spec: TaskSpec, sample: Sample, question: Question) -> Request:
    """The request that asks one question of a sample: the pictures first, then the text, in one user turn."""
    images = sample.images if spec.image == "keep" else ()
    turns: tuple[Turn, ...] = (Turn("user", (*images, question.prompt)),)
    if spec.prompt.system is not None:
        turns = (Turn("system", (spec.prompt.system,)), *turns)
    choices: tuple[str, ...] = ()
    if spec.protocol == "likelihood":
        continuation = Template(spec.prompt.continuation)
        choices = tuple(
            continuation.render({"letter": letter, "text": text}) for letter, text in question.fields["choices"].items()
        )
    return Request(question.request_id, turns, spec.generation, choices)


def _question(spec: TaskSpec, sample: Sample, request_id: str, fields: Any, references: tuple[str, ...]) -> Question:
    try:
        prompt = Template(spec.prompt.template).render(fields)
    except KeyError as missing:
        raise DataError(
            f"Task {spec.name!r}, sample {sample.sample_id!r}: the prompt names {missing}, which its row does not have."
        ) from None
    return Question(
        request_id=request_id,
        sample_id=sample.sample_id,
        content_hash=sample.content_hash,
        cluster=sample.cluster,
        prompt=prompt,
        image_hashes=tuple(image.sha256 for image in sample.images),
        references=references,
        fields={name: value for name, value in fields.items() if name != "options"},
        categories={name: str(sample.fields[name]) for name in spec.categories if sample.fields.get(name) is not None},
    )


def _choice_question(spec: TaskSpec, sample: Sample, request_id: str, options: Sequence[str], right: int) -> Question:
    line = Template(spec.prompt.option)
    lines = [line.render({"letter": letter, "text": text}) for letter, text in zip(LETTERS, options, strict=False)]
    choices = dict(zip(LETTERS, options, strict=False))
    fields = {
        **sample.fields,
        "choices": choices,
        "options": spec.prompt.option_separator.join(lines),
        "group": sample.sample_id,
    }
    return _question(spec, sample, request_id, fields, (LETTERS[right],))


def _options(spec: TaskSpec, sample: Sample) -> tuple[list[str], int]:
    """A sample's option texts and the index of the right one."""
    options: list[str] = list(sample.fields["choices"])
    where = f"Task {spec.name!r}, sample {sample.sample_id!r}"
    if not 2 <= len(options) <= len(LETTERS):
        raise DataError(f"{where}: found {len(options)} options, expected 2 to {len(LETTERS)}. Check columns.choices.")
    answer = sample.references[0] if sample.references else ""
    match spec.columns.answer_as:
        case "letter":
            index = LETTERS.find(answer) if len(answer) == 1 else -1
        case "index":
            index = int(answer) if answer.isdecimal() else -1
        case "text":
            index = options.index(answer) if options.count(answer) == 1 else -1
        case other:
            raise SpecError(f"{where}: unknown answer_as {other!r}.")
    if not 0 <= index < len(options):
        raise DataError(
            f"{where}: the answer {answer!r} names none of its {len(options)} options by {spec.columns.answer_as}. "
            "Check columns.references and columns.answer_as."
        )
    return options, index
