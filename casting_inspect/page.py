"""Reports as one self-contained HTML file each: templates, and pictures inside the page."""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import Any

import jinja2

from casting_inspect import __version__
from casting_inspect.percent import percent

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a page; everything that is put into it is escaped.

    A template extends ``base.html`` and fills the blocks ``verdict`` and ``content``.

    Args:
        template: File name in templates/.
        **values: What the template names; ``title`` always.

    Raises:
        jinja2.UndefinedError: If the template names a value that is not given.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = functools.partial(percent, decimals=1)
    return environment.get_template(template).render(version=__version__, **values)


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Return a file's bytes as the address of a picture that stands in the page itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
