"""``{manual-page} FILE``: a man page of ``docs/man``, as mandoc(1) renders it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PAGES = Path(__file__).parents[1] / "man"


class ManualPage(SphinxDirective):
    """The directive; its argument is the file's name, such as ``lockd.8``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The page."""
        page = PAGES / self.arguments[0]
        self.env.note_dependency(str(page))
        rendered = subprocess.run(
            ["mandoc", "-T", "html", "-O", "fragment", page],
            check=True,
            capture_output=True,
            text=True,
        )
        return [nodes.raw("", f'<div class="manual">{rendered.stdout}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("manual-page", ManualPage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
