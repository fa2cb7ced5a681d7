"""CPU time of our scorers beside the usual ones, side by side in one run, on generated data.

    python benchmarks/scoring.py [--scale 1.0] [--million]

Prints a Markdown table of CPU seconds (``time.process_time``, and the children's for Java) and ratios. The VQA loop
beside ours is a plain one written from the description of the official script; ANLS beside ours is a plain dynamic
programme; captions are compared with pycocoevalcap where it is installed (its tokenizer needs Java), else that cell is
empty.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import re
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evals.metrics import get_metric
from evals.metrics.vqa import ARTICLES, CONTRACTIONS, NUMBER_WORDS

SEED = 20240417


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    task: str
    ours_s: float
    other: str
    other_s: float | None
    largest_difference: float | None


def cpu_seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of a call, of this process and of children that end during it; and its result."""
    before, children = time.process_time(), os.times()
    result = function()
    after = os.times()
    spent = after.children_user + after.children_system - children.children_user - children.children_system
    return time.process_time() - before + spent, result


# ---- generated data --------------------------------------------------------------------------------------------------


def vocabulary(size: int, rng: random.Random) -> list[str]:
    letters = "etaoinshrdlucmfwypvbgk"
    return ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(size)]


def answers(n: int, rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """Short answers as ten people give them: mostly agreeing, some with articles, commas, capitals or periods."""
    words = [*vocabulary(3000, rng), "yes", "no", "2", "red", "one"]
    edits = [str, str, str, str.capitalize, "the {}".format, "{}.".format, "{}, left".format]
    predictions, references = [], []
    for _ in range(n):
        said = [" ".join(rng.choices(words, k=rng.choice([1, 1, 1, 2, 3]))) for _ in range(rng.choice([1, 2, 3]))]
        references.append([rng.choice(edits)(rng.choice(said)) for _ in range(10)])
        predictions.append(rng.choice(edits)(said[0]))
    return predictions, references


def captions(n: int, rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """Captions of about eleven words with a Zipf-like vocabulary, five references an image that share words."""
    words = vocabulary(12_000, rng)
    weights = [1 / (rank + 10) for rank in range(len(words))]
    drawn = iter(rng.choices(words, weights, k=n * 40))
    predictions, references = [], []
    for _ in range(n):
        topic = [next(drawn) for _ in range(8)]

        def caption(topic: list[str] = topic) -> str:
            body = rng.sample(topic, 5) + [next(drawn) for _ in range(5)]
            rng.shuffle(body)
            end = rng.choice([".", ".", "", ", it's 3 o'clock."])
            return f"A {' '.join(body)}{end}"

        references.append([caption() for _ in range(5)])
        predictions.append(caption())
    return predictions, references


# ---- plain implementations -------------------------------------------------------------------------------------------

MARKS = list(';/[]"{}()=+\\_-><@`,?!')


def plain_vqa_normalise(text: str) -> str:
    out = text
    for mark in MARKS:
        if f"{mark} " in text or f" {mark}" in text or re.search(r"(\d)(,)(\d)", text) is not None:
            out = out.replace(mark, "")
        else:
            out = out.replace(mark, " ")
    out = re.sub(r"\.(?!\d)", "", out, count=32)
    words = [NUMBER_WORDS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def plain_vqa(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """One answer at a time, each of the ten left out in turn, nothing remembered."""
    scores = []
    for prediction, accepted in zip(predictions, references, strict=True):
        given = [text.replace("\n", " ").replace("\t", " ").strip() for text in accepted]
        said = prediction.replace("\n", " ").replace("\t", " ").strip()
        if len(set(given)) > 1:
            given, said = [plain_vqa_normalise(text) for text in given], plain_vqa_normalise(said)
        people = list(enumerate(given))
        parts = []
        for person in people:
            others = [other for other in people if other != person]
            parts.append(min(1.0, len([other for other in others if other[1] == said]) / 3))
        scores.append(sum(parts) / len(parts))
    return scores


def plain_distance(left: str, right: str) -> int:
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        current = [i]
        for j, b in enumerate(right, start=1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (a != b)))
        previous = current
    return previous[-1]


def plain_anls(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    scores = []
    for prediction, accepted in zip(predictions, references, strict=True):
        distances = []
        for text in accepted:
            folded, said = " ".join(text.lower().split()), " ".join(prediction.lower().split())
            longest = max(len(text.upper()), len(prediction.upper()))
            distances.append(plain_distance(folded, said) / longest if longest else 0.0)
        best = 1 - min(distances)
        scores.append(best if best >= 0.5 else 0.0)
    return scores


def pycocoevalcap_cider(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    accepted = tokenizer.tokenize({i: [{"caption": t} for t in texts] for i, texts in enumerate(references)})
    given = tokenizer.tokenize({i: [{"caption": text}] for i, text in enumerate(predictions)})
    return [float(score) for score in Cider().compute_score(accepted, given)[1]]


# ---- the table -------------------------------------------------------------------------------------------------------


def compare(task: str, metric: str, data: tuple[list[str], list[list[str]]], other: str, run: Any) -> Row:
    """One metric of ours against another implementation on the same rows."""
    ours_s, ours = cpu_seconds(lambda: get_metric(metric).score_samples(*data))
    if run is None:
        return Row(task, ours_s, other, None, None)
    other_s, theirs = cpu_seconds(lambda: run(*data))
    return Row(task, ours_s, other, other_s, max(abs(a - b) for a, b in zip(ours, theirs, strict=True)))


def rows(scale: float) -> list[Row]:
    """All comparisons, sizes multiplied by ``scale``."""
    rng = random.Random(SEED)
    qa = answers(int(10_000 * scale), rng)
    single = (qa[0], [accepted[:2] for accepted in qa[1]])
    java = importlib.util.find_spec("pycocoevalcap") is not None and shutil.which("java") is not None
    cider = pycocoevalcap_cider if java else None
    result = [
        compare(f"VQA, {len(qa[0]):,} × 10 answers", "vqa_accuracy", qa, "plain VQA loop", plain_vqa),
        compare(f"ANLS, {len(single[0]):,} × 2 references", "anls", single, "plain dynamic programme", plain_anls),
    ]
    for images in (int(5_000 * scale), int(40_000 * scale)):
        data = captions(images, rng)
        task = f"tokenise + CIDEr, {images:,} × 5 captions"
        result.append(compare(task, "cider", data, "pycocoevalcap with Java", cider))
    return result


def print_table(table: Sequence[Row]) -> None:
    print("| task | ours, CPU s | beside | its CPU s | ratio | largest difference of a score |")
    print("|---|---:|---|---:|---:|---:|")
    for row in table:
        if row.other_s is None or row.largest_difference is None:
            print(f"| {row.task} | {row.ours_s:.3f} | {row.other} (not installed) | | | |")
        else:
            ratio = row.other_s / row.ours_s
            numbers = f"{row.other_s:.2f} | {ratio:.1f} | {row.largest_difference:.1e}"
            print(f"| {row.task} | {row.ours_s:.3f} | {row.other} | {numbers} |")


def main() -> None:
    """Parse the options, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all sizes (default 1)")
    parser.add_argument("--million", action="store_true", help="also 1,000,000 VQA samples, with the peak memory")
    options = parser.parse_args()
    print_table(rows(options.scale))
    if options.million:
        predictions, references = answers(10_000, random.Random(SEED))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        spent, _ = cpu_seconds(lambda: get_metric("vqa_accuracy").compute(predictions * 100, references * 100))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"\n1,000,000 VQA samples: {spent:.1f} s CPU, peak resident memory {peak:,.0f} MiB ({before:,.0f} before)."
        )


if __name__ == "__main__":
    main()
