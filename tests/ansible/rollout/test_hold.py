"""While a host is held, the real libvirt starts and takes in no guest there, and says why."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ansible.playing import PROGRAMS
from tests.real.guest_host import DISKS, HOME, LOCKSPACE, Disk, GuestHost
from tests.real.moving_host import VIRTLOCKD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

HOOKS: Final = "/etc/libvirt/hooks"
HOOK: Final = f"{HOOKS}/qemu"

#: An admin's own hook: it notes what it is called for, and by which name it goes.
OWN: Final = """#!/bin/sh
echo "$(dirname "$0") $*" >>/srv/called
"""


class HeldHost(GuestHost):
    """A host on which the module can be run."""

    collections: Path

    def hold(self, *options: str, check: bool = False, fails: bool = False, **more: Any) -> Any:
        """Run the module on the host, as Ansible does there; what it answers."""
        arguments = {
            **dict(each.split("=", 1) for each in options),
            **more,
            "_ansible_check_mode": check,
        }
        environment = {"HOME": HOME, "TMPDIR": HOME, "LC_ALL": "C.UTF-8"}
        module = self.collections / "ansible_collections/lockcfg/lockcfg/plugins/modules/hold.py"
        done = self.run(
            *("env", *(f"{name}={value}" for name, value in environment.items())),
            *("sh", "-c", 'printf %s "$3" | "$1" "$2"', "sh"),
            *(f"{PROGRAMS}/python", str(module), json.dumps({"ANSIBLE_MODULE_ARGS": arguments})),
        )
        assert (done.status != 0) == fails, done.said
        return json.loads(done.said)

    def refusal(self, command: str) -> str:
        """What virsh says, which must not do it."""
        result = self.virsh(command)
        assert result.status, f"{command} was done"
        return result.said


@pytest.fixture
def host(tmp_path: Path, collections: Path) -> Iterator[HeldHost]:
    """A host with one guest that runs and one that does not."""
    settings = {"file_lockspace_dir": LOCKSPACE}
    with HeldHost(tmp_path / "host", Path(VIRTLOCKD), settings) as host:
        host.collections = collections
        for result in (host.start_lock_daemon(), host.start_libvirtd()):
            assert result.status == 0, result.said
        for name in ("runs", "rests"):
            host.define(name, (Disk(host.make_disk(name)),))
        assert host.virsh("start runs").status == 0
        yield host


def is_held(host: HeldHost) -> bool:
    """Whether the guest that rests can be started; it does not run afterwards."""
    result = host.virsh("start rests")
    if result.status == 0:
        assert host.virsh("destroy rests").status == 0
        return False
    assert "lockcfg: no guest can be started" in result.said, result.said
    return True


def restart(host: HeldHost) -> None:
    """Restart libvirt's daemon."""
    host.end_libvirtd(signal.SIGTERM)
    assert host.start_libvirtd().status == 0


def test_no_guest_is_started(host: HeldHost) -> None:
    """Whatever way, until the hold is lifted; the guest that runs goes on, all the time."""
    assert host.virsh(f"start rests; save rests {DISKS}/saved").status == 0
    pid = host.qemu_pids()
    checked = host.hold("by=me", check=True)
    assert (checked["changed"], checked["proven"]) == (True, False)
    assert not host.path(HOOKS).exists()
    held = host.hold("by=me", "reason=the storage isn't there; $(reboot) `x` für alle")
    assert (held["changed"], held["held"], held["proven"]) == (True, True, True), held
    assert held["paused"] == []
    said = host.refusal("start rests")
    assert "the storage isn't there; $(reboot) `x` für alle (held by me since 2" in said
    assert "held by me" in host.refusal(f"restore {DISKS}/saved")
    again = host.hold("by=me", "reason=the storage isn't there; $(reboot) `x` für alle")
    assert (again["changed"], again["proven"]) == (False, True)
    restart(host)
    assert is_held(host)
    assert host.qemu_pids() == pid
    lifted = host.hold("by=me", "state=absent")
    assert (lifted["changed"], lifted["held"], lifted["holds"]) == (True, False, [])
    assert not is_held(host)
    assert not host.hold("by=me", "state=absent")["changed"]
    assert list(host.path(HOOKS).iterdir()) == []
    restart(host)
    assert not is_held(host)
    assert host.qemu_pids() == pid


def test_a_hold_of_one_is_not_lifted_by_another(host: HeldHost) -> None:
    """A host has as many as there are people with a reason."""
    host.hold("by=one")
    assert [hold["by"] for hold in host.hold("by=two", allow=["rests"])["holds"]] == ["one", "two"]
    assert is_held(host)
    host.hold("by=one", "state=absent")
    assert host.virsh("start rests").status == 0
    assert host.virsh("managedsave rests; start rests; destroy rests").status == 0
    assert "lockcfg: " in host.refusal("managedsave runs; start runs")
    # What was saved is still there, and the guest goes on from it.
    assert re.search("Managed save: +yes", host.virsh("dominfo runs").said)
    host.hold("by=two", "state=absent")
    assert host.virsh("start runs").status == 0
    assert re.search("Managed save: +no", host.virsh("dominfo runs").said)
    host.hold("by=one")
    host.hold("by=two")
    assert host.hold("state=absent", everyone=True)["holds"] == []
    assert not is_held(host)


@pytest.mark.parametrize("kind", ["file", "link", "not executable"])
def test_a_hook_that_is_there_goes_on(host: HeldHost, kind: str) -> None:
    """It is called as before, except for refused guests, and is unchanged afterwards."""
    host.path(HOOKS).mkdir()
    own = host.path(HOOK)
    if kind == "link":
        host.path(f"{HOOKS}/real").write_text(OWN)
        host.path(f"{HOOKS}/real").chmod(0o755)
        own.symlink_to("real")
    else:
        own.write_text(OWN)
        own.chmod(0o750 if kind == "file" else 0o640)
    before = own.lstat()
    restart(host)
    called = host.path("/srv/called")
    called.unlink(missing_ok=True)
    held = host.hold("by=me")
    assert held["kept"] == f"{HOOK}.lockcfg-kept"
    assert is_held(host)
    assert not called.exists() or "prepare" not in called.read_text()
    assert host.virsh("destroy runs").status == 0
    if kind == "not executable":
        assert not called.exists()
    else:
        assert f"{HOOKS} runs stopped end -" in called.read_text()
    host.hold("by=me", "state=absent")
    after = own.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert not host.path(f"{HOOK}.lockcfg-kept").is_symlink()
    assert not host.path(f"{HOOK}.lockcfg-kept").exists()
    assert not is_held(host)
    assert called.exists() == (kind != "not executable")


def test_no_guest_is_taken_in(tmp_path: Path, collections: Path) -> None:
    """By migration: it goes on where it is, and comes when the hold is lifted."""
    sockets = {"/srv/sockets": tmp_path / "sockets", DISKS: tmp_path / "disks"}
    for path in (*sockets.values(), tmp_path / "locks"):
        path.mkdir()
    shared = {**sockets, LOCKSPACE: tmp_path / "locks"}

    def make(name: str) -> HeldHost:
        settings = {"file_lockspace_dir": LOCKSPACE}
        return HeldHost(tmp_path / name, Path(VIRTLOCKD), settings, shared=shared)

    with make("one") as one, make("two") as two:
        for number, host in enumerate((one, two), 1):
            conf = host.path("/etc/libvirt/libvirtd.conf")
            uuid = f"11111111-2222-4333-8444-{number:012}"
            conf.write_text(f'{conf.read_text()}host_uuid = "{uuid}"\n')
            for result in (host.start_lock_daemon(), host.start_libvirtd()):
                assert result.status == 0, result.said
        one.define("runs", (Disk(one.make_disk("a")),))
        assert one.virsh("start runs").status == 0
        two.collections = collections
        two.hold("by=me", allow=["runs"])
        socket = tmp_path / "two/run/libvirt/libvirt-sock"
        command = (
            f"migrate --live --unsafe runs qemu+unix:///system?socket={socket}"
            " --migrateuri unix:///srv/sockets/migration"
        )
        assert "held by me" in one.refusal(command)
        assert one.virsh("domstate runs").said == "running"
        two.hold("by=me", "state=absent")
        migrated = one.virsh(command)
        assert migrated.status == 0, migrated.said
        assert two.virsh("domstate runs").said == "running"


def test_what_cannot_be_done_is_said(host: HeldHost) -> None:
    """And nothing that was there is lost."""
    hook = host.path(HOOK)
    host.hold("by=me")
    hook.write_text(hook.read_text().replace('"since"', '"then"'))
    assert "has been changed" in host.hold("by=me", fails=True)["msg"]
    assert is_held(host)
    host.hold("state=absent", everyone=True)
    assert not is_held(host)

    hook.write_text(OWN)
    hook.chmod(0o755)
    host.hold("by=me")
    hook.write_text("#!/bin/sh\nexit 0\n")
    # An administrator has put another hook over ours, and must say which of the two is wanted.
    assert "is in the way" in host.hold("by=me", fails=True)["msg"]
    assert host.path(f"{HOOK}.lockcfg-kept").read_text() == OWN
    host.path(f"{HOOK}.lockcfg-kept").unlink()
    assert host.hold("by=me")["proven"]
    host.hold("by=me", "state=absent")

    hook.unlink()
    assert "1 to 500" in host.hold(f"by={'x' * 501}", fails=True)["msg"]
    host.end_libvirtd(signal.SIGTERM)
    held = host.hold("by=me")
    assert (held["held"], held["proven"], held["paused"]) == (True, False, None)
    assert "no daemon of libvirt runs" in held["unproven"]
    assert host.start_libvirtd().status == 0
    assert is_held(host)


def test_a_hook_that_was_half_put_away_is_put_away_again(host: HeldHost) -> None:
    """A run was killed when the hook had its second name and not yet lost the first."""
    host.path(HOOKS).mkdir()
    own = host.path(HOOK)
    own.write_text(OWN)
    own.chmod(0o755)
    kept = host.path(f"{HOOK}.lockcfg-kept")
    kept.hardlink_to(own)
    assert host.hold("by=me")["proven"]
    assert kept.read_text() == OWN
    host.hold("by=me", "state=absent")
    assert own.read_text() == OWN
    kept.hardlink_to(own)
    assert host.hold("by=me", "state=absent")["changed"]
    assert not kept.exists()
    assert own.read_text() == OWN
