"""The rollout of fleets that differ from that of ``test_rollout`` in their names, groups and users,
and in what their policies say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ansible.rollout.bed import SPACE, USER, Fleet, Kind, Shape
from tests.ansible.rollout.test_rollout import audit, changed, running, stopped
from tests.real.shared.daemons import LOCKD, VIRTLOCKD
from tests.real.shared.fleet_host import SHARED

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

TWO: Final = Shape(
    {"h1": Kind(LOCKD, {}), "h2": Kind(LOCKD, None)},
    {"kvm-west.1": ({"lock_manager": "lockd", "file_lockspace_dir": None}, ("h1", "h2"))},
    {"h1": "KVM-01.west.example.org", "h2": "zwölf"},
    USER,
)

EAST: Final = ("h1", "h2", "h3", "h4")
WEST: Final = ("h5", "h6", "h7", "h8")

#: Two groups with storage of their own. In one all lock in a shared lockspace, in the other the
#: disks themselves, by lockd: with virtlockd GlusterFS may drop such locks, and none is safe. In
#: each there are guests that share a disk.
APART: Final = Shape(
    {
        "h1": Kind(LOCKD, {"file_lockspace_dir": f"{SHARED}/other"}, shares="east"),
        "h2": Kind(LOCKD, None, shares="east"),
        "h3": Kind(VIRTLOCKD, SPACE, mode="shareable"),
        "h4": Kind(VIRTLOCKD, {}, guest=False),
        "h5": Kind(LOCKD, None, shares="west"),
        "h6": Kind(LOCKD, {}, shares="west"),
        "h7": Kind(LOCKD, {}),
        "h8": Kind(LOCKD, None),
    },
    {
        "east": ({**SPACE, "lock_manager": "lockd", "max_clients": 3000}, EAST),
        "west-2": ({"lock_manager": "lockd", "file_lockspace_dir": None}, WEST),
    },
    {"h1": "kvm-01.east.example.org", "h2": "kvm-02.east.example.org", "h7": "10.1.2.3"},
    apart=WEST,
    reached={
        "h2": {"ansible_port": 2222},
        "h3": {"ansible_host": "fd00:99::103"},
        "h6": {"ansible_host": "fd00:99::106", "ansible_port": 22022},
    },
)

#: The policy also asks for lockspaces for devices, which are not there yet, and no guest has a
#: device.
WITH_LOCKSPACES: Final = Shape(
    {"h1": Kind(VIRTLOCKD, SPACE), "h2": Kind(LOCKD, None)},
    {
        "all": (
            {
                **SPACE,
                "lock_manager": "lockd",
                "lvm_lockspace_dir": f"{SHARED}/lvm",
                "scsi_lockspace_dir": f"{SHARED}/scsi",
            },
            ("h1", "h2"),
        )
    },
)

#: One host has sanlock, for which the policy does not ask.
WITH_SANLOCK: Final = Shape(
    {
        "h1": Kind(LOCKD, SPACE),
        "h2": Kind(VIRTLOCKD, {}, guest=False, sanlock="host_id = 2\n"),
    },
    {"all": ({**SPACE, "lock_manager": "lockd"}, ("h1", "h2"))},
)

#: Two groups that differ in their settings and lock on one volume, as groups of an inventory in
#: another one. Libvirt is modular on some hosts, one has settings of Xen besides, and Ansible
#: becomes root by su on one.
UNLIKE: Final = Shape(
    {
        "h1": Kind(VIRTLOCKD, SPACE, modular=True),
        "h2": Kind(LOCKD, {}, files={"libxl.conf": 'lock_manager = "lockd"\n'}),
        "h3": Kind(VIRTLOCKD, None, shares="both"),
        "h4": Kind(VIRTLOCKD, SPACE, shares="both"),
        "h5": Kind(VIRTLOCKD, None, modular=True),
        "h6": Kind(VIRTLOCKD, {}),
        "h7": Kind(LOCKD, SPACE, guest=False),
        "h8": Kind(VIRTLOCKD, None, modular=True, guest=False),
    },
    {
        "Hall_A": (
            {**SPACE, "lock_manager": "lockd", "scsi_lockspace_dir": f"{SHARED}/scsi"},
            ("h1", "h2", "h3", "h4"),
        ),
        "Hall_B": (
            {**SPACE, "lock_manager": "lockd", "max_clients": 3000, "require_lease_for_disks": 1},
            ("h5", "h6", "h7", "h8"),
        ),
    },
    {"h1": "KVM-01.Hall-A.example.org", "h5": "fd00:99::105", "h7": "kvm_07"},
    reached={
        "h4": {"ansible_become": True, "ansible_become_method": "ansible.builtin.su"},
        "h5": {"ansible_host": "fd00:99::105"},
    },
    children=True,
)


def becomes_safe(shape: Shape, directory: Path, collections: Path) -> None:
    """In one run, in which no guest ends, the fleet becomes safe. Check mode changes nothing, and
    neither does a second run. Then the settings of before come back."""
    with Fleet(directory, collections, shape) as fleet:
        fleet.write_policy()
        guests = running(fleet.kinds)
        names = {fleet.called(name) for name in fleet.kinds}
        assert fleet.guests() == guests
        before = fleet.settings()
        status, said = fleet.play("rollout", "--check")
        assert status == 0, said
        assert set(changed(said).values()) == {0}, said
        assert ": write: " in said, said
        assert fleet.held() == set()
        assert fleet.settings() == before

        status, said = fleet.play("rollout")
        assert status == 0, said
        assert '"msg": "Safe: ' in said, said
        assert set(changed(said)) == names, said
        assert set(changed(said).values()) != {0}, said
        assert fleet.guests() == guests
        assert fleet.held() == set()
        assert audit(fleet) == "safe"
        assert fleet.settings() != before
        for name, host in fleet.hosts.items():
            for other in fleet.shape.group_of(name):
                if other != name and fleet.kinds[other].guest:
                    result = host.steal(other)
                    assert result.status, f"{name} has the disk of {other}"
                    assert "lock" in result.said.lower(), result.said

        status, said = fleet.play("rollout")
        assert status == 0, said
        assert set(changed(said).values()) == {0}, said
        assert fleet.guests() == guests

        status, said = fleet.play("rollback")
        assert status == 0, said
        assert fleet.guests() == guests
        assert fleet.held() == set()
        assert fleet.settings() == before


def test_two_hosts(tmp_path: Path, collections: Path) -> None:
    """They lock the disks themselves, are called otherwise than they call themselves, and Ansible
    becomes root by sudo."""
    becomes_safe(TWO, tmp_path, collections)


@pytest.mark.usefixtures("long_run")
def test_eight_hosts_in_two_groups(tmp_path: Path, collections: Path) -> None:
    """They have names with dots, addresses of IPv6 and ports of their own."""
    becomes_safe(APART, tmp_path, collections)


@pytest.mark.usefixtures("long_run")
def test_eight_hosts_with_unlike_settings(tmp_path: Path, collections: Path) -> None:
    """In an inventory with groups in groups and a host that is none of the fleet's."""
    becomes_safe(UNLIKE, tmp_path, collections)


@pytest.mark.usefixtures("long_run")
def test_lockspaces_for_devices(tmp_path: Path, collections: Path) -> None:
    """The directories of both are made, and a probe proves them too."""
    becomes_safe(WITH_LOCKSPACES, tmp_path, collections)


@pytest.mark.usefixtures("long_run")
def test_sanlock_is_never_replaced(tmp_path: Path, collections: Path) -> None:
    """Its host does not exclude those with lockd while it is changed, and other hosts with sanlock
    when it is: the run says so and stops before anything is changed."""
    with Fleet(tmp_path, collections, WITH_SANLOCK) as fleet:
        fleet.write_policy()
        before = fleet.settings()
        assert 'lock_manager = "sanlock"' in before["h2"]
        status, said = fleet.play("rollout")
        assert status != 0, said
        why = stopped(said)
        assert why.startswith("Stopped before anything was changed"), why
        assert 'h2: decide: qemu.conf: lock_manager stays "sanlock"' in why, why
        assert "No guest can be started or taken in on h1, h2." in why, why
        assert fleet.settings() == before
        assert fleet.guests() == running(fleet.kinds)
        status, said = fleet.play("rollback")
        assert status == 0, said
        assert fleet.held() == set()
        assert fleet.settings() == before
