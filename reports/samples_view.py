"""The data of the sample browser: every sample as a short array, shared text stored once, pictures under a budget.

A page holds one JSON value (see :func:`browser_data`); ``static/samples.js`` reads it. Each task lists its rows as
arrays in the order of :data:`ROW_FIELDS`; a row has one answer for each run that the page shows, an array in the order
of :data:`ANSWER_FIELDS`. Prompts, categories and rules repeat, so rows point into one list of strings.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.records import ScoredSample
from reports.markdown import clean

PAGE_BUDGET_BYTES = 19 * 2**20  # a page stays under 20 MB whichever way megabytes are counted
TEXT_SHARE = 0.6  # of the budget; pictures get what text leaves
LONGEST_TEXT = 4_000  # characters of one prompt or answer that the page holds
STORED_EDGE_PX, SMALLEST_EDGE_PX = 384, 160  # pictures are made smaller where the stored ones do not fit
SMALL_QUALITY = 70
ROW_OVERHEAD_BYTES = 60  # brackets, numbers and the group of a row, about
ANSWER_OVERHEAD_BYTES = 90

ROW_FIELDS = ("id", "group", "prompt", "images", "references", "categories", "state", "answers")
ANSWER_FIELDS = ("text", "extracted", "rule", "score", "parts", "state", "times", "tokens", "failure")
TIMES = ("image_ms", "vision_ms", "prefill_ms", "decode_ms", "batch_ms", "batch_size", "ttft_ms", "tpot_ms")

RIGHT, PARTLY, WRONG, UNSCORED, UNPARSED, ERROR = range(6)
STATE_NAMES = ("right", "partly right", "wrong", "not scored", "unparsed", "error")
FIELDS = {"row": ROW_FIELDS, "answer": ANSWER_FIELDS, "times": TIMES, "states": STATE_NAMES}
INTEREST = {ERROR: 0, UNPARSED: 1, WRONG: 2, PARTLY: 3, UNSCORED: 4, RIGHT: 5}
CHANGED_BEFORE = 10  # a row whose runs fared differently goes before all others

Thumbnail = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task's rows for the browser.

    Attributes:
        name, title: of the task.
        metric: name of the per-sample score that decides right and wrong.
        best, worst: the score of a fully right and of a fully wrong answer.
        extracts: whether answers are parsed, so that an answer without an extracted value is a parse failure.
        runs: the rows of each run, by row id; the first run's order is the page's order.
    """

    name: str
    title: str
    metric: str
    best: float
    worst: float
    extracts: bool
    runs: tuple[Mapping[str, ScoredSample], ...]


@dataclass(slots=True)
class _Interner:
    """Strings that rows share, each stored once and cut to :data:`LONGEST_TEXT`."""

    strings: list[Any] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)

    def add(self, text: str) -> int:
        known = self.index.get(text)
        if known is not None:
            return known
        self.index[text] = len(self.strings)
        self.strings.append(clip(text))
        return len(self.strings) - 1


def clip(text: str | None) -> Any:
    """Text for the page: whole, or its beginning with the number of characters left out, ``[text, left_out]``."""
    if text is None or len(text) <= LONGEST_TEXT:
        return None if text is None else clean(text)
    return [clean(text[:LONGEST_TEXT]), len(text) - LONGEST_TEXT]


def main_score(sample: ScoredSample, metric: str) -> float | None:
    """The per-sample score under ``metric``, or under the only metric that the row has."""
    if metric in sample.scores or len(sample.scores) != 1:
        return sample.scores.get(metric)
    return next(iter(sample.scores.values()))


def state_of(sample: ScoredSample, task: TaskRows) -> int:
    """How an answer fared, an index into :data:`STATE_NAMES`; right means the full score."""
    if sample.failure is not None:
        return ERROR
    if task.extracts and sample.extracted is None:
        return UNPARSED
    score = main_score(sample, task.metric)
    if score is None:
        return UNSCORED
    right = (score - task.worst) / (task.best - task.worst)  # some error rates exceed one: less than nothing is wrong
    return RIGHT if right >= 1 - 1e-9 else PARTLY if right > 0 else WRONG


def _rounded(value: float | None) -> float | None:
    """A number short enough to be stored many times: four significant digits."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")


def _answer(sample: ScoredSample, task: TaskRows, strings: _Interner) -> list[Any]:
    timing = sample.timing
    times = [_rounded(getattr(timing, name)) for name in TIMES]
    while times and times[-1] is None:
        times.pop()
    failure = sample.failure
    return [
        clip(sample.prediction),
        None if sample.extracted is None else -1 if sample.extracted == sample.prediction else clip(sample.extracted),
        strings.add(sample.rule) if sample.rule else -1,
        _rounded(main_score(sample, task.metric)),
        {clean(name): _rounded(value) for name, value in sample.scores.items() if name != task.metric} or 0,
        state_of(sample, task),
        times,
        [sample.prompt_tokens, sample.new_tokens],
        [clip(failure.type), clip(failure.message), clip(failure.traceback)] if failure else 0,
    ]


def _row(
    present: Sequence[ScoredSample | None], task: TaskRows, strings: _Interner, pictures: dict[str, int]
) -> list[Any]:
    """One row of the page: what the runs share, then each run's answer (0 where a run lacks the row)."""
    first = next(sample for sample in reversed(present) if sample is not None)  # a baseline kept no prompts
    answers: list[Any] = [0 if sample is None else _answer(sample, task, strings) for sample in present]
    return [
        clean(first.row_id),
        clean(first.group) if first.group != first.row_id else 0,
        strings.add(first.prompt),
        [pictures.setdefault(sha256, len(pictures)) for sha256 in first.image_hashes],
        [clip(reference) for reference in first.references],
        {clean(column): strings.add(str(value)) for column, value in first.categories.items()} or 0,
        min((answer[5] for answer in answers if answer), key=INTEREST.__getitem__),
        answers,
    ]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row before it is chosen: how telling it is (lower is more), and about how many bytes it takes."""

    task: int
    present: tuple[ScoredSample | None, ...]
    interest: int
    size: int


def _size(text: str | None) -> int:
    """Bytes of a text in the page, about: clipped, and three bytes a character where it is not ASCII."""
    if text is None:
        return 4
    return min(len(text), LONGEST_TEXT) * (1 if text.isascii() else 3) + 3


def _candidates(tasks: Sequence[TaskRows]) -> list[_Candidate]:
    """Every row of every task, sized; a prompt counts where it is first met."""
    seen: set[str] = set()
    found = []
    for index, task in enumerate(tasks):
        for row_id in dict.fromkeys(row_id for run in task.runs for row_id in run):
            present = tuple(run.get(row_id) for run in task.runs)
            size, states = ROW_OVERHEAD_BYTES + len(row_id), set()
            for sample in present:
                if sample is None:
                    states.add(-1)
                    continue
                states.add(state_of(sample, task))
                size += ANSWER_OVERHEAD_BYTES + _size(sample.prediction) + sum(map(_size, sample.references))
                size += _size(sample.extracted) if sample.extracted != sample.prediction else 0
                size += _size(sample.failure.traceback) if sample.failure else 0
                if sample.prompt not in seen:
                    seen.add(sample.prompt)
                    size += _size(sample.prompt)
            interest = min(INTEREST[state] for state in states if state >= 0) - (
                CHANGED_BEFORE if len(states) > 1 else 0
            )
            found.append(_Candidate(index, present, interest, size))
    return found


def _choose(candidates: Sequence[_Candidate], budget: int) -> tuple[list[_Candidate], int]:
    """The candidates that fit in ``budget`` bytes (the most telling, in their order), and the bytes they take."""
    total = sum(candidate.size for candidate in candidates)
    if total <= budget:
        return list(candidates), total
    kept, left = [], budget
    for number in sorted(range(len(candidates)), key=lambda i: (candidates[i].interest, i)):
        left -= candidates[number].size
        if left < 0:
            break
        kept.append(number)
    return [candidates[number] for number in sorted(kept)], budget


def task_head(task: TaskRows) -> dict[str, Any]:
    """What the browser knows of a task beside its rows."""
    return {
        "name": clean(task.name),
        "title": clean(task.title),
        "metric": task.metric,
        "up": task.best > task.worst,
    }


def block(
    rows: Sequence[tuple[int, Sequence[ScoredSample | None]]],
    tasks: Sequence[TaskRows],
    picture: Callable[[str], str | None],
) -> dict[str, Any]:
    """Some rows by themselves, as a server answers them.

    Args:
        rows: number of the task, and the row of each run.
        tasks: all tasks; their own rows are not read.
        picture: where the picture of a hash can be fetched, or None.

    Returns:
        A JSON value: ``strings``, ``pictures`` and ``rows``, each ``[task, row]``.
    """
    strings, pictures = _Interner(), dict[str, int]()
    made = [[task, _row(present, tasks[task], strings, pictures)] for task, present in rows]
    return {"strings": strings.strings, "pictures": [picture(sha256) for sha256 in pictures], "rows": made}


def browser_data(
    tasks: Sequence[TaskRows],
    thumbnail: Thumbnail,
    *,
    budget: int = PAGE_BUDGET_BYTES,
    frozen: int = 0,
    left_out: int = 0,
) -> dict[str, Any]:
    """Everything the sample browser shows, within ``budget`` bytes of the page.

    Where the text of all samples does not fit, errors, unparsed and wrong answers (in a comparison changed ones first)
    are kept before right ones; where the pictures do not fit they are made smaller, then left out in the same order.
    What was left out is counted under ``kept``, for the page to say so.

    Args:
        tasks: the rows, by task.
        thumbnail: gives the JPEG of an image by its hash, or None where the run kept none.
        budget: bytes that text and pictures may take together.
        frozen: how many of the runs, the first ones, kept scores only and no answers.
        left_out: rows that there are besides these.

    Returns:
        A JSON value: ``strings``, ``pictures`` (base64 or null), ``tasks`` and ``kept``.
    """
    candidates = _candidates(tasks)
    chosen, text_size = _choose(candidates, int(budget * TEXT_SHARE))
    strings, pictures = _Interner(), dict[str, int]()
    rows = [_row(candidate.present, tasks[candidate.task], strings, pictures) for candidate in chosen]
    by_interest = sorted(range(len(chosen)), key=lambda number: chosen[number].interest)
    wanted = dict.fromkeys(picture for number in by_interest for picture in rows[number][3])
    hashes = list(pictures)
    encoded = fit_pictures([(picture, thumbnail(hashes[picture])) for picture in wanted], budget - text_size)
    return {
        "fields": FIELDS,
        "server": False,
        "frozen": frozen,
        "strings": strings.strings,
        "pictures": [encoded.get(number) for number in range(len(pictures))],
        "tasks": [
            {
                **task_head(task),
                "rows": [row for row, candidate in zip(rows, chosen, strict=True) if candidate.task == index],
            }
            for index, task in enumerate(tasks)
        ],
        "kept": {
            "rows": len(rows),
            "of_rows": len(candidates) + left_out,
            "pictures": len(encoded),
            "of_pictures": len(pictures),
        },
    }


def fit_pictures(stored: Iterable[tuple[int, bytes | None]], budget: int) -> dict[int, str]:
    """Base64 of the pictures that fit, most wanted first; made smaller where the stored ones are too many.

    Bytes that are not JPEG are left out: only re-encoded pictures belong in a page.
    """
    jpegs = [(number, data) for number, data in stored if data is not None and data[:3] == b"\xff\xd8\xff"]
    size = sum(_base64_size(len(data)) for _, data in jpegs)
    if size > budget:
        jpegs = _smaller(jpegs, budget, max(SMALLEST_EDGE_PX, int(0.9 * STORED_EDGE_PX * math.sqrt(budget / size))))
    kept = {}
    for number, data in jpegs:
        budget -= _base64_size(len(data))
        if budget < 0:
            break
        kept[number] = base64.b64encode(data).decode("ascii")
    return kept


def _base64_size(size: int) -> int:
    """Bytes of ``size`` bytes in base64, with the quotes and the comma around them."""
    return 4 * math.ceil(size / 3) + 3


def _smaller(jpegs: Sequence[tuple[int, bytes]], budget: int, edge_px: int) -> list[tuple[int, bytes]]:
    """The same pictures within a square of ``edge_px``, as many as the budget can hold."""
    import io

    from PIL import Image

    small = []
    for number, data in jpegs:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (edge_px, edge_px))
        image.thumbnail((edge_px, edge_px), Image.Resampling.BILINEAR)
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=SMALL_QUALITY)
        budget -= _base64_size(buffer.tell())
        if budget < 0:
            break
        small.append((number, buffer.getvalue()))
    return small
