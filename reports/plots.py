"""A figure before it is drawn: named and described once, then drawn for a page, wide and narrow, or for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports import svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure.

    Attributes:
        name: short, unique on its page: letters, digits and hyphens; a file name in an export.
        title, description: what a screen reader says; the description names the table with the same numbers.
        draw: gives the figure, the narrow one when called with True.
        caption: what stands below it; the description where that is empty.
    """

    name: str
    title: str
    description: str
    draw: Callable[[bool], Figure]
    caption: str = ""

    def markup(self) -> Markup:
        """The figure for a page."""
        return svg.responsive(self.draw, f"fig-{self.name}", self.title, self.description)


def drawn(plots: Iterable[Plot]) -> dict[str, Markup]:
    """Figures for a page, by name."""
    return {plot.name: plot.markup() for plot in plots}
