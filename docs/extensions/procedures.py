"""``{procedures} PROGRAM``: the calls of one of lockd's programs, from its table and docstrings."""

from __future__ import annotations

from importlib import import_module

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def rows(name: str) -> list[str]:
    """The lines of the table in Markdown."""
    program = import_module(f"lockd.programs.{name}")
    lines = ["| number | call | what it does | arguments |", "|---|---|---|---|"]
    for number, procedure in program.PROCEDURES.items():
        manual = import_module(procedure.__module__).__doc__ or ""
        call, _, rest = " ".join(manual.split()).partition(": ")
        what, _, arguments = rest.partition(" Arguments: ")
        what = what.partition(". ")[0].rstrip(".")
        arguments = arguments.partition(". ")[0].rstrip(".")
        lines.append(f"| {number} | `{call}` | {what} | {arguments} |".replace("``", "`"))
    return lines


class Procedures(SphinxDirective):
    """The directive; its argument is the name of the program, such as ``lock``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        name = self.arguments[0]
        container = nodes.container()
        self.state.nested_parse(StringList(rows(name), source=name), 0, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("procedures", Procedures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
