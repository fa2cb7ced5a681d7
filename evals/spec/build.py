"""From a YAML document to a checked record; all unknown, missing and mistyped keys in one message, with lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from evals.errors import SpecError
from evals.spec.yaml_source import Document, Location

T = TypeVar("T")
_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(record: Any) -> TypeAdapter[Any]:
    if record in _adapters:
        return _adapters[record]
    for nested in _records_within(record):
        nested.__pydantic_config__ = ConfigDict(extra="forbid", strict=False)
    return _adapters.setdefault(record, TypeAdapter(record))


def _records_within(record: type[Any], seen: frozenset[type[Any]] = frozenset()) -> Iterator[type[Any]]:
    """A dataclass and all dataclasses that its fields are made of."""
    yield record
    for hint in get_type_hints(record).values():
        for part in _flatten(hint):
            if isinstance(part, type) and is_dataclass(part) and part not in seen:
                yield from _records_within(part, seen | {record})


def _flatten(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in get_args(hint):
        yield from _flatten(argument)


def build(record: type[T], document: Document) -> T:
    """Check a document against a record's fields and build it.

    Raises:
        SpecError: one line for each thing that is wrong, with file:line, and the nearest known name for an unknown key.
    """
    try:
        built: T = _adapter(record).validate_python(document.value)
    except ValidationError as error:
        problems = [_explain(record, document, e["loc"], e["type"], e["msg"], e["input"]) for e in error.errors()]
        raise SpecError("\n".join(problems)) from error
    return built


def _explain(record: type[Any], document: Document, location: Location, kind: str, message: str, found: Any) -> str:
    where, name = document.where(location), ".".join(map(str, location))
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _known_keys(record, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known keys here: {', '.join(known)}."
        return f"{where}: unknown key {name!r}.{hint}"
    if kind in ("missing", "missing_argument"):
        return f"{where}: the key {name!r} is missing."
    return f"{where}: {name}: {message[0].lower()}{message[1:]} (found {found!r})."


def _known_keys(record: type[Any], location: Location) -> list[str]:
    """The keys that a place in a record may have; mappings and lists in between are walked through."""
    current: Any = record
    for part in location:
        if is_dataclass(current) and isinstance(part, str):
            current = get_type_hints(current).get(part)
        candidates = [p for p in _flatten(current) if isinstance(p, type) and is_dataclass(p)]
        current = candidates[0] if candidates else current
    return [f.name for f in fields(current)] if is_dataclass(current) else []


def build_stored(record: type[T], value: dict[str, Any]) -> T:
    """Build a record from what a run's manifest stored of it.

    Raises:
        SpecError: the stored value does not fit this program's record any more.
    """
    try:
        built: T = _adapter(record).validate_python(value)
    except ValidationError as error:
        raise SpecError(
            f"The run's stored {record.__name__} does not fit this version of the program ({error.error_count()} keys "
            "differ). Use the version that made the run, or run again."
        ) from error
    return built
