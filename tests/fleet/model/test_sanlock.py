"""The audit's model of hosts with sanlock: which exclude each other, and the findings about their
settings.

That two real daemons do so is in ``tests/real/test_model_of_sanlock.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.made_up_fleet import IMAGES
from tests.fleet.fleets import audited, findings_of, fleet_of

if TYPE_CHECKING:
    from lockcfg.fleet.comparison.result import AuditResult

SPACE = "/srv/locks/files"
DISK = f"{IMAGES}/shared.qcow2"
GUEST = [{"name": "guest", "disks": [DISK], "running": False}]


def host(
    plugin: str | None = "auto_disk_leases = 1\n", number: int = 0, **changes: Any
) -> dict[str, Any]:
    """A host with sanlock, its number, and a guest on a disk that all hosts have."""
    told: dict[str, Any] = {"qemu.conf": 'lock_manager = "sanlock"\n', "guests": GUEST}
    if plugin is not None:
        text = f'{plugin}disk_lease_dir = "{changes.pop("space", SPACE)}"\n'
        told["qemu-sanlock.conf"] = text + (f"host_id = {number}\n" if number else "")
    return {**told, **changes}


def lockd() -> dict[str, Any]:
    return {"guests": GUEST}


def verdict(result: AuditResult) -> str:
    """Whether the users of the shared disk exclude each other."""
    found = [row for row in result.disks if "shared" in row.name]
    return found[0].safe if found else "no disk"


CASES = [
    # Two hosts of one lockspace, each with its number.
    (host(number=1), host(number=2), "yes", []),
    # One number, in one directory.
    (host(number=1), host(number=1), "unknown", ["LA112"]),
    # Different directories.
    (host(number=1), host(number=2, space="/srv/locks/lvm"), "no", ["LA301"]),
    # One of each kind.
    (host(number=1), lockd(), "no", ["LA301"]),
    # Nothing is known of the plugin's file, as of a snapshot of before.
    (host(None), host(None), "unknown", ["LA108"]),
    (host(None), host(number=1), "unknown", ["LA108"]),
    # Neither leases disks: by what the guests name, or not at all.
    (host("require_lease_for_disks = 1\n"), host("", 2), "unknown", []),
    (host("require_lease_for_disks = 0\n"), host(number=2), "no", ["LA101"]),
    # libvirt does not start there.
    (host(number=1), host(), "no", ["LA102"]),
    # One is a host without any lock manager.
    (host(number=1), {"qemu.conf": "", "guests": GUEST}, "no", ["LA101", "LA301"]),
    # The file system shows each host its own files alone.
    (
        host(number=1),
        host(number=2, lockspace={"mount": {"type": "nfs", "options": ["vers=3", "nolock"]}}),
        "unknown",
        [],
    ),
]


@pytest.mark.parametrize(("one", "other", "expected", "codes"), CASES)
def test_who_excludes_whom(
    one: dict[str, Any], other: dict[str, Any], expected: str, codes: list[str]
) -> None:
    """Either way round."""
    for first, second in ((one, other), (other, one)):
        result = audited({"kvm01": first, "kvm02": second})
        assert verdict(result) == expected
        found = {finding.code for finding in result.findings}
        assert set(codes) <= found, found
        assert not {"LA112", "LA113", "LA108", "LA109", "LA110"} - set(codes) & found


def test_a_directory_that_is_not_there_or_no_other_host_has() -> None:
    gone = audited({"kvm01": host(number=1), "kvm02": host(number=2, lockspace={"missing": True})})
    assert [each.hosts for each in findings_of(gone, "LA113")] == [("kvm02",)]
    local = {"mount": {"type": "ext4", "source": "/dev/sda1"}}
    alone = audited({"kvm01": host(number=1, lockspace=local), "kvm02": host(number=2)})
    assert [each.hosts for each in findings_of(alone, "LA113")] == [("kvm01",)]
    assert verdict(alone) == "unknown"  # it may be the one that exports it


def test_the_facts_outlive_the_store() -> None:
    """They go through it as JSON."""
    (cell,) = fleet_of({"kvm01": host(number=7)}).cells
    assert cell.facts.sanlock is not None
    assert (cell.facts.sanlock.host_id, cell.facts.sanlock.auto) == (7, True)
    assert cell.facts.sanlock.directory.path == SPACE


def test_a_file_of_sanlock_that_nobody_reads_refuses_nothing() -> None:
    """The lock manager is lockd there, and its plugin does not read sanlock's file."""
    result = audited({"kvm01": {"qemu-sanlock.conf": "auto_disk_leases = 7\n"}})
    assert not findings_of(result, "LA102")
