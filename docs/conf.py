"""The documentation site: `sphinx-build -W docs docs/_build/html` runs the gallery and writes HTML."""

import os
import re
from pathlib import Path
from typing import Any

import bandscope

HERE = Path(__file__).parent

project = "bandscope"
author = "the authors of bandscope"
release = version = bandscope.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "py:obj"  # `name` in a docstring is a link where that name is documented, code elsewhere

html_theme = "furo"
html_title = "bandscope"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

myst_heading_anchors = 3

nb_execution_timeout = 600  # seconds a cell
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # what a page writes is gone with it
nb_merge_streams = True
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # the kernels' progress bars are text

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 90
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
autodoc_preserve_defaults = True  # as they are written: a function's own repr is no Python
napoleon_use_rtype = False
napoleon_custom_sections = [
    (name, "params_style") for name in ("Attributes", "Modes", "Columns of kernels", "Columns of layers")
]

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)#\s]*)[^)]*\)")


def _without_links_outside(app: Any, docname: str, source: list[str]) -> None:
    """Links to files beside docs/ work where the repository is browsed; here their text is left."""

    def text(link: re.Match[str]) -> str:
        target = (HERE / docname).parent.joinpath(link[2]).resolve()
        return link[0] if target.is_relative_to(HERE) else link[1]

    source[0] = _LINK.sub(text, source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _without_links_outside)
