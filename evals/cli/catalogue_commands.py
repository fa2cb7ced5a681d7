"""The commands about tasks and their data: `plan`, `list`, `show`, `validate`, `prefetch`, `write-tsv`."""

from __future__ import annotations

import argparse


def plan(options: argparse.Namespace) -> int:
    """What a run would do."""
    from evals.cli.run_views import show_plan
    from evals.cli.selection import items_of, places_of

    show_plan(items_of(options), *places_of(options), options.runs_dir, as_json=options.json)
    return 0


def write_tsv(options: argparse.Namespace) -> int:
    """Write a task's samples in VLMEvalKit's layout."""
    from evals.cli.selection import items_of, places_of
    from evals.data import open_dataset
    from evals.data.vlmevalkit import write_vlmevalkit
    from evals.errors import SpecError

    items = items_of(options)
    if len(items) > 1:
        raise SpecError(f"write-tsv writes one task a file; {len(items)} were named. Call it once for each.")
    dataset = open_dataset(items[0].spec, *places_of(options), items[0].subset)
    print(f"{options.out}: {write_vlmevalkit(dataset, options.out):,} samples")
    return 0


def list_(options: argparse.Namespace) -> int:
    """Names that the other commands take."""
    from evals.cli.catalogue_views import TaskFilter, show_list

    keep = TaskFilter(options.family, options.licence, options.language)
    show_list(options.what, keep, as_json=options.json)
    return 0


def show(options: argparse.Namespace) -> int:
    """A task's card."""
    from evals.cli.card_views import show_card
    from evals.cli.selection import model_options, places_of
    from evals.spec import find_task
    from model_adapters import load_adapter

    adapter = load_adapter(options.model, **model_options(options)) if options.model else None
    show_card(find_task(options.task, options.preset), *places_of(options), adapter, as_json=options.json)
    return 0


def prefetch(options: argparse.Namespace) -> int:
    """Get data onto this machine."""
    from evals.cli.card_views import show_prefetch
    from evals.cli.selection import places_of, tasks_of

    return show_prefetch(tasks_of(options.names), *places_of(options))


def validate(options: argparse.Namespace) -> int:
    """Check task and suite files."""
    from evals.cli.catalogue_views import show_validation

    return show_validation(options.names, quick=options.quick, as_json=options.json)
