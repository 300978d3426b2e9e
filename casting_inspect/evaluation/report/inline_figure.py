"""Figures inside a page: matplotlib's SVG in the page's own colours, light or dark."""

from __future__ import annotations

import io
import re
from typing import Final

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from casting_inspect.evaluation.figure_style import BLUE, GREEN, GREY, INK, ORANGE, SHADE, style

_COLOURS: Final = {
    INK: "--ink",
    "#000000": "--ink",
    GREY: "--soft",
    SHADE: "--shade",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    "#E6E6E6": "--line",
    "#FFFFFF": "--page",
}
"""A colour of the figures' style and the page's variable that stands for it."""
_FONTS: Final = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_HEAD: Final = re.compile(r"^.*?<svg", re.DOTALL)
_SIZE: Final = re.compile(r' (?:width|height)="[0-9.]+pt"')
_UNUSED: Final = re.compile(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", re.DOTALL)
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}\b")
_NAMED: Final = re.compile(r'(\bid="|url\(#|href="#)')


def inline_svg(figure: Figure, name: str, words: str) -> Markup:
    """Return a figure as an SVG element that follows the page's width and colours.

    Args:
        figure: Drawn in the house style.
        name: Sets the element's ids apart from those of other figures on the page.
        words: What it shows, for those who cannot see it.
    """
    out = io.StringIO()
    with style(), rc_context({"svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    width = figure.get_figwidth()
    text = _UNUSED.sub("", _HEAD.sub("<svg", out.getvalue(), count=1))
    head, _, rest = text.partition(">")
    head = _SIZE.sub("", head)
    head += (
        f' class="figure" role="img" aria-label="{escape(words)}"'
        f' style="max-width: {96 * width:.0f}px"'
    )
    text = f"{head}>{rest}".replace("'DejaVu Sans'", _FONTS)
    text = _NAMED.sub(rf"\g<1>{name}-", text)
    return Markup(_COLOUR.sub(_variable, text))


def _variable(found: re.Match[str]) -> str:
    name = _BY_VALUE.get(found.group().lower())
    return f"var({name})" if name else found.group()


_BY_VALUE: Final = {colour.lower(): name for colour, name in _COLOURS.items()}
