"""Named transforms of a cell, the whole list of what a task may do to its values. Each is total over what it names:
a value that it cannot treat is an error that says so, never a guess.
"""

from __future__ import annotations

import ast
import re
import string
import unicodedata
import warnings
from collections.abc import Callable
from typing import Any

from evals.errors import DataError

_IMAGE_TAG = re.compile(r'<img="[^"]*">')
_IMAGE_MARK = re.compile(r" ?<image ?\d+>")
_FINAL_ANSWER = re.compile(r"####\s*(.+?)\s*$")
_WIKI_MARKUP = re.compile(r"\[.*?\]")


def literal_list(value: Any) -> list[Any]:
    """The list that a text spells as a Python literal: ``"['a', 'b']"``. Nothing is executed. Lists stay lists."""
    if isinstance(value, list):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of escapes such as "\\d", which are just text here
            parsed = ast.literal_eval(_text(value))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise DataError(f"{_shown(value)} is not a list written as a Python literal ({error})") from None
    if not isinstance(parsed, list | tuple):
        raise DataError(f"{_shown(value)} is a {type(parsed).__name__}, expected a list")
    return list(parsed)


def literal_list_or_text(value: Any) -> list[Any]:
    """As :func:`literal_list` where the text starts with a bracket, else a list of the one text."""
    if isinstance(value, list) or _text(value).lstrip().startswith("["):
        return literal_list(value)
    return [value]


def text(value: Any) -> str | list[str]:
    """Numbers and truth values as they are written; of a list, each item."""
    return [_text(item) for item in value] if isinstance(value, list) else _text(value)


def strip(value: Any) -> str:
    """Without white space at both ends."""
    return _text(value).strip()


def lower(value: Any) -> str:
    """In lower case."""
    return _text(value).lower()


def upper(value: Any) -> str:
    """In upper case."""
    return _text(value).upper()


def nfkc(value: Any) -> str:
    """Full-width letters, digits and signs as plain ones (Unicode's compatibility form)."""
    return unicodedata.normalize("NFKC", _text(value))


def strip_parentheses(value: Any) -> str:
    """``(A)`` becomes ``A``."""
    return _text(value).strip().strip("()")


def split_lines(value: Any) -> list[str]:
    """The text's lines, empty ones left out."""
    return [line for line in _text(value).splitlines() if line.strip()]


def split_commas(value: Any) -> list[str]:
    """The parts between commas, trimmed."""
    return [part.strip() for part in _text(value).split(",")]


def blank_nan(value: Any) -> str:
    """Empty where the cell is the text that a spreadsheet library left for a missing value (``nan``)."""
    return "" if value is None or _text(value) == "nan" else _text(value)


def first(value: Any) -> Any:
    """The first item of a list; empty text of an empty one."""
    return (value[0] if value else "") if isinstance(value, list) else value


def drop_empty(value: Any) -> list[Any]:
    """A list without its null and empty items."""
    return [item for item in value if item not in (None, "")] if isinstance(value, list) else [value]


def unique(value: Any) -> list[Any]:
    """A list without repetitions, first ones kept in order."""
    if not isinstance(value, list):
        raise DataError(f"{_shown(value)} is a {type(value).__name__}, expected a list")
    return list(dict.fromkeys(value))


def letter(value: Any) -> str:
    """The letter of an index from 0: 0 becomes A."""
    text = _text(value).strip()
    if not text.isdecimal() or int(text) >= len(string.ascii_uppercase):
        raise DataError(f"{_shown(value)} is no index from 0 to {len(string.ascii_uppercase) - 1}")
    return string.ascii_uppercase[int(text)]


def final_answer(value: Any) -> str:
    """What stands after the last ``####``, thousands separators left out, as GSM8K marks its answers."""
    found = _FINAL_ANSWER.search(_text(value))
    if not found:
        raise DataError(f"{_shown(value)} has no final answer after ####")
    return found[1].replace(",", "")


def number_img_tags(value: Any) -> str:
    """``<img="file">`` becomes ``<图片 k>``, k counting different files from 1 in order of appearance."""
    seen: dict[str, int] = {}
    return _IMAGE_TAG.sub(lambda tag: f"<图片 {seen.setdefault(tag[0], len(seen) + 1)}>", _text(value))


def drop_image_marks(value: Any) -> str:
    """Without the marks ``<image1>`` or ``<image 1>`` that say where a picture stands, and trimmed."""
    return _IMAGE_MARK.sub("", _text(value)).strip()


def middle_part(value: Any) -> str:
    """What stands between the first and the last underscore: ``validation_Art_Theory_1`` becomes ``Art_Theory``."""
    return _text(value).partition("_")[2].rpartition("_")[0]


def before_dash(value: Any) -> str:
    """What stands before the first dash."""
    return _text(value).partition("-")[0]


def drop_wiki_markup(value: Any) -> str:
    """Text of WikiHow steps without bracketed markup such as ``[header]``, ``[title]`` read as a full stop."""
    plain = _WIKI_MARKUP.sub("", _text(value).strip().replace(" [title]", ". "))
    return plain.replace("  ", " ").strip()


def drop_wiki_markup_items(value: Any) -> list[str]:
    """:func:`drop_wiki_markup` of each item of a list."""
    if not isinstance(value, list):
        raise DataError(f"{_shown(value)} is a {type(value).__name__}, expected a list")
    return [drop_wiki_markup(item) for item in value]


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    function.__name__: function
    for function in (
        before_dash,
        blank_nan,
        drop_empty,
        drop_image_marks,
        drop_wiki_markup,
        drop_wiki_markup_items,
        final_answer,
        first,
        letter,
        literal_list,
        literal_list_or_text,
        lower,
        middle_part,
        nfkc,
        number_img_tags,
        split_commas,
        split_lines,
        strip,
        strip_parentheses,
        text,
        unique,
        upper,
    )
}
