"""matplotlib without the half of its import in which it writes its own documentation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reports.garbage import uncollected

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_class() -> type[Figure]:
    """matplotlib's figure, imported when the first one is drawn."""
    if "matplotlib.figure" not in sys.modules:
        with _undocumented(), uncollected():
            import matplotlib.figure  # noqa: F401
    from matplotlib.figure import Figure

    return Figure


_SIGN = "_update_set_signature_and_docstring"  # a class's last word about itself; its ``set`` works as well without


@contextmanager
def _undocumented() -> Iterator[None]:
    """While classes are made, the lists of their properties are left out of their docstrings and signatures.

    Each class of matplotlib's inspects all of its methods for that list, which takes longer than drawing a page does.
    """
    from matplotlib import artist

    documented, signed = artist.kwdoc, vars(artist.Artist)[_SIGN]
    artist.kwdoc = lambda artist: ""
    setattr(artist.Artist, _SIGN, lambda: None)
    try:
        yield
    finally:
        artist.kwdoc = documented
        setattr(artist.Artist, _SIGN, signed)
