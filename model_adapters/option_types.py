"""Options of the right type: what a command line or a script gives, against the annotations of an adapter."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from model_adapters.contract import AdapterError

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}


def check_types(name: str, cls: type[Any], options: Mapping[str, Any]) -> None:
    """Compare options with the annotations of the adapter's ``__init__``; what is not annotated plainly is let through.

    Raises:
        AdapterError: an option of another type, with what was expected and how to write it.
    """
    try:
        hints = get_type_hints(cls.__init__)
    except (NameError, TypeError):
        return  # annotations that only a type checker can resolve
    for option, value in options.items():
        wanted = hints.get(option)
        if wanted is None or _fits(value, wanted):
            continue
        quoted = _accepts(wanted, str) and isinstance(value, bool | int | float)
        hint = f" To give it as text, quote it: -o '{option}=\"{value}\"'." if quoted else ""
        raise AdapterError(
            f"Option {option!r} of adapter {name!r} is {value!r}, {_described(type(value))}; expected "
            f"{_described(wanted)}.{hint}"
        )


def _accepts(wanted: Any, kind: type) -> bool:
    parts = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    return kind in parts


def _fits(value: Any, wanted: Any) -> bool:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(wanted))
    if origin is Literal:
        return value in get_args(wanted)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted in (str, bool, types.NoneType):
        return isinstance(value, wanted)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    return True


def _described(wanted: Any) -> str:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_described, get_args(wanted)))
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(wanted)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping {key: value, ...}"
    return _WORDS.get(wanted, getattr(wanted, "__name__", str(wanted)))
