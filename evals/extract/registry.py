"""Extractors by name. An extractor maps ``(text, **context)`` to ``(value or None, name of the rule that fired)``."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from evals.errors import SpecError, did_you_mean


class Extractor(Protocol):
    """Reads an answer out of a reply. ``choices`` maps option letters to option texts where the task has options."""

    def __call__(self, text: str, **context: Any) -> tuple[str | None, str]: ...


EXTRACTORS: dict[str, str] = {
    "ai2d": "evals.extract.simple_choice:ai2d",
    "cmmmu": "evals.extract.cmmmu:cmmmu",
    "first_letter": "evals.extract.simple_choice:first_letter",
    "gsm8k": "evals.extract.gsm8k:gsm8k",
    "hallusion": "evals.extract.vlmevalkit_yes_no:vlmevalkit_yes_no",
    "mathvision": "evals.extract.mathvision:mathvision",
    "mathvista": "evals.extract.mathvista:mathvista",
    "mmbench": "evals.extract.mmbench:mmbench",
    "mme": "evals.extract.mme:mme",
    "mmmu": "evals.extract.mmmu:mmmu",
    "pope": "evals.extract.pope:pope",
    "robust": "evals.extract.robust:robust",
    "scienceqa": "evals.extract.simple_choice:scienceqa",
    "scienceqa_llava": "evals.extract.simple_choice:scienceqa_llava",
    "seedbench": "evals.extract.simple_choice:seedbench",
    "verbatim": "evals.extract.verbatim:verbatim",
    "vlmevalkit_yes_no": "evals.extract.vlmevalkit_yes_no:vlmevalkit_yes_no",
    "yes_no": "evals.extract.yes_no:yes_no",
}

# Raised whenever a rule can read a reply otherwise than before; 1 where it never did.
VERSIONS: dict[str, int] = {
    "mathvista": 2,  # options as robust reads them
    "robust": 2,  # traditional Chinese, "【答案】B", "B。" in front
    "yes_no": 2,  # traditional Chinese, "并没有"
}


def extractor_version(name: str) -> int:
    """The version of an extractor's rules, part of a result's identity."""
    return VERSIONS.get(name, 1)


def get_extractor(name: str) -> Extractor:
    """An extractor by name. Raises :class:`SpecError` with the nearest name if unknown."""
    if name not in EXTRACTORS:
        hint = did_you_mean(name, EXTRACTORS)
        raise SpecError(f"Unknown extractor {name!r}.{hint} Known extractors: {', '.join(sorted(EXTRACTORS))}.")
    module, _, attribute = EXTRACTORS[name].partition(":")
    extractor: Extractor = getattr(importlib.import_module(module), attribute)
    return extractor
