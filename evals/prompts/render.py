"""Questions of a sample, and the requests that put them to a model.

A free-answer sample is one question. A multiple-choice sample is one question too, or, under the circular protocol,
one for each rotation of its options: option ``i`` stands at place ``(i - k) mod n`` in rotation ``k``, and rotation 0
is the data set's own order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.errors import DataError
from evals.prompts.options import LETTERS, option_lines, right_option
from evals.prompts.template import Template
from evals.records import Question, Sample
from evals.spec.records import MULTIPLE_CHOICE, TaskSpec
from model_adapters.contract import ImageRef, Request, Turn

__all__ = ["LETTERS", "questions_of", "request_of"]

# What a prompt may name but metrics never read; left out of what is kept of a question.
PROMPT_ONLY = frozenset({"options", "examples"})


def questions_of(spec: TaskSpec, sample: Sample) -> list[Question]:
    """All questions of a sample under the task's protocol.

    Raises:
        DataError: the sample's options do not fit the protocol, or the template names a field that its row lacks.
    """
    options: list[str] = list(sample.fields.get("choices") or [])
    if spec.protocol not in MULTIPLE_CHOICE:
        if "choices" in sample.fields:
            return [_choice_question(spec, sample, sample.sample_id, options, sample.references)]
        return [_question(spec, sample, sample.sample_id, sample.fields, sample.references)]
    try:
        right = right_option(options, sample.references, spec.columns.answer_as)
    except DataError as error:
        raise DataError(f"Task {spec.name!r}, sample {sample.sample_id!r}: {error}") from None
    if spec.protocol != "circular":
        return [_choice_question(spec, sample, sample.sample_id, options, (LETTERS[right],))]
    n = len(options)
    return [
        _choice_question(
            spec, sample, f"{sample.sample_id}#{k}", [*options[k:], *options[:k]], (LETTERS[(right - k) % n],)
        )
        for k in range(n)
    ]


def request_of(spec: TaskSpec, pictures: tuple[ImageRef, ...], question: Question) -> Request:
    """The request that asks one question about its sample's pictures, in one user turn: pictures and text, the
    pictures first unless the prompt marks their places."""
    images = () if spec.image == "none" else pictures
    turns: tuple[Turn, ...] = (Turn("user", _content(question.prompt, images, spec.prompt.image_mark)),)
    if spec.prompt.system is not None:
        turns = (Turn("system", (spec.prompt.system,)), *turns)
    choices: tuple[str, ...] = ()
    if spec.protocol == "likelihood":
        continuation = Template(spec.prompt.continuation)
        choices = tuple(
            continuation.render({"letter": letter, "text": text}) for letter, text in question.fields["choices"].items()
        )
    return Request(question.request_id, turns, spec.generation, choices)


def _content(text: str, images: tuple[ImageRef, ...], mark: str | None) -> tuple[str | ImageRef, ...]:
    """Text and pictures in order. A mark that comes again stays text: its picture was shown already."""
    if mark is None:
        return (*images, text)
    marks = [Template(mark).render({"n": n}) for n in range(1, len(images) + 1)]
    places = sorted((text.find(m), n) for n, m in enumerate(marks) if m in text)
    placed = {n for _, n in places}
    content: list[str | ImageRef] = [image for n, image in enumerate(images) if n not in placed]
    end = 0
    for start, n in places:
        content += [text[end:start], images[n]]
        end = start + len(marks[n])
    return tuple(part for part in (*content, text[end:]) if part != "")


def _question(
    spec: TaskSpec, sample: Sample, request_id: str, fields: Mapping[str, Any], references: tuple[str, ...]
) -> Question:
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
        fields={name: value for name, value in fields.items() if name not in PROMPT_ONLY},
        categories={name: str(sample.fields[name]) for name in spec.categories if sample.fields.get(name) is not None},
    )


def _choice_question(
    spec: TaskSpec, sample: Sample, request_id: str, options: Sequence[str], references: tuple[str, ...]
) -> Question:
    fields = {
        **sample.fields,
        "choices": dict(zip(LETTERS, options, strict=False)),
        "options": option_lines(spec.prompt, options),
        "group": sample.sample_id,
    }
    return _question(spec, sample, request_id, fields, references)
