"""The built collection in an environment where nothing else is: with Debian's ansible-core, and
with the newest of the package index. That of Debian 12 is 2.14, the oldest that it is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lockcfg.version import VERSION
from tests.ansible.playing import COLLECTION, PROJECT, TELLS, task
from tests.ansible.wheels import make_wheels
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Final

#: What Debian's ansible-core and lockcfg need of Debian.
PACKAGES: Final = (
    "ansible-core",
    *(f"python3-{name}" for name in ("jinja2", "markupsafe", "yaml", "packaging", "resolvelib")),
    *(f"python3-{name}" for name in ("cryptography", "cffi-backend", "jsonschema", "attr")),
    *(f"python3-{name}" for name in ("pyrsistent", "augeas", "prometheus-client")),
)


class Installed:
    """An ansible-core: what is in front of the name of a program, and what it finds in its
    environment."""

    def __init__(self, before: Sequence[str], programs: Path, python: str, path: str = "") -> None:
        self.before: Final = [*before]
        self.programs: Final = programs
        self.python: Final = python
        self.path: Final = path

    def run(self, home: Path, program: str, *arguments: str | Path) -> str:
        """Run a program, which has to end well; what it has printed."""
        ran = subprocess.run(
            [*self.before, self.programs / program, *arguments],
            cwd=home,
            env={
                "PATH": f"{os.defpath}:/usr/sbin:/sbin",
                "HOME": str(home),
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": self.path,
                "ANSIBLE_COLLECTIONS_PATH": str(home / "collections"),
                "ANSIBLE_CALLBACK_PLUGINS": str(home / "callbacks"),
                "TELLS": str(home / "told"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


def of_debian(directory: Path) -> Installed:
    """That of the release that runs here, unpacked."""
    directory.mkdir()
    ran = subprocess.run(
        ["apt-get", "download", *PACKAGES], cwd=directory, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    root = directory / "root"
    for package in sorted(directory.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    path = f"{root}/usr/lib/python3/dist-packages:{PROJECT}"
    return Installed(["/usr/bin/python3"], root / "usr/bin", "/usr/bin/python3", path)


def newest(directory: Path) -> Installed:
    """That of the package index."""
    wheels = directory.with_name("wheels")
    make_wheels(wheels)
    venv.create(directory, with_pip=True)
    pip = [str(directory / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    lockcfg = wheels / f"lockcfg-{VERSION}-py3-none-any.whl"
    ran = subprocess.run(
        [*pip, "--find-links", wheels, lockcfg, "ansible-core"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return Installed([], directory / "bin", str(directory / "bin/python"))


@pytest.mark.usefixtures("long_run")
@pytest.mark.parametrize("which", [of_debian, newest])
def test_the_built_collection(which: Callable[[Path], Installed], tmp_path: Path) -> None:
    """It is installed, documented, changes settings once, collects, audits and plans."""
    installed = which(tmp_path / "programs")
    home = tmp_path / "home"
    (home / "callbacks").mkdir(parents=True)
    (home / "callbacks/tells.py").write_text(TELLS)
    installed.run(home, "ansible-galaxy", "collection", "build", COLLECTION, "--output-path", home)
    built = home / f"lockcfg-lockcfg-{VERSION}.tar.gz"
    installed.run(home, "ansible-galaxy", "collection", "install", built, "-p", "collections")
    for kind, name in (("module", "settings"), ("filter", "fleet_policy"), ("role", "rollout")):
        said = installed.run(home, "ansible-doc", "-t", kind, f"lockcfg.lockcfg.{name}")
        assert name.upper() in said.upper()

    hosts = {}
    for name in ("kvm01", "kvm02"):
        root = home / "hosts" / name
        (root / "etc").mkdir(parents=True)
        shutil.copytree(SAMPLES, root / "etc/libvirt")
        hosts[name] = {
            "at": str(root),
            "ansible_connection": "local",
            "ansible_python_interpreter": installed.python,
        }
    (home / "hosts.yml").write_text(yaml.safe_dump({"kvm": {"hosts": hosts}}))
    groups = {"kvm": {"hosts": ["kvm[01-02]"], "settings": {"lock_manager": "lockd"}}}
    (home / "fleet.yaml").write_text(yaml.safe_dump({"groups": groups}))
    once = {"run_once": True}
    tasks = [
        task("plan", "plan", paths=["snapshots"], policy="fleet.yaml", more=once),
        task("set", "settings", root="{{ at }}", settings={"lock_manager": "lockd"}),
        task("collect", "collect", dest="snapshots", root="{{ at }}"),
        task("audit", "audit", paths=["snapshots"], policy="fleet.yaml", more=once),
    ]
    tasks.insert(0, tasks[2] | {"name": "first"})
    play = [{"hosts": "kvm", "gather_facts": False, "tasks": tasks}]
    (home / "play.yml").write_text(yaml.safe_dump(play))
    for changed in (True, False):
        (home / "told").unlink(missing_ok=True)
        installed.run(home, "ansible-playbook", "-i", "hosts.yml", "play.yml")
        told: dict[str, dict[str, Any]] = {}
        for line in (home / "told").read_text().splitlines():
            name, host, result = json.loads(line)
            told.setdefault(name, {})[host] = result
        assert {each["changed"] for each in told["set"].values()} == {changed}
        (plan,) = told["plan"].values()
        actions = {step["action"] for step in plan["steps"]}
        assert ("write" in actions) == changed, actions
        (audit,) = told["audit"].values()
        assert len(audit["audit"]["groups"]) == 1
