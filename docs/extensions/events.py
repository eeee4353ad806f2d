"""``{events}``: the kinds of events that lockd tells, from :data:`lockd.events.KINDS`."""

from __future__ import annotations

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lockd.events import KINDS

_LEVELS = ("", "debug", "info", "warning", "error")


def rows() -> list[str]:
    """The lines of the table in Markdown."""
    lines = [
        "| event | level | what it means | what to do | `MESSAGE_ID` |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        level = _LEVELS[kind.level]
        lines.append(f"| `{kind.name}` | {level} | {kind.means} | {kind.do} | `{kind.id}` |")
    return lines


class Events(SphinxDirective):
    """The directive."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        container = nodes.container()
        self.state.nested_parse(StringList(rows(), source="events"), 0, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("events", Events)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
