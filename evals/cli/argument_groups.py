"""Arguments that several commands share. They import argparse only, so that --help answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(commands: Subcommands, name: str, text: str, as_json: bool = False) -> argparse.ArgumentParser:
    """A subcommand with one line of help; ``as_json`` gives it --json."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    if as_json:
        command.add_argument("--json", action="store_true", help="print JSON on stdout instead of a table")
    return command


def add_selection(command: argparse.ArgumentParser, *, preset: bool = True) -> None:
    """Which tasks, and which part of each."""
    command.add_argument("names", nargs="+", metavar="TASK|SUITE|FILE", help="task or suite names, or YAML files")
    if preset:
        command.add_argument("--preset", help="protocol preset for all tasks")
    else:
        command.set_defaults(preset=None)
    part = command.add_mutually_exclusive_group()
    part.add_argument("--limit", type=int, help="only the first N samples of each task")
    part.add_argument("--sample", type=int, help="a random N samples of each task")
    part.add_argument("--ids", type=Path, help="only the sample ids in this file, one a line")
    command.add_argument("--seed", type=int, default=0, help="of --sample (default: 0)")
    command.add_argument("--stratify", metavar="FIELD", help="--sample takes each value's share of this field")
    add_places(command)


def add_publishing(command: argparse.ArgumentParser, serve: bool = True) -> None:
    """A report beside the page: served with all samples, or exported for a paper."""
    command.add_argument(
        "--export", type=Path, metavar="DIR", help="write LaTeX tables and PDF, SVG, PNG figures there"
    )
    if serve:
        command.add_argument(
            "--serve", action="store_true", help="serve the page with all samples, to this machine only"
        )
        command.add_argument("--port", type=int, default=0, help="of --serve (default: any free one)")


def add_places(command: argparse.ArgumentParser) -> None:
    """Where data lies."""
    command.add_argument(
        "--data-root", type=Path, help="folder of local data (default: data, or see omnilmm-eval.yaml)"
    )
    command.add_argument(
        "--cache-dir", type=Path, help="folder for generated and downloaded data (default: the user's)"
    )


def add_model(command: argparse.ArgumentParser, default: str | None = "omnilmm") -> None:
    """Which model, and how it is loaded."""
    model = command.add_argument_group("model")
    model.add_argument(
        "--model", default=default, metavar="ADAPTER", help=f"adapter name (default: {default or 'none'})"
    )
    model.add_argument("--checkpoint", help="folder of weights, or the name of a shipped checkpoint")
    model.add_argument("--dtype", help="auto, float32, bfloat16 or float16")
    model.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--batch-size", type=_batch_size, help="requests a batch, or auto")
    model.add_argument("--mode", help="fast, plain (one by one), or reference (as the original: three beams)")
    model.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="any other option")


def _batch_size(text: str) -> int | str:
    return text if text == "auto" else int(text)


def add_running(command: argparse.ArgumentParser) -> None:
    """How far errors are taken, and what is shown and written beside the answers."""
    add_error_rate(command)
    command.add_argument("--verify", action="store_true", help="read all weights again, whatever is remembered of them")
    command.add_argument(
        "--response-cache", metavar="DIR", help="take answers to the same requests from here, and keep new ones"
    )
    command.add_argument("--no-report", action="store_true", help="do not write report.html and report.md")
    command.add_argument("--quiet", action="store_true", help="no progress")


def add_executor(command: argparse.ArgumentParser, *, shard: bool = True) -> None:
    """Who asks the model; ``shard`` where a part of the work makes sense, too."""
    who = command.add_argument_group("more than one device, more than one machine")
    who.add_argument("--workers", type=int, metavar="N", help="N processes with a model each, one for each GPU")
    who.add_argument("--executor", choices=("in-process", "workers", "ray"), help="ray: --workers N are Ray actors")
    who.add_argument("--address", help="of a running Ray cluster (default: one on this machine, for this run)")
    if not shard:
        command.set_defaults(shard=None)
        return
    who.add_argument(
        "--shard", metavar="I/N|env", help="ask only part I of N (env: as torchrun or SLURM say); join with merge"
    )


def share(text: str) -> float:
    """A number from 0 to 1; argparse reports the error of anything else."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; give a number from 0 to 1, such as 0.01 for one percent")
    return value


def add_error_rate(command: argparse.ArgumentParser) -> None:
    """How many failures are too many."""
    command.add_argument(
        "--max-error-rate", type=share, default=0.01, metavar="SHARE", help="failed requests allowed (0.01)"
    )
