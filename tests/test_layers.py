"""Imports point one way, and each door to the outside has one keeper."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(__file__).parent.parent / "lockcfg"

#: Each layer may import itself, those to the right of it, and :data:`FOUNDATION`.
LAYERS = (
    *("main", "commands", "report", "release", "who", "doctor", "running", "fleet", "lint"),
    *("change", "rules"),
    *("host", "conf"),
)
FOUNDATION = {
    "draft",
    "errors",
    "findings",
    "frozen",
    "resources",
    "filelock",
    "counted",
    "nearest",
    "printable",
    "rooted",
    "version",
    "workers",
    "yamlschema",
}

#: The rooms of ``lockcfg/fleet``: each may import itself and those to the right of it. ``audit`` is
#: the module that puts them together, and ``forecast`` asks it what a plan comes to.
ROOMS = (
    "keeper",
    "forecast",
    "audit",
    "plan",
    "rules",
    "comparison",
    "store",
    "policy",
    "model",
    "snapshots",
)

#: What points the other way: a policy names rules, so it asks their table which names there are.
ROOM_EXCEPTIONS = {("policy/policy.py", "rules")}

#: The only modules that may import these.
KEEPERS = {
    "augeas": {"conf/tree.py", "conf/nodesets.py"},
    # The collector stands alone.
    "fcntl": {"filelock.py", "fleet/snapshots/collector.py"},
    "jinja2": {"report/audit/pages.py"},
    "markupsafe": {"report/audit/pages.py"},
    "jsonschema": {"yamlschema.py"},
    "yaml": {"yamlschema.py"},
    "sqlite3": {"fleet/store/store.py"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path, *, typing: bool = True) -> set[str]:
    """The dotted names that a module imports, wherever in it; without ``typing`` leaving out those
    that are for the type checker alone."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    if not typing:
        tree.body = [node for node in tree.body if not is_for_typing(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@cache
def names_of(package: Path) -> dict[Path, str]:
    """The modules of a package, by their files."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[path] = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return found


def imported_modules(path: Path, package: Path) -> set[str]:
    """The modules of a package that one of them imports: not the packages that these are in."""
    modules = set(names_of(package).values())
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in modules else node.module)
    return (found & modules) - {names_of(package)[path]}


def circles(imports: Mapping[str, set[str]]) -> list[set[str]]:
    """The modules that import each other, those of one circle together."""
    reached = {module: set(direct) for module, direct in imports.items()}
    for via in imports:
        for module in imports:
            if via in reached[module]:
                reached[module] |= reached[via]
    found: list[set[str]] = []
    for module in sorted(imports):
        if module in reached[module] and not any(module in each for each in found):
            found.append({each for each in reached[module] if module in reached[each]})
    return found


def is_for_typing(node: ast.stmt) -> bool:
    """Whether a statement is ``if TYPE_CHECKING:`` and what it holds."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


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


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "fleet").rglob("*.py")), ids=lambda path: path.stem
)
def test_a_room_of_the_fleet_uses_only_those_below_it(path: Path) -> None:
    """A snapshot is read by what knows no model, and a model by what knows no store."""
    inside = path.relative_to(PACKAGE / "fleet")
    room = inside.parts[0].removesuffix(".py")
    if room == "__init__":
        return
    used = {
        name.split(".")[2]
        for name in imports_of(path)
        if name.startswith("lockcfg.fleet.")
        and (str(inside), name.split(".")[2]) not in ROOM_EXCEPTIONS
    }
    assert used <= set(ROOMS[ROOMS.index(room) :])


def test_the_collector_stands_alone() -> None:
    """It is copied to hosts that have nothing else."""
    names = imports_of(PACKAGE / "fleet" / "snapshots" / "collector.py")
    assert not [name for name in names if name.split(".")[0] == "lockcfg"]


@pytest.mark.parametrize("library", sorted(KEEPERS))
def test_one_module_talks_to_a_library(library: str) -> None:
    """So that there is one place to look at when it misbehaves."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name.split(".")[0] == library for name in imports_of(path))
    }
    assert users == KEEPERS[library]


#: The engine, which stands beside all that.
ENGINE = PACKAGE.parent / "lockd"
ENGINE_MODULES = sorted(ENGINE.rglob("*.py"))

#: Its rooms and the modules beside them: each may import itself and what is to the right of it.
ENGINE_LAYERS = (
    *(
        "__main__",
        "main",
        "adopt",
        "exporter",
        "follow",
        "resume",
        "run",
        "move",
        "query",
        "qemu",
        "daemon",
        "programs",
        "rpc",
        "locks",
        "survival",
        "kernel",
    ),
    *("wire", "log", "events", "counted", "escape", "ownfile", "__init__"),
)

#: Its modules that do no I/O: they import nothing of the engine but the codec and each other, and
#: none of these.
PURE = [
    *sorted((ENGINE / "wire").glob("*.py")),
    *sorted((ENGINE / "survival/records").glob("*.py")),
    ENGINE / "survival/restart_file.py",
    ENGINE / "locks/space.py",
    ENGINE / "locks/table.py",
    ENGINE / "counted.py",
    ENGINE / "escape.py",
]
PURE_ROOMS = (
    "lockd.wire",
    "lockd.survival.records",
    "lockd.locks.space",
    "lockd.counted",
    "lockd.escape",
)
INPUT_OUTPUT = {"asyncio", "fcntl", "io", "mmap", "os", "select", "signal", "socket", "subprocess"}


def test_the_engine_uses_what_lockcfg_exports() -> None:
    """And nothing from within, so that lockcfg can be changed without a look at it."""
    import lockcfg

    used = {name for path in ENGINE_MODULES for name in imports_of(path)}
    names = {name.partition(".")[2] for name in used if name.startswith("lockcfg.")}
    assert names
    assert names <= set(lockcfg.__all__)


def test_one_module_of_the_engine_locks() -> None:
    """What a lock is, is decided in one place."""
    users = {
        str(path.relative_to(ENGINE))
        for path in ENGINE_MODULES
        if "fcntl" in {name.split(".")[0] for name in imports_of(path)}
    }
    assert users == {"kernel/filelock.py"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ENGINE)))
def test_what_does_no_input_or_output(path: Path) -> None:
    """The codec and the decisions are given what they need."""
    used = imports_of(path, typing=False)
    if "os.strerror" in used:  # which is no more than a table of texts
        used -= {"os", "os.strerror"}
    assert not {name.split(".")[0] for name in used} & INPUT_OUTPUT
    assert all(name.startswith(PURE_ROOMS) for name in used if name.startswith("lockd."))


@pytest.mark.parametrize("path", ENGINE_MODULES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_a_module_of_the_engine_imports_only_what_is_below_it(path: Path) -> None:
    """Also for the type checker alone: what a part is given, it has from below."""
    layer = path.relative_to(ENGINE).parts[0].removesuffix(".py")
    allowed = ENGINE_LAYERS[ENGINE_LAYERS.index(layer) :]
    used = {
        name.split(".")[1] if len(name.split(".")) > 1 else "__init__"
        for name in imported_modules(path, ENGINE)
    }
    assert used <= set(allowed), f"{path.name} reaches up to {sorted(used - set(allowed))}"


@pytest.mark.parametrize("package", [PACKAGE, ENGINE], ids=lambda path: path.name)
def test_no_modules_import_each_other_in_a_circle(package: Path) -> None:
    """Also for the type checker alone: each can be understood, and built, with what is below it."""
    imports = {name: imported_modules(path, package) for path, name in names_of(package).items()}
    assert circles(imports) == []


def test_a_circle_is_found() -> None:
    """Of two, of three, and none if there is none."""
    imports = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(map(sorted, circles(imports))) == [["a", "b", "c"], ["d", "e"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_lockcfg_never_imports_lockd() -> None:
    """The engine stands on the tools, not the other way round."""
    for path in MODULES:
        assert not {name for name in imports_of(path) if name.split(".")[0] == "lockd"}


@pytest.mark.parametrize("command", ["get", "set", "lint"])
def test_a_common_command_starts_light(command: str, host_root: Path) -> None:
    """What costs tens of milliseconds is not imported by what scripts call all the time, and what
    few files need not by the linter where none is of those."""
    arguments = {
        "get": ["get", "lock_manager", "--root", str(host_root)],
        "set": ["set", "lock_manager", "lockd", "--root", str(host_root)],
        "lint": ["lint", str(host_root / "etc/libvirt/qemu.conf")],
    }[command]
    program = (
        "import sys; from lockcfg.main import main;"
        f"main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(result.stderr.split())
    assert "augeas" in loaded
    heavy = {"dataclasses", "jinja2", "jsonschema", "pathlib", "shtab", "typing", "yaml"}
    if command == "lint":
        heavy |= {"datetime", "difflib", "hashlib", "threading", "lockcfg.yamlschema"}
    assert not loaded & heavy


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/explanation/architecture.md"])
def test_a_page_about_the_code_names_files_that_exist(page: str) -> None:
    """A newcomer finds each file and folder that the page names."""
    top = PACKAGE.parent
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=top, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    known = {f"/{path}" for path in tracked}
    known |= {f"{parent}/" for path in known for parent in Path(path).parents}
    named = re.findall(r"`([\w./-]+/|[\w./-]*\w\.(?:py|md|toml|yaml|8))`", (top / page).read_text())
    assert len(named) > 10
    # Names in capitals stand for any name, and fleet.yaml is a file of the user.
    named = [name for name in named if not re.search("[A-Z]{4}", name) and name != "fleet.yaml"]
    missing = [name for name in named if not any(path.endswith(f"/{name}") for path in known)]
    assert missing == []
