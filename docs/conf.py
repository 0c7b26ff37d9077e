"""Settings of Sphinx; `make docs` builds docs/_build/html. Nothing is fetched from the internet."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import memdata

project = "memdata"
author = "The memdata developers"
project_copyright = author
version = release = memdata.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "code_links",
    "known_names",
    "speeds",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
nitpicky = True
keep_warnings = True

# ---- pages ----
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
highlight_language = "none"  # a block that names no language is a drawing
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

# ---- reference ----
default_role = "py:obj"  # what stands in single backticks is a link where that leads somewhere
autosummary_generate = True
autosummary_imported_members = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # docstrings say them, with shapes and units
autodoc_member_order = "groupwise"
autodoc_preserve_defaults = True
autoclass_content = "class"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
# All but these: examples and "See Also" for everything, sections of what a line says, types of
# several parameters at once.
numpydoc_validation_checks = {
    "all", "ES01", "EX01", "GL02", "GL08", "PR01", "PR04", "PR08",
    "RT01", "SA01", "SA02", "SA03", "SS01", "SS05", "SS06", "YD01",
}  # fmt: skip
# Attributes that are modules; functions that hypothesis makes, of which numpydoc wants the source.
numpydoc_validation_exclude = {r"\.module$", r"\.compression$", r"\.strategies\."}

# ---- theme ----
html_theme = "pydata_sphinx_theme"
html_title = "memdata"
html_static_path = ["_static"]
html_css_files = ["memdata.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": True,
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"index": [], "performance": [], "faq": [], "changes": [], "switching": []}


def setup(app):
    """Look for pages that are new before autosummary does, which else would not see them."""
    app.connect(
        "builder-inited", lambda app: app.env.find_files(app.config, app.builder), priority=100
    )
