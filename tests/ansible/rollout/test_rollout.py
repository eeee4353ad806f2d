"""``ansible-playbook lockcfg.lockcfg.rollout`` makes a mixed fleet with running guests safe, in one
run, and proves it. A run that cannot go on says why and leaves the fleet held, and the next one
goes on. The tests have one fleet, and each finds it as the one before has left it."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from tests.ansible.rollout.bed import FLEET, Fleet, Kind
from tests.real.shared.daemons import LOCKD
from tests.real.shared.fleet_host import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Final, Self

#: The hosts that exclude each other from the beginning: what runs on one none of them may have.
EXCLUDING: Final = ("h1", "h2", "h6", "h7")

#: How long a hook has to be there until libvirt must have found it, in seconds.
_FOUND: Final = 3.0

HOOK: Final = "/etc/libvirt/hooks/qemu"

#: What virsh says if libvirtd ends meanwhile, or does not listen yet. A signal (SIGPIPE) ends one
#: that writes to it just then, which says nothing.
_NO_LIBVIRT: Final = (
    r"[Ff]ailed to connect|End of file while reading|Cannot recv data|Broken pipe|^status -13$"
)


class Try(NamedTuple):
    """A host has tried to start a guest with the disk of another one's."""

    thief: str
    disk: str
    got: bool
    said: str
    held: bool


class Thieves:
    """Each host tries to have each disk, one after the other, for as long as the block lasts: those
    of hosts that exclude each other all the time, the others while the host is held. If there are
    ``pairs`` of a thief and a disk, those are tried all the time, and nothing else."""

    def __init__(self, fleet: Fleet, *pairs: tuple[str, str]) -> None:
        self._fleet: Final = fleet
        self._pairs: Final = pairs
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
            if self._pairs:
                self._go_round_in_pairs()
            else:
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
        tried = {
            (thief, disk): 0
            for disk, kind in self._fleet.kinds.items()
            for thief in self._fleet.hosts
            if kind.guest and thief != disk
        }
        by_host = dict.fromkeys(self._fleet.hosts, 0)
        took = 0.0
        # They leave the processor to the run, the more the slower it is.
        while not self._over.wait(max(1.0, 4 * took)):
            held = [name for name in self._fleet.hosts if self._is_held(name)]
            pairs = [pair for pair in tried if pair[0] in held or set(pair) <= set(EXCLUDING)]
            if not pairs:
                continue
            # Each host comes to its turn while it is held, however fast that is over.
            thief, disk = min(pairs, key=lambda pair: (by_host[pair[0]], tried[pair]))
            tried[thief, disk] += 1
            by_host[thief] += thief in held or not held
            begun = time.monotonic()
            result = self._fleet.hosts[thief].steal(disk)
            took = time.monotonic() - begun
            still = thief in held and self._is_held(thief)
            said = result.said or f"status {result.status}"
            self.tries.append(Try(thief, disk, result.status == 0, said, still))

    def _go_round_in_pairs(self) -> None:
        for thief, disk in itertools.cycle(self._pairs):
            if self._over.wait(0.2):
                return
            result = self._fleet.hosts[thief].steal(disk)
            self.tries.append(Try(thief, disk, result.status == 0, result.said, held=False))

    def _is_held(self, name: str) -> bool:
        """Whether it is held, and has been for long enough."""
        try:
            hook = self._fleet.hosts[name].path(HOOK).stat()
        except FileNotFoundError:
            return False
        return time.time() - hook.st_mtime > _FOUND


def _is_refused_by_hold(each: Try) -> bool:
    return each.held and "lockcfg-rollout" in each.said


def not_refused_by_hold(tries: list[Try]) -> list[Try]:
    """The tries on hosts that were held, from the first on at which libvirt there had found the
    hook, that something else has refused. A libvirtd that is just starting again refuses all."""
    found = set()
    wrong = []
    for each in tries:
        if _is_refused_by_hold(each):
            found.add(each.thief)
        elif each.held and each.thief in found and not re.search(_NO_LIBVIRT, each.said):
            wrong.append(each)
    return wrong


def changed(said: str) -> dict[str, int]:
    """How many tasks have changed something on each host."""
    recap = said[said.rindex("PLAY RECAP") :]
    return {name: int(count) for name, count in re.findall(r"^(\S+) .*changed=(\d+)", recap, re.M)}


def stopped(said: str) -> str:
    """Why a run has stopped, as it says itself."""
    ends = r"Stopped .*?continues from the state that it finds then\."
    found = re.search(f"Action failed: ({ends})", said, re.S)
    older = re.search(f'"msg": "({ends})', said)
    match = found or older
    assert match is not None, said
    # The items of a loop say why, and Ansible only that one has failed.
    assert "items failed" not in match[1]
    return match[1].replace("\\n", "\n")


def running(kinds: Mapping[str, Kind]) -> dict[str, tuple[str, ...]]:
    """The guests that are to run all the time."""
    return {name: (f"guest-{name}",) if kind.guest else () for name, kind in kinds.items()}


def audit(fleet: Fleet) -> str:
    """The verdict on the snapshots of the last run."""
    report = fleet.lockcfg("audit", "--policy", fleet.policy, fleet.directory / "rollout/snapshots")
    return str(report["verdict"]["level"])


#: Hosts for runs that stop half way: one that is right, two with a guest that lock nothing or
#: elsewhere, and one without a guest.
FEW: Final = ("h1", "h3", "h5", "h8")
FEW_KINDS: Final = {name: FLEET[name] for name in FEW}

QEMU_CONF: Final = "/etc/libvirt/qemu.conf"
LOCKD_CONF: Final = "/etc/libvirt/qemu-lockd.conf"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Iterator[Fleet]:
    """The fleet that the tests bring from state to state."""
    with Fleet(tmp_path_factory.mktemp("fleet"), collections) as fleet:
        fleet.write_policy()
        yield fleet


def test_a_mixed_fleet_becomes_safe_in_one_run(fleet: Fleet) -> None:
    """With its guests running, and no disk granted to a second guest; and a second run changes
    nothing."""
    assert fleet.guests() == running(FLEET)
    # Without locks each host gets the disk, so what follows proves something.
    assert fleet.hosts["h3"].steal("h1").status == 0
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
    assert {each.thief for each in thieves.tries if _is_refused_by_hold(each)} == set(FLEET)
    assert not_refused_by_hold(thieves.tries) == []
    assert set(changed(said).values()) != {0}
    assert fleet.held() == set()
    assert audit(fleet) == "safe"

    status, said = fleet.play("rollout")
    assert status == 0, said
    assert set(changed(said).values()) == {0}, said
    assert fleet.guests() == running(FLEET)
    disks = [name for name, kind in FLEET.items() if kind.guest]
    for number, (thief, host) in enumerate(fleet.hosts.items()):
        disk = disks[(number + 1) % len(disks)]
        if disk != thief:
            result = host.steal(disk)
            assert result.status, f"{thief} has the disk of {disk}"
            assert "lock" in result.said.lower(), result.said


def test_the_way_back(fleet: Fleet) -> None:
    """The settings of before come back, and the guests that run are under them."""
    fleet.only(*FEW)
    status, said = fleet.play("rollback")
    assert status == 0, said
    assert "run the playbook audit" in said
    assert fleet.guests() == running(FEW_KINDS)
    assert fleet.held() == set()
    h3 = fleet.hosts["h3"]
    # It locks nothing, so it has what another host holds a lock on, and that one has what it has.
    assert h3.steal("h1").status == 0
    assert fleet.hosts["h1"].steal("h3").status == 0
    assert f"{SHARED}/other" in fleet.hosts["h5"].path(LOCKD_CONF).read_text()
    undo = json.loads((fleet.directory / "rollout/undo.json").read_text())
    assert set(undo) == set(FLEET) - set(FEW)


def test_a_canary(fleet: Fleet) -> None:
    """One host is changed, and the others are held until they are changed too."""
    before = {name: pid_of_libvirtd(fleet, name) for name in FEW}
    status, said = fleet.play("canary", "--extra-vars", "lockcfg_canary=h9")
    assert status != 0, said
    assert "the play has no host 'h9'" in said
    status, said = fleet.play("canary", "--extra-vars", "lockcfg_canary=h8")
    assert status == 0, said
    assert "h8: the steps of the plan are done. The fleet is not proven safe." in said
    assert [name for name in FEW if pid_of_libvirtd(fleet, name) != before[name]] == ["h8"]
    assert f"{SHARED}/locks" in fleet.hosts["h8"].path(LOCKD_CONF).read_text()
    assert f"{SHARED}/locks" not in fleet.hosts["h3"].path(LOCKD_CONF).read_text()
    assert fleet.held() == set(FEW)
    assert fleet.guests() == running(FEW_KINDS)


def pid_of_libvirtd(fleet: Fleet, name: str) -> str:
    """The process of the daemon of a host."""
    return fleet.hosts[name].path("/run/libvirtd.pid").read_text()


def stops(fleet: Fleet, run: tuple[int, str]) -> str:
    """Why a run has stopped; all hosts are held then, and all guests run."""
    status, said = run
    assert status != 0, said
    assert fleet.held() == set(FEW), said
    assert fleet.guests() == running(FEW_KINDS)
    assert "PLAY RECAP" in said
    return stopped(said)


def test_nothing_is_changed_where_something_is_wrong(fleet: Fleet) -> None:
    """A host is unreachable, and libvirt does not start with the files of another one."""
    undo = (fleet.directory / "rollout/undo.json").read_text()
    fleet.stop_sshd("h3")
    qemu = fleet.hosts["h5"].path(QEMU_CONF)
    right = qemu.read_text()
    qemu.write_text(right + "lock_manager = broken\n")
    why = stops(fleet, fleet.play("rollout"))
    assert why.startswith("Stopped before anything was changed: the fleet is not proven safe.")
    assert "- h3: it does not answer" in why
    assert "h5: mend: libvirt does not start with the files there" in why
    assert "Not held: h3. Start no guest there." in why
    assert (fleet.directory / "rollout/undo.json").read_text() == undo
    qemu.write_text(right)
    fleet.start_sshd("h3")


def test_a_host_refuses(fleet: Fleet) -> None:
    """The run stops at the first that does not do what it must, and the next goes on there."""
    systemctl = fleet.hosts["h3"].path("/srv/programs/systemctl")
    works = systemctl.read_text()
    systemctl.write_text("#!/bin/sh\necho 'Job for it failed.' >&2\nexit 1\n")
    why = stops(fleet, fleet.play("rollout"))
    assert re.search(r"Stopped at step \d of \d \((start|restart), group all\)", why), why
    assert "- h3: " in why
    assert "Job for it failed" in why
    assert "Not held" not in why
    systemctl.write_text(works)


def test_a_file_is_edited_meanwhile(fleet: Fleet) -> None:
    """By another person, after it was written and before the host has its turn: libvirt is not
    restarted with it."""
    h5 = fleet.hosts["h5"]
    daemon = pid_of_libvirtd(fleet, "h5")
    lockd = h5.path(LOCKD_CONF)
    with fleet.play_beside("rollout") as run:
        with fleet.paused("h3", "systemctl", "restart libvirtd"):
            fleet.reached("h3", run)
            right = lockd.read_text()
            assert f"{SHARED}/locks" in right
            lockd.write_text(right.replace(f"{SHARED}/locks", f"{SHARED}/other"))
        said, _ = run.communicate(timeout=1800)
    why = stops(fleet, (run.returncode, said))
    assert "(restart, group all)" in why
    assert "- h5: h5: write: qemu-lockd.conf: file_lockspace_dir" in why
    assert pid_of_libvirtd(fleet, "h5") == daemon
    lockd.write_text(right)


def test_a_host_dies_half_way(fleet: Fleet) -> None:
    """Its power is cut while it has its turn. It is held when it is back."""
    h8 = fleet.hosts["h8"]
    with h8.path(QEMU_CONF).open("a") as stream:
        stream.write("# a change that libvirt has not read\n")
    with fleet.play_beside("rollout") as run:
        with fleet.paused("h8", "systemctl", "restart libvirtd"):
            fleet.reached("h8", run)
            fleet.cut_off("h8")
        said, _ = run.communicate(timeout=1800)
    why = stops(fleet, (run.returncode, said))
    assert "(restart, group all)" in why
    assert "- h8: it no longer answers" in why
    assert "No guest can be started or taken in on h1, h3, h5." in why
    assert "Not held: h8. Start no guest there." in why
    fleet.bring_back("h8")
    assert "lockcfg-rollout" in h8.steal("h1").said


def test_a_run_is_killed(fleet: Fleet) -> None:
    """While a guest is on disk. The next run goes on with the guest, and ends well. It begins also
    with the fleet as that was made."""
    fleet.only(*FEW)
    with fleet.paused("h3", "virsh", "managedsave"):
        with fleet.play_beside("rollout", start_new_session=True) as run:
            fleet.reached("h3", run)
            os.killpg(run.pid, signal.SIGKILL)
        fleet.end_waiting("h3")
    assert fleet.guests() == {**running(FEW_KINDS), "h3": ()}
    assert fleet.held() == set(FEW)
    status, said = fleet.play("rollout")
    assert status == 0, said
    assert fleet.held() == set()
    assert fleet.guests() == running(FEW_KINDS)
    assert audit(fleet) == "safe"


def test_lockd_in_the_place_of_virtlockd(fleet: Fleet) -> None:
    """With guests running, of which one has no lock: it has one then, and the others have theirs
    all the time. A second run changes nothing."""
    hosts = ("h1", "h3")
    h1, h3 = (fleet.hosts[name] for name in hosts)
    for host in (h1, h3):
        host.sh("for each in systemd init.d; do mount -t tmpfs tmpfs /etc/$each; done")
        host.sh("mount -t tmpfs tmpfs /usr/local")
    # The guest of h3 is started again while nothing is locked.
    qemu = h3.path(QEMU_CONF)
    right = qemu.read_text()
    for text in (right.replace('"lockd"', '"nop"'), right):
        qemu.write_text(text)
        h3.sh("systemctl restart libvirtd")
        if text != right:
            h3.sh("virsh managedsave guest-h3; virsh start guest-h3")
    assert fleet.hosts["h5"].steal("h3").status == 0
    assert fleet.hosts["h5"].steal("h1").status != 0
    play = fleet.directory / "engine.yml"
    role = {
        "name": "Put lockd in the place of virtlockd",
        "ansible.builtin.include_role": {"name": "lockcfg.lockcfg.engine"},
        "vars": {"engine_install": "none", "engine_program": str(LOCKD)},
    }
    adopt = {"name": "Take all locks", "lockcfg.lockcfg.adopt": {"lockd": str(LOCKD)}}
    tasks = [role, {**adopt, "register": "adopted"}, {"ansible.builtin.debug": {"var": "adopted"}}]
    content = [{"hosts": ",".join(hosts), "gather_facts": False, "tasks": tasks}]
    play.write_text(yaml.safe_dump(content))
    with Thieves(fleet, ("h5", "h1")) as thieves:
        status, said = fleet.play(str(play))
    assert status == 0, said
    assert changed(said) == {"h1": 1, "h3": 2}
    assert thieves.tries
    assert [each for each in thieves.tries if each.got] == []
    assert fleet.guests() == running(FEW_KINDS)
    for host, disk in ((h1, "h3"), (fleet.hosts["h5"], "h1"), (fleet.hosts["h5"], "h3")):
        assert "lock" in host.steal(disk).said.lower()
        assert host.steal(disk).status != 0
    for host in (h1, h3):
        assert json.loads(host.sh("lockd locks --json"))
    status, said = fleet.play(str(play))
    assert status == 0, said
    assert changed(said) == {"h1": 0, "h3": 0}
