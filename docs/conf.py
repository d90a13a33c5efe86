"""Configuration of the documentation site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import isoclient

project = "isoclient"
author = "isoclient contributors"
copyright = "isoclient contributors"
release = version = isoclient.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Some of performance is included by pages; what is hidden is no page, such as the README of pytest's cache.
exclude_patterns = ["_build", "performance-table.md", "performance-claims.md", "performance-figures.md", ".*", "**/.*"]

html_theme = "furo"
html_title = f"isoclient {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "pictures/logo.svg"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
