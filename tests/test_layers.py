"""Imports point one way, and each door to the outside has one keeper."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lockcfg"

#: Each layer may import itself, those to the right of it, and :data:`FOUNDATION`.
LAYERS = ("main", "commands", "report", "fleet", "lint", "change", "rules", "host", "conf")
FOUNDATION = {"errors", "findings", "frozen", "data", "filelock", "yamlschema"}

#: The only modules that may import these.
KEEPERS = {
    "augeas": {"conf/tree.py"},
    # The collector stands alone.
    "fcntl": {"filelock.py", "fleet/collector.py"},
    "jinja2": {"report/audit/html_.py"},
    "markupsafe": {"report/audit/html_.py"},
    "jsonschema": {"yamlschema.py"},
    "yaml": {"yamlschema.py"},
    "sqlite3": {"fleet/store.py"},
    "shtab": {"commands/completion.py"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    """Commands use reports and hosts, hosts use files, and nothing looks back up."""
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer in {"__init__", "__main__"}:
        return
    allowed = set(FOUNDATION)
    if layer in LAYERS:
        allowed |= set(LAYERS[LAYERS.index(layer) :])
    if layer == "commands":
        allowed.add("main")  # completion completes all of the command line
    used = {name.split(".")[1] for name in imports_of(path) if name.startswith("lockcfg.")}
    assert used <= allowed, f"{path.name} reaches up to {sorted(used - allowed)}"


@pytest.mark.parametrize("library", sorted(KEEPERS))
def test_one_module_talks_to_a_library(library: str) -> None:
    """So that there is one place to look at when it misbehaves."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name.split(".")[0] == library for name in imports_of(path))
    }
    assert users == KEEPERS[library]


def test_lockcfg_never_imports_lockd() -> None:
    """The engine stands on the tools, not the other way round."""
    for path in MODULES:
        assert not {name for name in imports_of(path) if name.split(".")[0] == "lockd"}


@pytest.mark.parametrize("command", [("get", "lock_manager"), ("set", "lock_manager", "lockd")])
def test_a_common_command_starts_light(command: tuple[str, ...], host_root: Path) -> None:
    """What costs tens of milliseconds is not imported by what scripts call all the time."""
    program = (
        "import sys; from lockcfg.main import main;"
        f"main([*{command!r}, '--root', {str(host_root)!r}]); print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(result.stderr.split())
    assert "augeas" in loaded
    assert not loaded & {
        "dataclasses",
        "jinja2",
        "jsonschema",
        "pathlib",
        "shtab",
        "typing",
        "yaml",
    }
