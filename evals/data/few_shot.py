"""Worked examples before a question: drawn once from a pool by a fixed seed, the same on every machine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from evals.errors import DataError
from evals.prompts.options import option_lines, right_option
from evals.prompts.template import Template
from evals.records import Sample
from evals.spec.data_records import FewShot
from evals.spec.records import PromptSpec


class Examples:
    """The example texts of a task.

    Args:
        pool: samples that examples are drawn from; a sample is never its own example.
        answer_as: how the pool's references name the right option.
    """

    def __init__(self, prompt: PromptSpec, shots: FewShot, pool: Sequence[Sample], answer_as: str) -> None:
        self._prompt, self._shots, self._answer_as = prompt, shots, answer_as
        self._template = Template(shots.template)
        self._pool: dict[str, list[tuple[str, str]]] = {}
        gathered: dict[str, list[Sample]] = {}
        for sample in pool:
            gathered.setdefault(self._group(sample.fields), []).append(sample)
        for group, samples in gathered.items():
            if shots.seed is not None:
                random.Random(f"{shots.seed}/{group}").shuffle(samples)
            # One more than needed, in case the sample that asks is among them.
            self._pool[group] = [(s.sample_id, self._text(s)) for s in samples[: shots.count + 1]]
        self._own_rows = not shots.split and not shots.configs

    def _group(self, fields: Mapping[str, Any]) -> str:
        return str(fields[self._shots.by]) if self._shots.by else ""

    def _text(self, sample: Sample) -> str:
        options = sample.fields.get("choices")
        if options:
            answer = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[right_option(options, sample.references, self._answer_as)]
        else:
            answer = sample.references[0]
        return self._template.render(
            {**sample.fields, "options": option_lines(self._prompt, options or []), "answer": answer}
        )

    def text(self, sample_id: str, fields: Mapping[str, Any]) -> str:
        """The examples for one sample, each followed by the separator.

        Raises:
            DataError: the pool has too few for the sample's group.
        """
        group = self._group(fields)
        pool = [text for name, text in self._pool.get(group, []) if not (self._own_rows and name == sample_id)]
        if len(pool) < self._shots.count:
            raise DataError(
                f"Sample {sample_id!r}: the pool has {len(pool)} examples"
                f"{f' with {self._shots.by} {group!r}' if self._shots.by else ''}, expected {self._shots.count}. "
                "Correct prompt.few_shot."
            )
        return "".join(text + self._shots.separator for text in pool[: self._shots.count])
