"""``{schema-table} NAME``: the settings of one of libvirt's files, from its JSON Schema.
``{schema-members} NAME OBJECT``: the members of an object of any schema, which is ``.`` for the
whole or the name of a definition."""

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


def _type(told: dict[str, Any]) -> str:
    """The type of a member in words; what a definition says is on the page of its own."""
    if "$ref" in told:
        return f"`{told['$ref'].rpartition('/')[2]}`"
    if "const" in told or "enum" in told:
        return ", ".join(f"`{json.dumps(each)}`" for each in told.get("enum", [told.get("const")]))
    if told.get("type") == "array":
        return f"list of {_type(told.get('items', {}))}"
    return str(told.get("type", ""))


def members(name: str, of: str) -> list[str]:
    """The lines of the table of an object's members in Markdown."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    told = schema if of == "." else schema["$defs"][of]
    lines = ["| member | type | always there | meaning |", "|---|---|---|---|"]
    for key, member in told["properties"].items():
        there = "yes" if key in told.get("required", ()) else ""
        cells = [f"`{key}`", _type(member), there, member.get("description", "")]
        lines.append("| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |")
    return lines


class SchemaMembers(SphinxDirective):
    """The directive; its arguments are the name of the schema and of the object in it."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """The table."""
        name, of = self.arguments
        self.env.note_dependency(str(SCHEMAS / f"{name}.schema.json"))
        container = nodes.container()
        self.state.nested_parse(StringList(members(name, of), source=name), 0, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("schema-table", SchemaTable)
    app.add_directive("schema-members", SchemaMembers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
