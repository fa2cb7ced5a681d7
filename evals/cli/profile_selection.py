"""From `profile`'s options to sides and a job."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import NoReturn

from evals.cli.argument_groups import add_model
from evals.cli.selection import model_options, places_of
from evals.errors import SpecError
from evals.perf.job import DEFAULT_SCENARIOS, QUICK_SCENARIOS, ProfileJob, Side, TaskChoice, rules_of
from evals.perf.workload import find_scenarios

DEFAULT_REPEATS, QUICK_REPEATS = 3, 1


def side_of(options: argparse.Namespace) -> Side:
    """The model that the options name."""
    return Side(options.model, model_options(options))


def against_of(options: argparse.Namespace) -> Side | None:
    """The baseline: this side's options with those of ``--against`` over them, measured by ``--against-code``."""
    if options.against is None and options.against_code is None:
        return None
    code: Path | None = options.against_code
    if code is not None and not (code / "evals" / "perf" / "worker.py").is_file():
        raise SpecError(f"--against-code {code}: no checkout of this program that can profile. Give its root folder.")
    words = _Words(prog="--against", add_help=False)
    add_model(words, default=options.model)
    given = words.parse_args(shlex.split(options.against or ""))
    same_model = given.model == options.model
    return Side(given.model, {**(model_options(options) if same_model else {}), **model_options(given)}, code)


class _Words(argparse.ArgumentParser):
    """A parser whose complaint is an error of ours."""

    def error(self, message: str) -> NoReturn:
        raise SpecError(f"--against: {message}. Give model options in one text, such as '--checkpoint small-early'.")


def job_of(options: argparse.Namespace, out: Path) -> ProfileJob:
    """What is measured.

    Raises:
        SpecError: an unknown scenario, or numbers that mean nothing.
    """
    data_root, cache = places_of(options)
    default = () if options.task else QUICK_SCENARIOS if options.quick else DEFAULT_SCENARIOS
    scenarios = tuple(options.scenario) or default
    find_scenarios(scenarios)
    wanted = options.trace or options.memory_snapshot
    return ProfileJob(
        scenarios=scenarios,
        tasks=tuple(TaskChoice(name, options.preset, options.limit) for name in options.task),
        batches=_batches(options.batch) or ((1, 8) if options.quick else (1,)),
        num_beams=options.beams,
        rules=rules_of(quick=options.quick, seconds=options.seconds),
        data_root=data_root,
        cache=cache,
        traces=(out / "traces").resolve() if wanted else None,
        trace=options.trace,
        memory_snapshot=options.memory_snapshot,
    )


def repeats_of(options: argparse.Namespace) -> int:
    """Fresh processes a side."""
    if options.repeats is not None:
        return int(options.repeats)
    return QUICK_REPEATS if options.quick else DEFAULT_REPEATS


def _batches(texts: list[str]) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for text in texts for part in text.split(",")}))
    except ValueError:
        raise SpecError(f"--batch {','.join(texts)}: expected whole numbers, for example --batch 1,8,64.") from None
