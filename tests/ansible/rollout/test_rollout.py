"""``ansible-playbook lockcfg.lockcfg.rollout`` makes a mixed fleet with running guests safe, in one
run, and proves it; a run that cannot go on says why, leaves the fleet held, and is gone on with."""

from __future__ import annotations

import random
import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.ansible.rollout.bed import FLEET, Fleet, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Final, Self

#: The hosts that exclude each other from the beginning: what runs on one none of them may have.
EXCLUDING: Final = ("h1", "h2", "h6", "h7")

#: How long a hook has to be there until libvirt must have found it, in seconds.
_FOUND: Final = 3.0

HOOK: Final = "/etc/libvirt/hooks/qemu"


class Try(NamedTuple):
    """A host has tried to start a guest with the disk of another one's."""

    thief: str
    disk: str
    got: bool
    said: str
    held: bool


class Thieves:
    """Each host tries to have each disk, one after the other, for as long as the block lasts: those
    of hosts that exclude each other all the time, the others while the host is held."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet: Final = fleet
        self._over: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._steal)
        self._begun: Final = time.time()
        self._problem: Exception | None = None
        self.tries: Final[list[Try]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def _steal(self) -> None:
        try:
            self._go_round()
        except Exception as problem:  # noqa: BLE001
            self._problem = problem

    def _go_round(self) -> None:
        # A thief that is just being refused would be a guest in the first plan.
        snapshots = self._fleet.directory / "rollout/snapshots"
        files = [snapshots / f"{name}.json.gz" for name in self._fleet.hosts]
        while not all(file.exists() and file.stat().st_mtime > self._begun for file in files):
            if self._over.wait(0.2):
                return
        pairs = [
            (thief, disk)
            for disk, kind in self._fleet.kinds.items()
            for thief in self._fleet.hosts
            if kind.guest and thief != disk
        ]
        random.Random(7).shuffle(pairs)
        while True:
            for thief, disk in pairs:
                if self._over.wait(0.3):
                    return
                held = self._is_held(thief)
                if held or {thief, disk} <= set(EXCLUDING):
                    result = self._fleet.hosts[thief].steal(disk)
                    still = held and self._is_held(thief)
                    self.tries.append(Try(thief, disk, result.status == 0, result.said, still))

    def _is_held(self, name: str) -> bool:
        """Whether it is held, and has been for long enough."""
        try:
            hook = self._fleet.hosts[name].path(HOOK).stat()
        except FileNotFoundError:
            return False
        return time.time() - hook.st_mtime > _FOUND


def changed(said: str) -> dict[str, int]:
    """How many tasks have changed something on each host."""
    recap = said[said.rindex("PLAY RECAP") :]
    return {name: int(count) for name, count in re.findall(r"^(\w+) .*changed=(\d+)", recap, re.M)}


def stopped(said: str) -> str:
    """Why a run has stopped, as it says itself."""
    found = re.search(r"Action failed: (Stopped .*?goes on from what is there then\.)", said, re.S)
    older = re.search(r'"msg": "(Stopped .*?goes on from what is there then\.)', said)
    match = found or older
    assert match is not None, said
    return match[1].replace("\\n", "\n")


def running(kinds: Mapping[str, Kind]) -> dict[str, tuple[str, ...]]:
    """The guests that are to run all the time."""
    return {name: (f"guest-{name}",) if kind.guest else () for name, kind in kinds.items()}


def audit(fleet: Fleet) -> str:
    """The verdict on the snapshots of the last run."""
    report = fleet.lockcfg("audit", "--policy", fleet.policy, fleet.directory / "rollout/snapshots")
    return str(report["verdict"]["level"])


def test_a_mixed_fleet_becomes_safe_in_one_run(tmp_path: Path, collections: Path) -> None:
    """With its guests running, and no disk granted to a second guest; and a second run changes
    nothing."""
    with Fleet(tmp_path, collections) as fleet:
        fleet.write_policy()
        assert fleet.guests() == running(FLEET)
        # Without locks anybody has the disk: what follows is not for nothing.
        assert fleet.hosts["h8"].steal("h3").status == 0
        status, said = fleet.play("audit")
        assert status == 2, said
        assert "Not safe" in said

        with Thieves(fleet) as thieves:
            status, said = fleet.play("rollout")
            assert status == 0, said
            assert '"msg": "Safe: ' in said
        # After the last try: libvirt lists a guest for a moment while it is refused its lock.
        assert fleet.guests() == running(FLEET)
        assert [each for each in thieves.tries if each.got] == []
        held = [each for each in thieves.tries if each.held]
        assert {each.thief for each in held} == set(FLEET)
        assert all("lockcfg-rollout" in each.said for each in held), held
        assert set(changed(said).values()) != {0}
        assert fleet.held() == set()
        assert audit(fleet) == "safe"

        status, said = fleet.play("rollout")
        assert status == 0, said
        assert set(changed(said).values()) == {0}, said
        assert fleet.guests() == running(FLEET)
        for thief, host in fleet.hosts.items():
            for disk, kind in FLEET.items():
                if kind.guest and disk != thief:
                    result = host.steal(disk)
                    assert result.status, f"{thief} has the disk of {disk}"
                    assert "lock" in result.said.lower(), result.said


#: Hosts for runs that stop half way: one that is right, one that locks nothing and runs a guest,
#: one that locks elsewhere, and one that locks nothing and is changed first.
FEW: Final[dict[str, Kind]] = {name: FLEET[name] for name in ("h1", "h3", "h5", "h8")}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Iterator[Fleet]:
    """A mixed fleet that the tests bring on, each a little further."""
    with Fleet(tmp_path_factory.mktemp("few"), collections, FEW) as fleet:
        fleet.write_policy()
        yield fleet


def stops(fleet: Fleet, *held: str) -> str:
    """Why a run stops; these hosts are held then, and all guests run."""
    status, said = fleet.play("rollout")
    assert status != 0, said
    assert fleet.held() == set(held), said
    assert fleet.guests() == running(FEW)
    assert "PLAY RECAP" in said
    why = stopped(said)
    if set(held) == set(FEW):
        assert "Not held" not in why
    else:
        assert f"Not held: {', '.join(sorted(set(FEW) - set(held)))}" in why
    return why


def test_a_host_is_unreachable(few: Fleet) -> None:
    """Nothing is changed, and the others are held."""
    few.stop_sshd("h3")
    why = stops(few, "h1", "h5", "h8")
    assert why.startswith("Stopped before anything was changed: the fleet is not proven safe.")
    assert "- h3: it does not answer" in why
    assert not (few.directory / "rollout/undo").exists()
    few.start_sshd("h3")


def test_a_host_refuses(few: Fleet) -> None:
    """The run stops at the first that does not do what it must, and the next goes on there."""
    qemu = few.hosts["h5"].path("/etc/libvirt/qemu.conf")
    right = qemu.read_text()
    qemu.write_text(right + "lock_manager = broken\n")
    why = stops(few, *FEW)
    assert "h5: mend: libvirt does not start with the files there" in why
    qemu.write_text(right)

    systemctl = few.hosts["h8"].path("/srv/programs/systemctl")
    works = systemctl.read_text()
    systemctl.write_text("#!/bin/sh\necho 'Job for it failed.' >&2\nexit 1\n")
    why = stops(few, *FEW)
    assert re.search(r"Stopped at step \d of \d \((start|restart), group all\)", why), why
    assert "- h8: " in why
    assert "Job for it failed" in why
    systemctl.write_text(works)


def test_and_all_of_it_ends_well(few: Fleet) -> None:
    """The last run goes on where the others stopped; one after it changes nothing."""
    status, said = few.play("rollout")
    assert status == 0, said
    assert few.held() == set()
    assert few.guests() == running(FEW)
    assert audit(few) == "safe"
    status, said = few.play("rollout")
    assert status == 0, said
    assert set(changed(said).values()) == {0}, said
