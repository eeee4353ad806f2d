"""A probe of hosts, carried by files, as a fan-out tool would."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from lockcfg.fleet.snapshots import collector

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Final

    from tests.conftest import RunLockcfg
    from tests.real.shared.hosts import Host


#: What the collector says of a directory if it was not told in time, and how often it is asked: it
#: gives a directory three seconds, which may not be enough on a busy machine.
_BUSY: Final = "no answer"
_TRIES: Final = 4


class Rounds:
    """A probe of hosts, carried by files: each step is the collector's on every host."""

    def __init__(self, lockcfg: RunLockcfg, directory: Path, hosts: tuple[Host, ...]) -> None:
        self.lockcfg: Final = lockcfg
        self.directory: Final = directory
        self.hosts: Final = hosts
        self.plan: Final = directory / "plan.json"
        self.questions: Final = directory / "questions.json"

    def make_plan(self, *directories: str, seconds: int = 60) -> None:
        """Step one, where the coordinator is."""
        more = [word for path in directories for word in ("--directory", path)]
        names = [word for host in self.hosts for word in ("--hosts", host.name)]
        done = self.lockcfg(
            "probe", *names, *more, "--seconds", str(seconds), "--write-plan", str(self.plan)
        )
        assert (done.returncode, done.stderr) == (0, "")

    def step(self, host: Host, step: str) -> dict[str, Any]:
        """A step on one host."""
        plan = self.plan if step == "hold" else self.questions
        told: dict[str, Any] = json.loads(
            host.run(sys.executable, "-I", collector.__file__, f"--probe-{step}", str(plan))
        )
        return told

    def hold(self) -> list[dict[str, Any]]:
        """The first round, and the questions of the second."""
        held = [self.step(host, "hold") for host in self.hosts]
        self.ask_for(held)
        return held

    def ask_for(self, held: list[dict[str, Any]]) -> None:
        """Make the questions of the second round."""
        paths = []
        for answer in held:
            path = self.directory / f"held-{answer['host']}.json"
            path.write_text(json.dumps(answer))
            paths.append(str(path))
        self.lockcfg(
            "probe", "--plan", str(self.plan), "--write-questions", str(self.questions), *paths
        )

    def ask(self, *hosts: Host) -> Path:
        """The second round; the snapshots are in the directory that is returned."""
        snapshots = self.directory / "snapshots"
        snapshots.mkdir(exist_ok=True)
        for host in hosts or self.hosts:
            for _ in range(_TRIES):
                told = self.step(host, "ask")
                if _BUSY not in [each.get("error") for each in told["evidence"]["directories"]]:
                    break
            (snapshots / f"{host.name}.json").write_text(collector.render(told))
        return snapshots

    def end(self) -> None:
        """Let the locks go."""
        for host in self.hosts:
            self.step(host, "end")


def findings(lockcfg: RunLockcfg, snapshots: Path) -> dict[str, Any]:
    """The audit of the snapshots."""
    report: dict[str, Any] = json.loads(lockcfg("audit", "--json", str(snapshots)).stdout)
    return report


def by_path(report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What the probe showed of each directory."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in report["probe"]:
        for path in row["paths"]:
            found.setdefault(path, []).append(row)
    return found
