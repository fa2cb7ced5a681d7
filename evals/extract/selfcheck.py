"""Checks an installation's extractors against the vectors that ship with it (``doctor --scorers``).

A vector file is ``evals/extract/vectors/<name>.json``::

    {"extractor": "robust",
     "cases": [{"text": "(B)", "context": {"choices": ["cat", "dog"]}, "value": "B", "rule": "letter"}]}

The inputs are this project's own; the values are what the official code gives, where there is one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.extract.registry import get_extractor

VECTORS = Path(__file__).parent / "vectors"


@dataclass(frozen=True, slots=True)
class ExtractorResult:
    """How an extractor did on its vectors.

    Attributes:
        extractor: the registry name.
        source: whose reading it is: the first sentence of its module.
        checked: how many replies were read.
        differences: one sentence for each that differs; empty is good.
    """

    extractor: str
    source: str
    checked: int
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every reply was read as expected and there was one to read."""
        return self.checked > 0 and not self.differences


def check_extractors(folder: Path = VECTORS) -> list[ExtractorResult]:
    """Read every vector file in ``folder``, in the order of their names."""
    return [check_extractor_file(path) for path in sorted(folder.glob("*.json"))]


def check_extractor_file(path: Path) -> ExtractorResult:
    """Read the replies of one vector file and list what differs from it."""
    vectors: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    extractor = get_extractor(vectors["extractor"])
    differences = []
    for number, case in enumerate(vectors["cases"]):
        expected, found = (case["value"], case["rule"]), extractor(case["text"], **case.get("context", {}))
        if found != expected:
            differences.append(f"case {number} ({case['text']!r:.60}): expected {expected}, found {found}")
    described = (sys.modules[extractor.__module__].__doc__ or "").partition("\n\n")[0]
    source = " ".join(described.split()).rstrip(".")
    return ExtractorResult(vectors["extractor"], source, len(vectors["cases"]), tuple(differences))
