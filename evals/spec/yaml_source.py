"""YAML with line numbers: safe loading, includes, and errors that point at the line.

``include: other.yaml`` takes another file's mapping as defaults, ``include: [a.yaml, b.yaml]`` several, later ones
winning; what the including file says wins over all. Mappings are merged key by key, lists are replaced. YAML is data
here: only plain values are accepted, no tags, no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evals.errors import SpecError

Location = tuple[str | int, ...]
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file's value, and for every place in it the file and line where it was written."""

    path: Path
    value: dict[str, Any]
    lines: dict[Location, tuple[Path, int]]

    def where(self, location: Location) -> str:
        """``file:line`` of a place in the document, or of the nearest place around it."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                path, line = self.lines[location[:end]]
                return f"{path}:{line}"
        return str(self.path)


def load(path: Path) -> Document:
    """Read a YAML file and the files that it includes.

    Raises:
        SpecError: missing file, malformed YAML, duplicate key, an include cycle, or a document that is not a mapping.
    """
    return _load(path, ())


def _load(path: Path, including: tuple[Path, ...]) -> Document:
    document = _read(path, including)
    include = document.value.pop("include", None)
    names = [include] if isinstance(include, str) else include or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SpecError(f"{document.where(('include',))}: include wants a file name or a list, found {include!r}.")
    for name in reversed(names):
        document = _merged(_included((path.parent / name).resolve(), (*including, path)), document)
    return document


# Many tasks share one base, so an included file is read once, and again only if it changed.
_bases: dict[tuple[Path, int], Document] = {}


def _included(path: Path, including: tuple[Path, ...]) -> Document:
    if path in including:
        chain = " → ".join(p.name for p in (*including[including.index(path) :], path))
        raise SpecError(f"{including[-1]}: include cycle {chain}. Remove one of these includes.")
    key = (path, path.stat().st_mtime_ns if path.exists() else 0)
    if key not in _bases:
        _bases[key] = _load(path, including)
    return _bases[key]


def _read(path: Path, including: tuple[Path, ...]) -> Document:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except OSError as error:
        by = f" (included by {including[-1]})" if including else ""
        raise SpecError(f"Cannot read {path}{by}: {error.strerror}. Check the file's name and place.") from error
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise SpecError(f"{path}{line}: this is not valid YAML: {problem}.") from error
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(f"{path}: expected a mapping of keys and values at the top of the file.")
    lines: dict[Location, tuple[Path, int]] = {}
    return Document(path, _construct(node, (), path, lines), lines)


def _construct(node: yaml.Node, location: Location, path: Path, lines: dict[Location, tuple[Path, int]]) -> Any:
    lines[location] = (path, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
        raise _tagged(node, path)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                raise SpecError(f"{path}:{key_node.start_mark.line + 1}: key {key!r} is given twice; keep one of them.")
            mapping[key] = _construct(value_node, (*location, key), path, lines)
            lines[(*location, key)] = (path, key_node.start_mark.line + 1)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, (*location, i), path, lines) for i, child in enumerate(node.value)]
    return _scalar(node, path)


def _scalar(node: yaml.Node, path: Path) -> Any:
    """A plain value. Dates stay the text that was written, so that a YAML date is the same on every machine."""
    assert isinstance(node, yaml.ScalarNode)
    tag = node.tag.removeprefix("tag:yaml.org,2002:")
    constructor = yaml.constructor.SafeConstructor()
    match tag:
        case "str" | "timestamp":
            return node.value
        case "int":
            return constructor.construct_yaml_int(node)
        case "float":
            return constructor.construct_yaml_float(node)
        case "bool":
            return constructor.construct_yaml_bool(node)
        case "null":
            return None
        case _:
            raise _tagged(node, path)


def _tagged(node: yaml.Node, path: Path) -> SpecError:
    return SpecError(f"{path}:{node.start_mark.line + 1}: tag {node.tag!r} is not allowed; tasks are plain data.")


def _merged(base: Document, top: Document) -> Document:
    def merge(low: Any, high: Any) -> Any:
        if isinstance(low, dict) and isinstance(high, dict):
            return {**low, **{key: merge(low[key], high[key]) if key in low else high[key] for key in high}}
        return high

    return Document(top.path, merge(base.value, top.value), base.lines | top.lines)
