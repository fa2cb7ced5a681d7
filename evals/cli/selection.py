"""From the command line's options to what is asked for: tasks with presets and subsets, folders, model options."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from evals.cli.texts import mapping_of
from evals.data import open_dataset
from evals.data.subset import Subset
from evals.errors import SpecError, did_you_mean
from evals.executors.base import ExecutorChoice, Kind
from evals.executors.recipe import AdapterRecipe
from evals.executors.shard import Shard, read_shard, take_own_gpu
from evals.files import cache_dir
from evals.gate.margins import MARGINS, Margins, read_margins
from evals.plan import TaskPlan, make_plan
from evals.runner import Item, Job
from evals.spec import SuiteEntry, TaskSpec, find_suite, find_task, is_suite
from evals.spec.yaml_source import load
from evals.store import Run
from model_adapters.registry import adapter_class

CONFIG_FILE = Path("omnilmm-eval.yaml")
NOISE_BATCH = 16  # requests a batch where the noise floor is measured and none is given


def items_of(options: argparse.Namespace) -> tuple[Item, ...]:
    """The tasks that the names stand for, suites unfolded; a subset on the command line goes before a suite's own.

    Raises:
        SpecError: an unknown name, or a task that comes twice.
    """
    entries = [entry for name in options.names for entry in _entries(name)]
    items = tuple(_item(entry, options) for entry in entries)
    names = [item.spec.name for item in items]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SpecError(f"Task {twice!r} is asked for twice; a run holds each task once. Start a second run for it.")
    return items


def preset_items_of(options: argparse.Namespace) -> tuple[Item, ...]:
    """Each task that the names stand for, once under each of ``--presets``.

    Raises:
        SpecError: an unknown task or preset.
    """
    wanted = options.presets.split(",")
    entries = [entry for name in options.names for entry in _entries(name)]
    return tuple(
        _item(replace(entry, preset=preset), options)
        for entry in entries
        for preset in _presets_of(find_task(entry.task), wanted)
    )


def _presets_of(spec: TaskSpec, wanted: list[str]) -> list[str]:
    """The presets to run, ``all`` unfolded to the task's own and every named one.

    Raises:
        SpecError: a preset that the task does not have, or fewer than two.
    """
    known = ["default", *spec.presets]
    chosen = known if wanted == ["all"] else list(dict.fromkeys(wanted))
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, known)
            raise SpecError(f"Task {spec.name!r} has no preset {name!r}.{hint} It has {', '.join(known)}.")
    if len(chosen) < 2:
        raise SpecError(f"Task {spec.name!r}: {len(chosen)} preset to run, but a comparison needs two. It has {known}.")
    return chosen


def tasks_of(names: list[str]) -> list[TaskSpec]:
    """The tasks that names stand for, suites unfolded, each once."""
    entries = {(entry.task, entry.preset): entry for name in names for entry in _entries(name)}
    return [find_task(entry.task, entry.preset) for entry in entries.values()]


def _entries(name: str) -> tuple[SuiteEntry, ...]:
    return find_suite(name).tasks if is_suite(name) else (SuiteEntry(name),)


def _item(entry: SuiteEntry, options: argparse.Namespace) -> Item:
    preset = options.preset or entry.preset
    subset = Subset(limit=entry.limit, sample=entry.sample, seed=entry.seed)
    if options.limit is not None or options.sample is not None:
        subset = Subset(limit=options.limit, sample=options.sample, seed=options.seed, stratify=options.stratify)
    elif options.ids is not None:
        subset = Subset(ids=_ids(options.ids))
    if options.stratify is not None and options.sample is None:
        raise SpecError(f"--stratify {options.stratify} says how --sample draws; give --sample N with it.")
    return Item(find_task(entry.task, preset), preset, subset, entry.weight)


def _ids(path: Path) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_lines(path, "--ids", "one sample id a line")))
    if not found:  # no ids would mean all samples
        raise SpecError(f"--ids {path}: the file is empty. Give a file with one sample id a line.")
    return found


def _lines(path: Path, option: str, what: str) -> list[str]:
    try:
        return [line for line in re.split(r"\r\n|\n|\r", path.read_text(encoding="utf-8-sig")) if line]
    except UnicodeDecodeError as error:
        raise SpecError(f"{option} {path}: not UTF-8 text ({error.reason}). Give a file with {what}.") from error
    except OSError as error:
        raise SpecError(f"{option} {path}: {error.strerror}. Give a file with {what}.") from error


def places_of(options: argparse.Namespace) -> tuple[Path, Path]:
    """Data root and cache folder: from the command line, else from ``omnilmm-eval.yaml`` in the working folder (keys
    ``data_root`` and ``cache_dir``), else ``data`` and the user's cache folder.

    Raises:
        SpecError: an unknown key in that file.
    """
    settings = load(CONFIG_FILE).value if CONFIG_FILE.is_file() else {}
    for key in settings:
        if key not in ("data_root", "cache_dir"):
            raise SpecError(f"{CONFIG_FILE}: unknown key {key!r}. Known keys: data_root, cache_dir.")
    data_root = options.data_root or Path(str(settings.get("data_root", "data")))
    cache = options.cache_dir or (Path(str(settings["cache_dir"])) if "cache_dir" in settings else cache_dir())
    return data_root, cache


def job_of(options: argparse.Namespace, command: str, items: tuple[Item, ...] | None = None) -> Job:
    """The whole job of a ``run`` command; ``items`` instead of what the names alone stand for."""
    data_root, cache = places_of(options)
    suites = [Path(name).stem if "." in name else name for name in options.names if is_suite(name)]
    return Job(
        items=items_of(options) if items is None else items,
        data_root=data_root,
        cache=cache,
        runs_dir=options.runs_dir,
        suite=suites[0] if len(options.names) == len(suites) == 1 else None,
        out=options.out,
        new=options.new,
        max_error_rate=options.max_error_rate,
        command=command,
        quiet=options.quiet,
        thumbnails=not options.no_report,
        executor=executor_of(options),
        shard=shard_of(options),
    )


def extension_of(candidate: Run, samples: Mapping[str, tuple[str, ...]]) -> tuple[Job, argparse.Namespace]:
    """The job that asks a run's model more samples, into a folder beside the run, and the options of its command.

    Raises:
        SpecError: no session of the run was a `run` command.
    """
    from evals.cli.arguments import parser

    words = _run_words(candidate)
    options = parser().parse_args(words[1:])
    job = job_of(options, shlex.join(words))
    items = tuple(
        replace(item, subset=Subset(ids=samples[item.spec.name])) for item in job.items if item.spec.name in samples
    )
    total = sum(map(len, samples.values()))
    out = candidate.path.with_name(f"{candidate.path.name}-{total}-samples")
    return replace(job, items=items, out=out, new=False, shard=None, taken_from=candidate), options


def _run_words(candidate: Run) -> list[str]:
    """The newest `run` command that asked for a run; of joined shards the newest one's, for the whole."""
    given = candidate.manifest.get("command", "")
    sessions = [session["command"] for session in candidate.manifest.get("sessions", [])]
    for command in (given, *reversed(sessions)):
        words = re.sub(r"\s--shard[\s=]\S+", "", command)
        if shlex.split(words)[1:2] == ["run"]:
            return shlex.split(words)
    words = " ".join(shlex.split(given)[1:]) or "no command"
    raise SpecError(
        f"{candidate.path} was made by {words!r}, and its manifest tells no session of a `run` command whose model "
        "could be asked more (imported, made by another program, or joined by an older version: join its shards "
        "again). Run the candidate on more samples and judge that."
    )


def executor_of(options: argparse.Namespace) -> ExecutorChoice:
    """Who asks the model. Raises :class:`SpecError` for options that do not go together."""
    if options.workers is not None and options.workers < 1:
        raise SpecError(f"--workers {options.workers}: at least one worker is needed; leave it out for none.")
    by_default: Kind = "in-process" if options.workers is None else "workers"
    kind: Kind = options.executor or by_default
    if kind == "in-process" and options.workers is not None:
        raise SpecError("--executor in-process has no workers; leave out --workers, or choose another executor.")
    if options.address is not None and kind != "ray":
        raise SpecError("--address is a Ray cluster's; it goes with --executor ray.")
    return ExecutorChoice(kind, options.workers, options.address)


def shard_of(options: argparse.Namespace) -> Shard | None:
    """The part of the work that is asked for; under a launcher this process keeps to its own GPU from here on."""
    if options.shard is None:
        return None
    shard = read_shard(options.shard)
    if options.shard == "env" and options.executor in (None, "in-process") and options.workers is None:
        take_own_gpu()
    return shard


def margins_of(pairs: list[str]) -> Margins | None:
    """Margins from ``NAME=VALUE``; a name that is no margin is a task's, also one of the user's own. None where nothing
    was given."""
    if not pairs:
        return None
    values: dict[str, Any] = {"tasks": {}}
    for name, text in mapping_of(pairs).items():
        try:
            number = float(text)
        except ValueError:
            raise SpecError(f"--margin {name}={text}: expected a number such as 0.01 for one point.") from None
        if name in MARGINS:
            values[name] = number
        else:
            values["tasks"][name] = number
    return read_margins(values)


def model_options(options: argparse.Namespace) -> dict[str, Any]:
    """Options for the adapter: the named flags that were given, and every ``-o key=value`` as a YAML scalar."""
    named = {name: getattr(options, name, None) for name in ("checkpoint", "dtype", "device", "batch_size", "mode")}
    chosen: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    for text in options.option:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SpecError(f"-o {text!r}: expected KEY=VALUE, for example -o apply_exif=true.")
        try:
            chosen[key.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SpecError(f"-o {text!r}: the value is not plain: {error}.") from error
    return chosen


def recipe_of(options: argparse.Namespace) -> AdapterRecipe:
    """How the model of a run is loaded; with ``--verify`` its stored weights are read again first, and named."""
    chosen = model_options(options)
    if options.verify:
        found = adapter_class(options.model).verify_weights(**chosen)
        print(f"weights read again: {found or 'this adapter has none on disk'}", file=sys.stderr)
    return AdapterRecipe(options.model, chosen, options.response_cache)


def noise_of(options: argparse.Namespace) -> tuple[list[TaskPlan], AdapterRecipe, int, int]:
    """Plans, model, requests of each task and batch size of ``doctor --determinism``.

    Raises:
        SpecError: no task, or no whole batch.
    """
    if not options.task:
        raise SpecError("doctor --determinism needs --task: which questions to ask.")
    size = options.batch_size if isinstance(options.batch_size, int) else NOISE_BATCH
    if size < 2 or options.limit < 1:
        raise SpecError(f"--batch-size {size} and --limit {options.limit}: expected at least 2 and 1.")
    specs = [find_task(name, options.preset or "default") for name in options.task]
    places = places_of(options)
    plans = [make_plan(spec, open_dataset(spec, *places, Subset(limit=options.limit))) for spec in specs]
    return plans, AdapterRecipe(options.model, model_options(options)), options.limit, size


def service_of(options: argparse.Namespace) -> dict[str, Any]:
    """Options of ``serve`` that say where and how; the key is read here.

    Raises:
        SpecError: the key's file cannot be read, or is empty.
    """
    names = ("name", "host", "port", "max_batch", "window_ms", "max_waiting", "max_body_mib")
    key = (
        _lines(options.api_key_file, "--api-key-file", "the key in its only line")
        if options.api_key_file is not None
        else [""]
    )
    if len(key) != 1 or (options.api_key_file and not key[0].strip()):
        raise SpecError(f"--api-key-file {options.api_key_file}: expected one line with the key.")
    return {name: getattr(options, name) for name in names} | {"key": key[0].strip()}
