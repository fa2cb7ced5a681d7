"""The command line's arguments. Only argparse is imported here, so that --help answers at once."""

from __future__ import annotations

import argparse

from evals.cli.catalogue_arguments import add_catalogue, add_data
from evals.cli.decision_arguments import add_compare, add_decisions
from evals.cli.doctor_arguments import add_doctor
from evals.cli.export_arguments import add_export
from evals.cli.profile_arguments import add_profile
from evals.cli.run_arguments import add_finished, add_import, add_runs
from evals.cli.serve_arguments import add_serve

EPILOG = "`run_eval.py COMMAND --help` tells more about one command. Documentation: docs/."


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="run_eval.py", description="Evaluate OmniLMM-3B and the models held beside it.", epilog=EPILOG
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_runs(commands)
    add_catalogue(commands)
    add_data(commands)
    add_finished(commands)
    add_import(commands)
    add_compare(commands)
    add_decisions(commands)
    add_serve(commands)
    add_profile(commands)
    add_export(commands)
    add_doctor(commands)
    return top
