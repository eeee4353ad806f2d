"""Runs are killed at random moments, by SIGKILL. No guest is lost, hosts that were held stay held,
no file is written half, and the same command run again ends as one that was not killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.ansible.rollout.bed import WANTED, Fleet, Shape
from tests.ansible.rollout.test_rollout import (
    FEW,
    FEW_KINDS,
    HOOK,
    audit,
    changed,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Final

pytestmark = pytest.mark.usefixtures("long_run")

#: Each test begins with the fleet as the one before has left it.
SHAPE: Final = Shape(FEW_KINDS, {"all": (WANTED, FEW)})

#: What libvirt reads of what a run writes.
FILES: Final = ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")

#: The last task of a run that changes hosts.
_LIFTS: Final = "TASK [lockcfg.lockcfg.rollout : Let guests be started again]"

#: What a run finds on a machine that has so much to do that a file system gives no answer in the
#: seconds which the collector gives it, and how many runs may find that.
_SLOW: Final = "could not be looked at: no answer"
_RUNS: Final = 5

#: How long after a line a run is killed at most, in seconds: longer than a task takes that changes
#: something.
_LATER: Final = 3.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Iterator[Fleet]:
    """Four hosts, of which three have running guests."""
    with Fleet(tmp_path_factory.mktemp("killed"), collections, SHAPE) as fleet:
        fleet.write_policy()
        yield fleet


class Killed(NamedTuple):
    """A run that was killed: the lines that it had printed, whether it had begun to change hosts,
    and which hosts a rollback has left to do."""

    lines: tuple[str, ...]
    within: bool
    left: frozenset[str]

    @property
    def task(self) -> str:
        """The last task that had begun."""
        begun = [line for line in self.lines if line.startswith("TASK")]
        return begun[-1].strip(" *\n") if begun else "no task"


def texts(fleet: Fleet) -> dict[tuple[str, str], str]:
    """What libvirt reads on each host."""
    return {
        (name, file): path.read_text()
        for name, host in fleet.hosts.items()
        for file in FILES
        if (path := host.path(f"/etc/libvirt/{file}")).exists()
    }


def undo(fleet: Fleet) -> frozenset[str]:
    """The hosts that a rollback would change."""
    path = fleet.directory / "rollout/undo.json"
    return frozenset(json.loads(path.read_text())) if path.exists() else frozenset()


def kill(fleet: Fleet, chance: random.Random, most: int, *command: str) -> Killed | None:
    """Kill a run, at most so many lines and some moments after it has begun; None, if it ended
    before."""
    lines = []
    last = chance.randrange(5, most)
    with fleet.play_beside(*command, start_new_session=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            lines.append(line)
            if len(lines) >= last and line.strip():
                break
        time.sleep(chance.random() * _LATER)
        ended = run.poll() is not None
        if not ended:
            os.killpg(run.pid, signal.SIGKILL)
        lines += run.stdout
    fleet.settle()
    if ended or any(line.startswith("PLAY RECAP") for line in lines):
        return None
    return Killed(tuple(lines), bool(fleet.held()), undo(fleet))


def is_clear(fleet: Fleet, killed: Killed, held: set[str]) -> None:
    """The state of the fleet after a run was killed says what it is; ``held`` are the hosts that
    were held before."""
    if not any(_LIFTS in line for line in killed.lines):
        assert held <= fleet.held(), killed
    for name in fleet.held():
        host = fleet.hosts[name]
        host.sh(f"sh -n {HOOK}")
        if any(_LIFTS in line for line in killed.lines):
            continue
        refused = host.steal(next(other for other in FEW if other not in (name, "h8")))
        assert refused.status, (name, killed)
        assert "lockcfg-rollout" in refused.said, (name, refused, killed)
    for name, guests in running(fleet.kinds).items():
        for guest in guests:
            state = fleet.hosts[name].virsh(f"domstate {guest}").said
            on_disk = (
                "yes"
                in fleet.hosts[name]
                .virsh(f"dominfo {guest}")
                .said.partition("Managed save:")[2]
                .partition("\n")[0]
            )
            assert ("running" in state) != on_disk, (name, state, on_disk, killed)
    for path in (fleet.directory / "rollout/snapshots").glob("*.json.gz"):
        json.loads(gzip.decompress(path.read_bytes()))


def ends_well(fleet: Fleet, *command: str) -> str:
    """The same command runs to its end."""
    for _ in range(_RUNS):
        status, said = fleet.play(*command)
        if status == 0 or _SLOW not in said:
            break
        # A stop like every other: all hosts are held, and the next run goes on.
        assert fleet.held() == set(FEW), said
    assert status == 0, said
    assert fleet.guests() == running(fleet.kinds)
    for host in fleet.hosts.values():
        for directory in ("/etc/libvirt", "/etc/libvirt/hooks"):
            path = host.path(directory)
            assert [each.name for each in path.glob(".*")] == [], directory
    return said


@pytest.mark.parametrize("playbook", ["rollout", "rollback", "canary", "audit"])
def test_killed_at_random_moments(fleet: Fleet, playbook: str, pytestconfig: pytest.Config) -> None:
    """Of each playbook several runs are killed, and so many of them when they had begun to change
    hosts and had not ended."""
    chance = random.Random(f"{pytestconfig.getoption('--seed')} {playbook}")
    command, most, wanted = {
        "rollout": (("rollout",), 300, 4),
        "rollback": (("rollback",), 160, 4),
        "canary": (("canary", "--extra-vars", "lockcfg_canary=h3"), 150, 3),
        "audit": (("audit", "--extra-vars", "lockcfg_fail_level=never"), 20, 3),
    }[playbook]
    before = texts(fleet)
    seen: list[dict[tuple[str, str], str]] = []
    kills: list[Killed] = []
    known = [before]

    def complete(*run: str) -> str:
        said = ends_well(fleet, *run)
        known.append(texts(fleet))
        return said

    if playbook != "rollout":
        complete("rollout")
    if playbook == "canary":
        complete("rollback")
    for _ in range(4 * wanted):
        held = fleet.held()
        killed = kill(fleet, chance, most, *command)
        if killed is None:
            # Nothing is left for the next to do.
            known.append(texts(fleet))
            most = max(most * 2 // 3, 10)
            for other in {"rollout": ("rollback",), "rollback": ("rollout",)}.get(playbook, ()):
                complete(other)
            continue
        print(playbook, killed.within, sorted(killed.left), len(killed.lines), killed.task)
        is_clear(fleet, killed, held)
        seen.append(texts(fleet))
        kills.append(killed)
        if sum(each.within or playbook == "audit" for each in kills) >= wanted:
            break
    complete(*command)
    within = [each for each in kills if each.within]
    if playbook == "audit":
        assert within == []
        assert len(kills) >= wanted
    else:
        assert len(within) >= wanted, kills
        assert fleet.held() == (set(FEW) if playbook == "canary" else set())
    if playbook == "rollback":
        # Killed with some hosts done and others not.
        assert any(set() < each.left < set(FEW) for each in within), kills
    if playbook == "rollout":
        assert audit(fleet) == "safe"
        assert set(changed(complete("rollout")).values()) == {0}
    for texts_then in seen:
        for place, text in texts_then.items():
            assert text in {each.get(place) for each in known}, (place, text)
