"""The collection as users get it: built, installed without anything else, documented."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from lockcfg.version import VERSION
from tests.ansible.playing import COLLECTION, PROGRAMS, PROJECT, Controller, install

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))

ROLES = sorted(path.name for path in (COLLECTION / "roles").iterdir())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the built collection is installed, with nothing beside it."""
    return install(tmp_path_factory.mktemp("published")) / "ansible_collections/lockcfg/lockcfg"


def described(controller: Controller, kind: str, *names: str) -> Any:
    """What ansible-doc says of plugins."""
    full = [f"lockcfg.lockcfg.{name}" for name in names]
    ran = controller.run("ansible-doc", "--json", "--type", kind, *full)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_every_plugin_is_documented(installed: Path, tmp_path: Path) -> None:
    """Each has a description of every option, of what it returns, and examples that are tasks."""
    controller = Controller(tmp_path, installed)
    assert len(MODULES) >= 8
    told = described(controller, "module", *MODULES)
    assert sorted(told) == [f"lockcfg.lockcfg.{name}" for name in MODULES]
    for name, each in told.items():
        assert each["doc"]["short_description"], name
        assert each["return"], name
        tasks = yaml.safe_load(each["examples"])
        assert all(task["name"] for task in tasks)
        used = {key for task in tasks for key in task}
        assert name in used
        for option, said in each["doc"]["options"].items():
            assert said["description"], (name, option)
            assert option != "request" or "The controller" in " ".join(said["description"])
    assert described(controller, "filter", "fleet_policy")
    assert described(controller, "inventory", "fleet")
    assert described(controller, "lookup", "whole")
    roles = described(controller, "role", *ROLES)
    for name in ROLES:
        points = roles[f"lockcfg.lockcfg.{name}"]["entry_points"]
        assert points["main"]["short_description"], name
        options = {key: said for each in points.values() for key, said in each["options"].items()}
        assert all(said["description"] for said in options.values()), name
        defaults = COLLECTION / "roles" / name / "defaults/main.yml"
        given = yaml.safe_load(defaults.read_text()) if defaults.exists() else {}
        assert given.keys() <= options.keys(), name
        for key in options.keys() - given.keys():
            assert options[key].get("required"), (name, key)
    assert set(roles["lockcfg.lockcfg.rollout"]["entry_points"]) == {"main", "back"}


def test_it_is_of_the_version_of_lockcfg() -> None:
    """So that one can be told from the other."""
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    assert galaxy["version"] == VERSION


def test_it_has_no_collector_of_its_own(installed: Path) -> None:
    """It runs that of the lockcfg which is installed, so that the two cannot differ."""
    for path in installed.rglob("*.py"):
        assert "lockcfg-snapshot" not in path.read_text(), path


def test_it_uses_nothing_but_the_public_library() -> None:
    """Names of ``lockcfg.__all__``, and never a module of lockcfg."""
    import lockcfg

    for path in (COLLECTION / "plugins").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^\s*(?:from|import) lockcfg\.", text, re.MULTILINE), path
        for name in re.findall(r"\bpackage\.([A-Za-z_]+)", text):
            assert name in lockcfg.__all__, (path, name)


def test_the_linter_finds_nothing() -> None:
    """At its strictest profile, warnings included."""
    ran = subprocess.run(
        [PROJECT / "packaging/lint-collection", PROGRAMS], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_it_can_fail(tmp_path: Path) -> None:
    """The linter is at work: a module without its full name is found."""
    copy = tmp_path / "project"
    (copy / "packaging").mkdir(parents=True)
    for name in ("packaging/lint-collection", "ansible"):
        subprocess.run(["cp", "-R", PROJECT / name, copy / name], check=True)
    with (copy / "ansible/roles/probe/tasks/main.yml").open("a") as stream:
        stream.write("\n- command: ls\n")
    ran = subprocess.run(
        [copy / "packaging/lint-collection", PROGRAMS], capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert "fqcn" in ran.stdout
