"""A figure before it is drawn: named and described once, then drawn for a page, wide and narrow, or for a paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports import figure_store, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure.

    Attributes:
        name: short, unique on its page: letters, digits and hyphens; a file name in an export.
        title, description: what a screen reader says; the description names the table with the same numbers.
        paint: a painter of :mod:`reports.figures` with all that it paints, texts, numbers and records of them.
        caption: what stands below it; the description where that is empty.
    """

    name: str
    title: str
    description: str
    paint: partial[Figure]
    caption: str = ""

    def figure(self, *, narrow: bool = False) -> Figure:
        """The figure, drawn."""
        return self.paint(narrow=narrow)

    def markup(self) -> Markup:
        """The figure for a page, wide and narrow; one that was drawn before is not drawn again."""
        painter = f"{self.paint.func.__module__}.{self.paint.func.__qualname__}"
        facts = (painter, self.paint.args, sorted(self.paint.keywords.items()), self.name, self.title, self.description)
        return Markup(figure_store.kept(facts, self._drawn))  # noqa: S704 - markup of our own, checked to be unchanged

    def _drawn(self) -> Markup:
        def draw(narrow: bool) -> Figure:
            return self.figure(narrow=narrow)

        return svg.responsive(draw, f"fig-{self.name}", self.title, self.description)


def drawn(plots: Iterable[Plot]) -> dict[str, Markup]:
    """Figures for a page, by name."""
    return {plot.name: plot.markup() for plot in plots}
