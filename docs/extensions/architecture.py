"""``{architecture} PACKAGE``: the rooms of a package and the arrows between them.

The picture is drawn from the imports in the code, so it cannot become untrue. A room is a direct
part of the package: a folder, or a module of its own. An arrow means "imports", the type checker's
imports included. An arrow that follows from others is left out (tred(1)).
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.graphviz import graphviz
from sphinx.util.docutils import SphinxDirective

PROJECT = Path(__file__).parents[2]

#: Modules that nearly all others use, or that only start the program: they would hide the rest.
_LEFT_OUT = {"__init__", "__main__", "__version__", "data", "errors", "findings", "frozen", "log"}


def _room(package: str, module: str) -> str | None:
    """The room that a module is in; None if it is in another package."""
    first, _, rest = module.partition(".")
    if first != package or not rest:
        return None
    room = rest.partition(".")[0]
    return None if room in _LEFT_OUT else room


def _imports(tree: ast.Module) -> Iterator[str]:
    """The modules that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def arrows(package: str) -> list[tuple[str, str]]:
    """From which room to which there are imports."""
    found: set[tuple[str, str]] = set()
    for path in sorted((PROJECT / package).rglob("*.py")):
        here = _room(package, ".".join(path.relative_to(PROJECT).with_suffix("").parts))
        if here is None:
            continue
        for module in _imports(ast.parse(path.read_text())):
            there = _room(package, module)
            if there is not None and there != here:
                found.add((here, there))
    return sorted(found)


def dot(package: str) -> str:
    """The picture as Graphviz reads it."""
    lines = [
        f'digraph "{package}" {{',
        'graph [rankdir=TB, bgcolor=transparent, fontname="sans-serif"]',
        'node [shape=box, style=rounded, fontname="sans-serif", fontsize=12]',
        "edge [arrowsize=0.7]",
    ]
    lines += (f'"{here}" -> "{there}"' for here, there in arrows(package))
    drawing = "\n".join([*lines, "}"])
    return subprocess.run(
        ["tred"], input=drawing, check=True, capture_output=True, text=True
    ).stdout


class Architecture(SphinxDirective):
    """The directive; its argument is the package."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The picture, with a text for those who do not see it."""
        package = self.arguments[0]
        node = graphviz()
        node["code"] = dot(package)
        node["options"] = {"docname": self.env.docname}
        node["alt"] = "; ".join(f"{here} imports {there}" for here, there in arrows(package))
        return [node]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("architecture", Architecture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
