"""Sphinx: the pages of this folder as a site; `make docs` builds it, warnings are errors."""

from __future__ import annotations

from casting_inspect import __version__

project = "casting_inspect"
author = "The casting_inspect developers"
release = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "furo"
html_title = f"casting_inspect {release}"
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
