"""Arguments of the commands about tasks and their data: `list`, `show`, `validate`, `prefetch`, `write-tsv`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command, add_model, add_places, add_selection

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands

LISTS = ("tasks", "suites", "adapters", "metrics", "extractors")


def add_catalogue(commands: Subcommands) -> None:
    """`list`, `show` and `validate`."""
    listing = add_command(commands, "list", "tasks, suites, adapters, metrics and extractors", as_json=True)
    listing.add_argument("what", nargs="?", default="tasks", choices=LISTS, help="what to list (default: tasks)")
    listing.add_argument("--family", help="only tasks of this family")
    listing.add_argument("--licence", help="only tasks whose licence has this in its name, for example cc-by-nc")
    listing.add_argument("--language", help="only tasks with questions in this language, for example zh")

    show = add_command(commands, "show", "a task's card, with an example from its data where it is there", as_json=True)
    show.add_argument("task", metavar="TASK|FILE", help="task name, or a YAML file")
    show.add_argument("--preset", default="default", help="protocol preset")
    add_places(show)
    add_model(show, default=None)

    validate = add_command(commands, "validate", "check task and suite files without touching data", as_json=True)
    validate.add_argument("names", nargs="*", metavar="TASK|SUITE|FILE", help="default: the whole catalogue")
    validate.add_argument("--quick", action="store_true", help="only names, YAML and the types of keys")


def add_data(commands: Subcommands) -> None:
    """`prefetch` and `write-tsv`."""
    fetch = add_command(commands, "prefetch", "get the data of tasks onto this machine, to run without a network")
    fetch.add_argument("names", nargs="+", metavar="TASK|SUITE|FILE", help="task or suite names, or YAML files")
    add_places(fetch)

    written = add_command(commands, "write-tsv", "write a task's samples as a TSV of VLMEvalKit's layout")
    add_selection(written, preset=False)
    written.add_argument("--out", type=Path, required=True, help="the TSV file")
