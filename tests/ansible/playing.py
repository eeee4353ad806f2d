"""Plays with the collection as it is in the repository, by the ansible-core that is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lockcfg.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

PROJECT: Final = Path(__file__).parent.parent.parent
COLLECTION: Final = PROJECT / "ansible"

#: The programs of ansible-core and of its linter.
PROGRAMS: Final = Path(sys.executable).parent

#: Has Ansible write down the result of each task: one line of JSON each.
TELLS: Final = """
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "tells"

    def tell(self, result, **more):
        task = getattr(result, "task", None) or result._task
        host = getattr(result, "host", None) or result._host
        told = getattr(result, "result", None) or result._result
        line = json.dumps([task.get_name(), host.get_name(), dict(told, **more)], default=str)
        with open(os.environ["TELLS"], "a") as stream:
            stream.write(line + "\\n")

    def v2_runner_on_ok(self, result):
        self.tell(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.tell(result, failed=True)

    def v2_runner_on_unreachable(self, result):
        self.tell(result, unreachable=True)
"""


def install(top: Path) -> Path:
    """Build the collection, and install it below ``top`` with nothing beside it; returns what
    Ansible calls the path of collections."""
    here = top / "here"
    environment = {"PATH": f"{PROGRAMS}:{os.defpath}", "HOME": str(top), "LC_ALL": "C.UTF-8"}
    for words in (
        ("build", COLLECTION, "--output-path", top),
        ("install", "--offline", top / f"lockcfg-lockcfg-{VERSION}.tar.gz", "-p", here),
    ):
        ran = subprocess.run(
            [PROGRAMS / "ansible-galaxy", "collection", *words],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return here


class Played:
    """What a play came to: its exit status, what it printed, and the result of each task by its
    name and then by host."""

    def __init__(self, status: int, output: str, results: Mapping[str, Mapping[str, Any]]) -> None:
        self.status: Final = status
        self.output: Final = output
        self.results: Final = results

    def __getitem__(self, task: str) -> Mapping[str, Any]:
        """The results of a task by host."""
        assert task in self.results, self.output
        return self.results[task]


class Controller:
    """Where plays run: a directory with the collection in it, and an inventory."""

    def __init__(self, directory: Path, collection: Path = COLLECTION) -> None:
        self.directory = directory
        place = directory / "collections/ansible_collections/lockcfg"
        place.mkdir(parents=True)
        (place / "lockcfg").symlink_to(collection)
        (directory / "home").mkdir()
        (directory / "callbacks").mkdir()
        (directory / "callbacks/tells.py").write_text(TELLS)
        (directory / "ansible.cfg").touch()
        self.collections: Final = directory / "collections"

    @property
    def environment(self) -> dict[str, str]:
        """Of a program of Ansible, which reads no user's settings."""
        return {
            "PATH": f"{PROGRAMS}:{os.defpath}:/usr/sbin:/sbin",
            "HOME": str(self.directory / "home"),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(self.directory / "callbacks"),
            "TELLS": str(self.directory / "told"),
        }

    def run(
        self, program: str, *arguments: str | Path, before: Sequence[str] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of Ansible."""
        # What enters a namespace of mounts is at its root then.
        there = ("env", "--chdir", str(self.directory)) if before else ()
        return subprocess.run(
            [*before, *there, str(PROGRAMS / program), *map(str, arguments)],
            cwd=self.directory,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def play(
        self,
        tasks: Sequence[Mapping[str, Any]],
        *options: str,
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        before: Sequence[str] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Played:
        """Play ``tasks`` on ``hosts``, each with its variables; by default on one, which is this
        machine. ``before`` are words in front of the command, ``keywords`` those of the play."""
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {
            "all": {
                "children": {
                    "kvm": {
                        "hosts": {
                            name: {**local, **variables}
                            for name, variables in (hosts or {"kvm01": {}}).items()
                        }
                    }
                }
            }
        }
        (self.directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
        play = [{"hosts": "all", "gather_facts": False, "tasks": list(tasks), **(keywords or {})}]
        (self.directory / "play.yml").write_text(yaml.safe_dump(play))
        ran = self.run(
            "ansible-playbook", "-i", "inventory.yml", "play.yml", *options, before=before
        )
        results: dict[str, dict[str, Any]] = {}
        told = self.directory / "told"
        for line in told.read_text().splitlines() if told.exists() else ():
            name, host, result = json.loads(line)
            results.setdefault(name, {})[host] = result
        told.unlink(missing_ok=True)
        return Played(ran.returncode, ran.stdout + ran.stderr, results)


def task(
    name: str, module: str, /, *, more: Mapping[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    """A task with a module of the collection."""
    return {"name": name, f"lockcfg.lockcfg.{module}": options, **(more or {})}
