"""A matplotlib SVG made part of a page: themed by the page's colours, named for screen readers, free of inline style.

The page's policy forbids style attributes, so each becomes presentation attributes; each colour of the house palette
becomes the page's variable of that name, so that figures follow the light and the dark theme.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from reports import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIABLES = {
    figures.BLUE: "--blue",
    figures.VERMILLION: "--vermillion",
    figures.GREEN: "--green",
    figures.PURPLE: "--purple",
    figures.ORANGE: "--orange",
    figures.SKY: "--sky",
    figures.INK: "--ink",
    figures.MUTED: "--muted",
    figures.RULE: "--rule",
    figures.SOFT: "--soft",
    figures.PAPER: "--paper",
}
_STYLE = re.compile(r'\sstyle="([^"]*)"')
_FONT = re.compile(r"font:\s*(?:[a-z]+\s+)*?(?:(\d+)\s+)?([\d.]+)px\s[^;]*")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_IDS = re.compile(r'(\bid="|xlink:href="#|url\(#)([^")]+)')
_TAG = re.compile(r"<[^>]*>")


def _attributes(match: re.Match[str]) -> str:
    """A style attribute as presentation attributes."""
    found = []
    for declaration in match[1].split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip()
        if name == "font":
            font = _FONT.match(declaration.strip())
            found.append(f'font-size="{font[2]}"' if font else "")
        elif name and name != "font-family":  # text is set in the page's font
            value = re.sub(r"\(\s*", "(", value).replace(" )", ")")
            found.append(f'{name}="{value}"')
    return "".join(f" {attribute}" for attribute in found if attribute)


def _page_tag(tag: str, name: str) -> str:
    """One tag with its style as attributes, its ids prefixed, its colours as the page's variables."""
    tag = _STYLE.sub(_attributes, tag)
    tag = _IDS.sub(lambda match: f"{match[1]}{name}-{match[2]}", tag)
    return _COLOUR.sub(lambda match: f"var({VARIABLES[match[0]]})" if match[0] in VARIABLES else match[0], tag)


def responsive(draw: Callable[[bool], Figure], name: str, title: str, description: str) -> Markup:
    """A figure drawn twice, wide and narrow; the stylesheet shows the one that fits.

    Args:
        draw: gives the figure, the narrow one when called with True.
        name, title, description: as for :func:`inline`.
    """
    wide = inline(figures.export(draw(False)), f"{name}-wide", title, description)
    narrow = inline(figures.export(draw(True)), f"{name}-narrow", title, description)
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(wide, narrow)


def inline(svg: bytes, name: str, title: str, description: str) -> Markup:
    """The SVG for a page.

    Args:
        svg: as :func:`reports.figures.export` gives it.
        name: unique in the page; prefixes every id.
        title, description: what a screen reader says.

    Returns:
        Safe markup: an ``<svg role="img">`` without style, script or links to the outside.
    """
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = _TAG.sub(lambda match: _page_tag(match[0], name), text)  # labels between the tags stay as they are
    box = re.search(r'viewBox="([^"]+)"', text)
    viewbox = box[1] if box else "0 0 1 1"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{viewbox}" '
        f'role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    body = re.sub(r"\s*\n\s*", "\n", text[text.index(">") + 1 :])
    return Markup(head + body)  # noqa: S704 - matplotlib's own markup, in which it escapes text
