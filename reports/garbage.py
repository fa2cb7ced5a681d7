"""Python's search for cycles, put off while many records are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles within the block, nor in a function under this decorator.

    Python looks for them each time some thousand objects more are alive, through all that are. The rows of a page and
    the classes of a library stay alive anyway, so there is little to find.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
