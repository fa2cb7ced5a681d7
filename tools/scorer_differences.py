"""On how many reference cases each suite's scorer differs from the official one: the table in docs/scoring.md.

    python tools/scorer_differences.py ../shared/golden

The folder holds, for each scorer, predictions and references with the official scorer's result (``score``) and what
lmms-eval and VLMEvalKit make of them. "Ours" is computed here and now.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evals.extract import get_extractor
from evals.metrics import get_metric

TOLERANCE = 1e-9
Case = dict[str, Any]


def metric_scores(name: str, **columns: str) -> Callable[[list[Case]], list[Any]]:
    """Our metric's scores; ``columns`` maps its columns to keys of a case."""

    def scores(cases: list[Case]) -> list[Any]:
        given = {ours: [case.get(theirs) for case in cases] for ours, theirs in columns.items()}
        return get_metric(name).score_samples(
            [c["prediction"] for c in cases], [c["references"] for c in cases], **given
        )

    return scores


def extracted(name: str, missing: Any, **context: str) -> Callable[[list[Case]], list[Any]]:
    """Our extractor's values; ``missing`` is how the file writes that nothing could be read."""
    extract = get_extractor(name)

    def values(cases: list[Case]) -> list[Any]:
        found = [extract(c["prediction"], **{ours: c[theirs] for ours, theirs in context.items()})[0] for c in cases]
        return [missing if value is None else value for value in found]

    return values


# Title, file, our computation, the official column, and each suite's column. Yes/no words are compared without case.
TABLE: tuple[tuple[str, str, Callable[[list[Case]], list[Any]], str, str, str], ...] = (
    ("VQA v2 accuracy", "vqa_v2", metric_scores("vqa_accuracy"), "score", "score_lmms_eval", "score_vlmevalkit"),
    ("TextVQA accuracy", "textvqa", metric_scores("textvqa_accuracy"), "score", "score_lmms_eval", "score_vlmevalkit"),
    ("ANLS, DocVQA", "anls_docvqa", metric_scores("anls"), "score", "score_lmms_eval", "score_vlmevalkit"),
    ("ANLS, InfographicVQA", "infovqa", metric_scores("anls"), "score", "score_lmms_eval", "score_vlmevalkit"),
    ("ChartQA", "chartqa_relaxed", metric_scores("relaxed_accuracy"), "score", "score_lmms_eval", "score_vlmevalkit"),
    (
        "OCRBench",
        "ocrbench",
        metric_scores("ocrbench", dataset="dataset", question_type="question_type"),
        "score",
        "score_lmms_eval",
        "score_vlmevalkit",
    ),
    ("MME, reading yes/no", "mme", extracted("mme", "other"), "score", "score_lmms_eval", "score_vlmevalkit"),
    ("POPE, reading yes/no", "pope", extracted("pope", "other"), "score", "score_lmms_eval", "score_vlmevalkit"),
    (
        "MMBench, reading the option",
        "mmbench_infer",
        extracted("mmbench", False, choices="choices"),
        "score",
        "score_lmms_eval_can_infer",
        "score",
    ),
)


def differences(theirs: list[Any], official: list[Any]) -> int:
    """Cases in which two columns disagree."""
    return sum(not _equal(a, b) for a, b in zip(theirs, official, strict=True))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return _word(a) == _word(b)
    if (
        isinstance(a, int | float)
        and isinstance(b, int | float)
        and not isinstance(a, bool)
        and not isinstance(b, bool)
    ):
        return abs(a - b) <= TOLERANCE
    return type(a) is type(b) and a == b


def _word(text: str) -> str:
    """A value without case; VLMEvalKit writes Unknown where the others write other."""
    return text.lower().replace("unknown", "other")


def main() -> None:
    """Print the table as Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    folder = arguments.parse_args().folder
    print("| scorer | cases | ours | lmms-eval | VLMEvalKit |\n|---|--:|--:|--:|--:|")
    for title, name, ours, official, lmms, vlmevalkit in TABLE:
        content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        # A null score: the official script cannot hold such a reply (a tab or line break in its results file).
        cases = [c for c in content.get("cases") or content["parse_cases"] if c[official] is not None]
        right = [case[official] for case in cases]
        counts = [
            differences(ours(cases), right),
            differences([case[lmms] for case in cases], right),
            differences([case[vlmevalkit] for case in cases], right),
        ]
        print(f"| {title} | {len(cases)} | " + " | ".join(map(str, counts)) + " |")


if __name__ == "__main__":
    main()
