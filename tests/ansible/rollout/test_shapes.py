"""The rollout of fleets that differ from that of ``test_rollout`` in their names, groups and users,
and in what their policies say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.ansible.rollout.bed import USER, Fleet, Kind, Shape
from tests.ansible.rollout.test_rollout import audit, changed, running
from tests.real.shared.daemons import LOCKD, VIRTLOCKD

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

TWO: Final = Shape(
    {"h1": Kind(LOCKD, {}), "h2": Kind(VIRTLOCKD, None)},
    {"kvm-west.1": ({"lock_manager": "lockd", "file_lockspace_dir": None}, ("h1", "h2"))},
    {"h1": "KVM-01.west.example.org", "h2": "zwölf"},
    USER,
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
