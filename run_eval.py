#!/usr/bin/env python3
"""The command line: one subcommand per job. It parses, delegates, and turns errors into one paragraph and an exit code.

Exit codes: 0 fine or pass · 1 regression · 2 usage, spec or data error · 3 inconclusive · 4 not comparable · 5 the run
finished with more failed samples than allowed · 130 interrupted (state saved).
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from evals.cli.arguments import parser

if TYPE_CHECKING:
    from evals.store import Run


def run(options: argparse.Namespace) -> int:
    """Evaluate, score, report."""
    from evals.cli.run_views import show_results, show_shard
    from evals.cli.selection import job_of, recipe_of
    from evals.runner import execute

    job = job_of(options, _command_line(options))
    outcome = execute(job, recipe_of(options))
    if job.shard:
        return show_shard(outcome.run, outcome.exit_code)
    show_results(outcome.run, as_json=options.json)
    if not options.no_report:
        print(f"report: {_write_report(outcome.run.path, outcome.run.path)}", file=sys.stderr)
    return outcome.exit_code


def presets(options: argparse.Namespace) -> int:
    """One task under several presets."""
    from evals.cli.run_views import show_sensitivity
    from evals.cli.selection import job_of, preset_items_of, recipe_of
    from evals.sensitivity import run_presets

    job = job_of(options, _command_line(options), preset_items_of(options))
    found = run_presets(job, options.out, recipe_of(options))
    show_sensitivity(found, as_json=options.json)
    if not options.no_report:
        from reports.compare_report import build_comparison

        for task, (runs, comparisons) in found.comparable.items():
            written = build_comparison(runs, comparisons, options.out / f"{task}-comparison")
            print(f"report: {written.html}", file=sys.stderr)
    return found.exit_code


def score(options: argparse.Namespace) -> int:
    """Score a run again."""
    from evals.cli.run_views import show_results
    from evals.results import score_run
    from evals.store import open_run

    scored = open_run(options.run)
    score_run(scored)
    show_results(scored, as_json=options.json)
    return 0


def merge(options: argparse.Namespace) -> int:
    """Join the shards of a run."""
    from evals.cli.run_views import show_merged, show_results
    from evals.merge import merge_runs

    merged = merge_runs(options.runs, options.out, options.max_error_rate, _command_line(options))
    show_merged(merged)
    show_results(merged.run, as_json=options.json)
    if not options.no_report:
        print(f"report: {_write_report(merged.run.path, merged.run.path)}", file=sys.stderr)
    return merged.exit_code


def report(options: argparse.Namespace) -> int:
    """Write a run's report again, serve it, or export its tables and figures."""
    from evals.store import open_run

    if options.serve:
        from reports.serve import run_site, serve

        serve(run_site(open_run(options.run)), options.port)
    elif options.export:
        from reports.export import export_run

        print("\n".join(map(str, export_run(open_run(options.run), options.export))))
    else:
        print(_write_report(options.run, options.out or options.run))
    return 0


def import_(options: argparse.Namespace) -> int:
    """Make a run of published predictions."""
    from evals.cli.run_views import show_results
    from evals.cli.texts import mapping_of
    from evals.imports import import_predictions
    from evals.spec import find_task

    imported = import_predictions(
        find_task(options.task, options.preset),
        options.preset,
        options.format,
        options.predictions,
        options.out,
        model=options.name,
        references=options.references,
        mapping=mapping_of(options.map),
        command=_command_line(options),
    )
    show_results(imported, as_json=options.json)
    print(f"report: {_write_report(imported.path, imported.path)}", file=sys.stderr)
    return 0


def compare(options: argparse.Namespace) -> int:
    """Compare runs, or two profiles."""
    from evals.perf.stored import is_profile

    if all(map(is_profile, options.runs)):
        from evals.cli.profile_commands import compare_measured

        return compare_measured(options)
    from evals.cli.decision_views import show_comparison
    from evals.cli.texts import parts_of
    from evals.compare import Options, ablate, compare_runs, in_step_order, is_series
    from evals.store import open_run

    runs = [open_run(path) for path in options.runs]
    how = Options(allow=parts_of(options.allow))
    series = is_series(runs)
    runs = [run for _, run in in_step_order(runs)] if series else runs
    found = compare_runs(runs, how)
    steps = ablate(runs, how) if series else None
    show_comparison(found, steps, as_json=options.json)
    _publish_comparison(options, runs, found, steps)
    return 0


def leaderboard(options: argparse.Namespace) -> int:
    """Rank runs."""
    from evals.cli.decision_views import show_board
    from evals.cli.texts import parts_of
    from evals.leaderboard import build_board, update_folder, write_board
    from evals.spec import find_suite
    from evals.store import open_run

    runs = [open_run(path) for path in options.runs]
    weights = {entry.name: entry.weight for entry in find_suite(options.suite).tasks} if options.suite else None
    about = {"title": options.title, "weights": weights, "allow": parts_of(options.allow)}
    board = update_folder(options.update, runs, **about) if options.update else build_board(runs, **about)
    show_board(board, as_json=options.json)
    if options.out:
        from reports.leaderboard_report import build_leaderboard

        write_board(board, options.out)
        print(f"report: {build_leaderboard(board, options.out, runs)}", file=sys.stderr)
    if options.export:
        from reports.export import export_leaderboard

        print(f"exported: {len(export_leaderboard(board, options.export, runs))} files", file=sys.stderr)
    return 0


def profile(options: argparse.Namespace) -> int:
    """Measure a model, or two in turns."""
    from evals.cli.profile_commands import measure, plan_only

    if options.plan:
        return plan_only(options)
    done = measure(options, _command_line(options))
    from reports.profile_report import build_profile_report

    for one in filter(None, (done.baseline, done.profile)):
        print(f"report: {build_profile_report(one)}", file=sys.stderr)
    return done.exit_code


def gate(options: argparse.Namespace) -> int:
    """Judge a candidate run, or with --perf the speed of several."""
    from evals.cli.decision_views import show_verdict
    from evals.cli.profile_commands import gate_speed
    from evals.cli.texts import parts_of
    from evals.errors import ComparisonError, SpecError
    from evals.gate import judge, open_baseline, write_not_comparable, write_verdict
    from evals.gate.extend import require_part, samples_to_ask
    from evals.store import open_run

    if not options.perf and len(options.baseline) + len(options.candidate) > 2:
        raise SpecError("gate judges one candidate against one baseline folder; several runs a side are for --perf.")
    if options.perf:
        return gate_speed(options)
    out = options.out or options.candidate[0] / "gate"
    candidate = open_run(options.candidate[0])
    try:
        baseline, allow = open_baseline(options.baseline[0]), parts_of(options.allow)
        if options.extend:
            require_part(baseline, candidate)
            allow.append("data")
        verdict = judge(baseline, candidate, allow=allow, strict=options.strict)
        if options.extend and (samples := samples_to_ask(baseline, candidate, verdict)):
            verdict = judge(baseline, _extend(candidate, samples), allow=allow, strict=options.strict)
    except ComparisonError as error:
        write_not_comparable(error, out)
        raise
    write_verdict(verdict, out)
    from reports.gate_report import build_gate

    print(f"report: {build_gate(verdict, out, baseline.run, candidate)}", file=sys.stderr)
    show_verdict(verdict, as_json=options.json)
    return verdict.exit_code


def _extend(candidate: Run, samples: Mapping[str, tuple[str, ...]]) -> Run:
    """Ask the candidate's model more samples; the answers that are there are taken over."""
    from evals.cli.selection import extension_of, model_options
    from evals.executors.recipe import AdapterRecipe
    from evals.runner import execute

    job, asked = extension_of(candidate, samples)
    print(f"inconclusive: asking up to {sum(map(len, samples.values())):,} samples in {job.out}", file=sys.stderr)
    return execute(job, AdapterRecipe(asked.model, model_options(asked))).run


def _command_line(options: argparse.Namespace) -> str:
    """What the user typed, or what a program called :func:`main` with, for the record."""
    return f"run_eval.py {shlex.join(options.typed)}"


def _publish_comparison(options: argparse.Namespace, runs: list[Any], found: Any, steps: Any) -> None:
    if options.out:
        from reports.compare_report import build_comparison

        print(f"report: {build_comparison(runs, found, options.out, steps).html}", file=sys.stderr)
    if options.export:
        from reports.export import export_comparison

        print(f"exported: {len(export_comparison(runs, found, options.export, steps))} files", file=sys.stderr)
    if options.serve:
        from reports.serve import comparison_site, serve

        serve(comparison_site(runs, found, steps), options.port)


def _write_report(path: Path, out: Path) -> Path:
    from reports.garbage import uncollected

    with uncollected():  # modules stay alive, too
        from evals.store import open_run
        from reports.run_report import build_report

        return build_report(open_run(path), out).html


# Commands that write reports stand above, over both rooms; the others stand in evals/cli and are imported when called.
COMMANDS: dict[str, Callable[[argparse.Namespace], int] | str] = {
    "run": run,
    "plan": "evals.cli.catalogue_commands:plan",
    "presets": presets,
    "write-tsv": "evals.cli.catalogue_commands:write_tsv",
    "list": "evals.cli.catalogue_commands:list_",
    "show": "evals.cli.catalogue_commands:show",
    "prefetch": "evals.cli.catalogue_commands:prefetch",
    "validate": "evals.cli.catalogue_commands:validate",
    "score": score,
    "merge": merge,
    "report": report,
    "import": import_,
    "doctor": "evals.cli.machine_commands:doctor",
    "leaderboard": leaderboard,
    "baseline": "evals.cli.baseline_command:change_baseline",
    "gate": gate,
    "profile": profile,
    "compare": compare,
    "export": "evals.cli.export_views:show_export",
    "serve": "evals.cli.machine_commands:serve",
}


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    found = COMMANDS[name]
    if isinstance(found, str):
        module, _, function = found.partition(":")
        found = getattr(importlib.import_module(module), function)
    return cast("Callable[[argparse.Namespace], int]", found)


def _share_cores() -> None:
    """Let waiting compute threads sleep instead of spin, unless the user says otherwise.

    OpenMP reads this when torch is loaded. Threads that spin keep each other, and other programs, off the cores: with
    one busy program beside it, the small model answered 17 questions a second instead of 440 on two cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _print_anything() -> None:
    """Let a terminal that cannot show a sign (GBK has no minus sign U+2212, say) show ``?`` and not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _share_cores()
    _print_anything()
    options = parser().parse_args(arguments)
    options.typed = list(sys.argv[1:] if arguments is None else arguments)
    from evals.errors import EvalError

    try:
        return _command(options.command)(options)
    except EvalError as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        from evals.cli.interrupted import after_interrupt

        print(after_interrupt(options), file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # Python's own exit code for a crash is 1, which says "regression" here
        if options.debug:
            raise
        return _crashed(error)


def _crashed(error: Exception) -> int:
    """Say what nobody foresaw: a file that cannot be used is the user's to mend, anything else a defect."""
    if isinstance(error, OSError):
        print(
            f"error: {error.filename or 'a file'}: {error.strerror or error}. Check path, rights and space.",
            file=sys.stderr,
        )
        return 2
    import traceback

    traceback.print_exception(error)
    print(
        "error: the command broke off, which is no verdict. A file that was edited by hand may be the cause (`score` "
        "makes results again); if none was, this is a defect of the program: please report it with the lines above.",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
