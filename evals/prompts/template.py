"""The prompt language: placeholders, parts that may be left out, and nothing else, so that a prompt can be reviewed.

{name}               the field's text, nothing where it is null; names may have letters of any script
{?name}...{/name}    kept only where the field is there and not empty
{!name}...{/name}    kept only where it is not
{{ and }}            braces
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from evals.errors import SpecError

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<mark>[?!/]?)(?P<name>[^\W\d]\w*)\}|[{}]")

# A parsed template: text, a field's name, or a part with the field that it hangs on and whether that must be filled.
Part = str | tuple[str] | tuple[str, bool, tuple["Part", ...]]


class Template:
    """A parsed template; parsing happens once per distinct text.

    Raises:
        SpecError: a brace without its partner, or an optional part that is not closed in order.
    """

    def __init__(self, text: str) -> None:
        self._parts, self._is_flat = _parsed(text)

    def names(self) -> set[str]:
        """All fields that the template names."""

        def within(parts: tuple[Part, ...]) -> set[str]:
            found: set[str] = set()
            for part in parts:
                if not isinstance(part, str):
                    found.add(part[0])
                    if len(part) == 3:
                        found |= within(part[2])
            return found

        return within(self._parts)

    def render(self, fields: Mapping[str, object]) -> str:
        """The text with every field put in. Values are put in as they are: no second round, no markup.

        Raises:
            KeyError: a named field is not there.
        """
        if self._is_flat:  # no part may be left out, as in most prompts: several times faster
            return "".join([part if isinstance(part, str) else _text(fields[part[0]]) for part in self._parts])
        out: list[str] = []
        _render(self._parts, fields, out)
        return "".join(out)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _render(parts: tuple[Part, ...], fields: Mapping[str, object], out: list[str]) -> None:
    for part in parts:
        if isinstance(part, str):
            out.append(part)
        elif len(part) == 1:
            out.append(_text(fields[part[0]]))
        elif part[1] == (fields.get(part[0]) not in (None, "", [], {})):
            _render(part[2], fields, out)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[tuple[Part, ...], bool]:
    """A template's parts, and whether all of them are always there."""
    parts = _parse(text)
    return parts, all(isinstance(part, str) or len(part) == 1 for part in parts)


def _parse(text: str) -> tuple[Part, ...]:
    stack: list[tuple[str, bool, list[Part]]] = [("", True, [])]
    position = 0
    for match in _TOKEN.finditer(text):
        if match.start() > position:
            stack[-1][2].append(text[position : match.start()])
        position = match.end()
        token, mark, name = match.group(), match["mark"], match["name"]
        if token in ("{{", "}}"):
            stack[-1][2].append(token[0])
        elif name is None:
            raise SpecError(
                f"the template has a single {token!r} at character {match.start()}; write {token * 2!r} for it."
            )
        elif mark in ("?", "!"):
            stack.append((name, mark == "?", []))
        elif mark == "/":
            opened, filled, inner = stack.pop()
            if opened != name or not stack:
                raise SpecError(f"the template closes {{/{name}}} where {{?{opened}}} is open; close parts in order.")
            stack[-1][2].append((name, filled, tuple(inner)))
        else:
            stack[-1][2].append((name,))
    if len(stack) > 1:
        raise SpecError(f"the template opens {{?{stack[-1][0]}}} and never closes it; add {{/{stack[-1][0]}}}.")
    if position < len(text):
        stack[0][2].append(text[position:])
    return tuple(stack[0][2])
