"""How Sphinx builds the documentation: `make html`.

Its sources are the Markdown files as they lie in the repository, so that links are the same there.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

project = _PROJECT["name"]
version = release = _PROJECT["version"]
copyright = "the authors of coord, Apache-2.0"

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "docs/adr/*.md"]
include_patterns += ["runbooks/*.md", "consul-dev/README.md"]
exclude_patterns = [".venv", ".cache", "**/node_modules"]

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
# What a command shows, in a console block, need not be shell.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"coord {version}"
html_show_sourcelink = False
# An index.html at the root, that leads to docs/index.html.
html_extra_path = ["html"]
