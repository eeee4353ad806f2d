"""``{schema-table} NAME``: the settings of one of libvirt's files, from its JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCHEMAS = Path(__file__).parents[2] / "schemas"


def _default(setting: dict[str, Any]) -> str:
    libvirt = setting.get("x-libvirt", {})
    if "default_from" in libvirt:
        return str(libvirt["default_from"])
    return f"`{json.dumps(setting['default'])}`" if "default" in setting else "unset"


def _versions(setting: dict[str, Any]) -> str:
    libvirt = setting.get("x-libvirt", {})
    since, until = libvirt.get("since", ""), libvirt.get("until", "")
    return f"{since} to {until}" if until else str(since)


def rows(name: str) -> list[str]:
    """The lines of the table in Markdown."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    lines = ["| setting | type | default | since | meaning |", "|---|---|---|---|---|"]
    for key, setting in sorted(schema["properties"].items()):
        kind = setting.get("x-libvirt", {}).get("type", setting.get("type", ""))
        cells = [
            f"`{key}`",
            str(kind),
            _default(setting),
            _versions(setting),
            setting.get("description", ""),
        ]
        lines.append("| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |")
    return lines


class SchemaTable(SphinxDirective):
    """The directive; its argument is the name of the file, such as ``qemu.conf``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        name = self.arguments[0]
        self.env.note_dependency(str(SCHEMAS / f"{name}.schema.json"))
        container = nodes.container()
        self.state.nested_parse(StringList(rows(name), source=name), 0, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("schema-table", SchemaTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
