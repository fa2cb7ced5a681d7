"""A task's card: what a person wants to know before running it, from its YAML and, where it is there, from its data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from evals.spec.data_records import DataSpec
from evals.spec.records import Published, TaskSpec

if TYPE_CHECKING:
    from model_adapters.contract import ImageRef, ModelAdapter, Request

LOOK_AT = 64  # pictures whose sizes are looked at


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What the data itself says.

    Attributes:
        samples, requests: of the whole set.
        several_pictures: samples with more pictures than the image policy shows.
        example_id, prompt: of the first sample; the prompt as the harness sends it, or as the model gets it.
        references: of the first sample.
        prompt_tokens: as the model counts them, pictures included; null without a model.
        widths, heights: smallest, median and largest of the first pictures, in pixels; null without pictures.
    """

    samples: int
    requests: int
    several_pictures: int
    example_id: str
    prompt: str
    references: tuple[str, ...]
    prompt_tokens: int | None
    widths: tuple[int, int, int] | None
    heights: tuple[int, int, int] | None


def look_at_data(spec: TaskSpec, data_root: Path, cache: Path, adapter: ModelAdapter | None = None) -> DataFacts:
    """Open a task's data and describe it.

    Args:
        adapter: a model whose own prompt text and token count are wanted.

    Raises:
        DataError: the data is not there or not what the task says.
    """
    from evals.data import open_dataset
    from evals.prompts import questions_of, request_of

    dataset = open_dataset(spec, data_root, cache)
    sample = dataset[0]
    question = questions_of(spec, sample)[0]
    request = request_of(spec, sample.images, question)
    pictures = [picture for s in dataset[:LOOK_AT] for picture in s.images][:LOOK_AT]
    sizes = [_size(picture) for picture in pictures]
    return DataFacts(
        samples=len(dataset),
        requests=len(dataset) if spec.protocol != "circular" else sum(len(questions_of(spec, s)) for s in dataset),
        several_pictures=dataset.several_pictures,
        example_id=sample.sample_id,
        prompt=question.prompt if adapter is None else adapter.prompt_text(request),
        references=question.references,
        prompt_tokens=None if adapter is None else _count_tokens(adapter, request),
        widths=_spread([width for width, _ in sizes]),
        heights=_spread([height for _, height in sizes]),
    )


def _size(picture: ImageRef) -> tuple[int, int]:
    return picture.open().size


def _spread(values: list[int]) -> tuple[int, int, int] | None:
    return (min(values), round(median(values)), max(values)) if values else None


def _count_tokens(adapter: ModelAdapter, request: Request) -> int | None:
    """The prompt's tokens as the model reports them with an answer of one token."""
    from dataclasses import replace

    short = replace(request, generation=replace(request.generation, max_new_tokens=1, num_beams=1))
    answers = adapter.score_choices([request]) if request.choices else adapter.generate([short])
    return next(iter(answers)).usage.prompt_tokens


def card_rows(spec: TaskSpec) -> list[tuple[str, str]]:
    """The facts of a task's YAML as name and text, those that are set."""
    rows = [
        ("family", spec.family),
        ("languages", ", ".join(spec.languages)),
        ("licence", spec.licence),
        ("home", spec.home),
        ("paper", spec.paper),
        ("data", "; ".join(_data_facts(spec.data))),
        ("pictures", _pictures(spec)),
        ("protocol", spec.protocol),
        ("decoding", _decoding(spec)),
        ("extractor", spec.extractor),
        ("metrics", ", ".join(use.name for use in spec.metrics)),
        ("headline", spec.headline or f"the headline of {spec.metrics[0].name}"),
        ("broken down by", ", ".join(spec.categories)),
        ("chance", "" if spec.chance is None else f"{100 * spec.chance:.3g} %"),
        ("presets", ", ".join(["default", *spec.presets])),
    ]
    return [(name, text) for name, text in rows if text]


def _data_facts(data: DataSpec) -> Iterator[str]:
    match data.source:
        case "hub":
            configs = (
                f" ({', '.join(data.configs[:3])}{', ...' if len(data.configs) > 3 else ''})" if data.configs else ""
            )
            yield f"hub {data.id}{configs}, split {data.split}"
            if data.aliases:
                yield f"also known as {', '.join(data.aliases)}"
            if data.revision:
                yield f"revision {data.revision}"
        case "vlmevalkit":
            yield f"{data.tsv}.tsv of VLMEvalKit, md5 {data.md5 or 'unknown'}"
        case "generated":
            yield f"made here from seed {data.seed}"
        case _:
            yield f"files {', '.join(data.files)} below the data root"
    if data.expected_count is not None:
        yield f"{data.expected_count:,} rows"
    if data.keep or data.drop:
        yield "some rows left out"
    if data.hashed_subset:
        yield f"{data.hashed_subset:,} of them by hash of their ids"
    if not data.verified:
        yield "not verified: columns and count are checked on first use"


def _pictures(spec: TaskSpec) -> str:
    if not spec.columns.images:
        return "none"
    policy = {
        "keep": "all are shown",
        "none": "not shown",
        "first": "of several only the first is shown",
        "grid": "several are shown as one, side by side",
        "skip": "samples with several are left out",
    }
    return policy[spec.image]


def _decoding(spec: TaskSpec) -> str:
    settings = spec.generation
    if spec.protocol == "likelihood":
        return "one forward pass an option"
    beams = f"{settings.num_beams} beams" if settings.num_beams > 1 else "sampled" if settings.do_sample else "greedy"
    penalty = f", repetition penalty {settings.repetition_penalty}" if settings.repetition_penalty != 1 else ""
    return f"{beams}{penalty}, at most {settings.max_new_tokens} tokens"


def published_row(result: Published, scale_to_percent: bool = True) -> dict[str, Any]:
    """One published result as the card's table has it; fractions are shown as percent."""
    fraction = scale_to_percent and result.value <= 1
    return {
        "model": result.model,
        "value": f"{100 * result.value:.2f}" if fraction else f"{result.value:,.2f}",
        "of": result.statistic or "headline",
        "date": result.date,
        "protocol": result.protocol,
        "preset": result.preset or "",
        "source": result.source,
    }


def card_markdown(spec: TaskSpec) -> str:
    """A task's card for the documentation; it needs no data."""
    lines = [f"### {spec.name}", "", f"**{spec.title}.** {spec.description.strip()}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(text)} |" for name, text in card_rows(spec)]
    lines += ["", "```text", spec.prompt.template, "```"]
    if spec.published:
        rows = [published_row(result) for result in spec.published]
        names = [name for name in rows[0] if any(row[name] for row in rows)]
        lines += ["", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
        lines += [f"| {' | '.join(_cell(str(row[name])) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def catalogue_markdown(specs: list[TaskSpec]) -> str:
    """The cards of all tasks, family by family, with a table of contents."""
    families = sorted({spec.family for spec in specs})
    lines = [
        "# Tasks",
        "",
        "Made by `tools/make_task_cards.py` from the YAML files in `tasks/`; do not edit. "
        "`run_eval.py show TASK` prints a card with an example from the data.",
        "",
        f"{len(specs)} tasks:",
        "",
    ]
    for family in families:
        names = [f"[{spec.name}](#{spec.name})" for spec in specs if spec.family == family]
        lines.append(f"- **{family.replace('_', ' ')}** ({len(names)}): {', '.join(names)}")
    for family in families:
        lines += ["", f"## {family.replace('_', ' ').capitalize()}"]
        for spec in specs:
            if spec.family == family:
                lines += ["", card_markdown(spec)]
    return "\n".join(lines) + "\n"
