"""Figures that were drawn before, kept in the cache folder as the markup that pages take them in.

A figure goes by a digest of all that its markup follows from: painter, data and texts, the source of this room, and
matplotlib's version. So an entry never has to be thought about again: where anything changed, another name is looked
for, and what nobody has asked for lately is the first to go. Where a figure is found matplotlib is not imported.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from evals.errors import StoreError
from evals.files import cache_dir, write_bytes

MOST = 500  # figures, of about 15 KB each
_SUFFIX = ".figure"


def kept(facts: object, draw: Callable[[], str]) -> str:
    """A figure's markup: the one that was kept, or else drawn and kept.

    Args:
        facts: whose ``repr`` tells this figure from all others, as that of texts, numbers and records of them does.
        draw: gives the markup. It is called where there is no entry, or a damaged one, or no place to keep it.
    """
    name, folder = _name(facts), _folder()
    if name is None or folder is None:
        return draw()
    found = _read(folder / name)
    if found is None:
        found = draw()
        with suppress(StoreError, OSError):  # a folder that cannot be written keeps nothing
            _write(folder / name, found)
    return found


def _name(facts: object) -> str | None:
    code = _code()
    return None if code is None else hashlib.sha256(f"{code} {facts!r}".encode(errors="replace")).hexdigest() + _SUFFIX


def _folder() -> Path | None:
    try:
        return cache_dir() / "figures"
    except RuntimeError:  # a user without a home
        return None


@cache
def _code() -> str | None:
    """A digest of what draws; None where matplotlib's version cannot be read off without importing it."""
    library = find_spec("matplotlib")
    if library is None or library.origin is None:
        return None
    digest = hashlib.sha256()
    try:
        for path in (Path(library.origin).with_name("_version.py"), *sorted(Path(__file__).parent.glob("*.py"))):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None
    return digest.hexdigest()


def _read(path: Path) -> str | None:
    """An entry's markup; None where it is missing or not as it was written."""
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest().encode() != digest:
        return None
    with suppress(OSError):
        os.utime(path)  # asked for just now
    return data.decode("utf-8")


def _write(path: Path, markup: str) -> None:
    data = markup.encode("utf-8")
    write_bytes(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data, durable=False)
    entries = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[:-MOST]:
        entry.unlink(missing_ok=True)
