"""What the audit does not compare because there is too much of it, it says; and users of a disk
that are alike are judged as if each was compared with each."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from lockcfg.fleet.comparison import disks
from lockcfg.fleet.model import evidence, sharing
from lockcfg.fleet.rules import (
    la112_sanlock_host_id,
    la214_probe_disagrees,
    la507_word_of_the_policy,
)
from tests.fleet.fleets import audited, findings_of
from tests.fleet.more_worlds import world
from tests.fleet.test_worlds import audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from lockcfg.fleet.comparison.disks import _Alike, _User
    from tests.fleet.worlds import World


def _each_alone(users: Sequence[_User], _: object) -> list[_Alike]:
    """No two users are alike."""
    found = []
    for number, user in enumerate(users):
        found.append(disks._Alike(number))
        found[-1].add(user)
    return found


def _with_copies(made: World, rng: random.Random) -> World:
    """A world in which some hosts are there several times."""
    copies = [
        {
            **snapshot,
            "host": {
                **snapshot["host"],
                "name": f"{snapshot['host']['name']}-{number}",
                "machine_id": f"{rng.getrandbits(128):032x}",
                "boot_id": f"00000000-0000-4000-8000-{rng.getrandbits(48):012x}",
            },
        }
        for snapshot in made.snapshots
        for number in range(rng.randrange(3))
    ]
    return made._replace(snapshots=[*made.snapshots, *copies])


def test_users_that_are_alike_are_judged_as_each_of_them(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their disks and locks are."""
    count = 3_000 if request.config.getoption("--exhaustive") else 200
    unsafe = 0
    for number in range(count):
        rng = random.Random(f"alike {number}")
        made = _with_copies(world(rng), rng)
        quick = audit(made)
        with monkeypatch.context() as patched:
            patched.setattr(disks, "_alike", _each_alone)
            slow = audit(made)
        assert quick == slow, number
        unsafe += sum(len(disk.hosts) > 3 and disk.safe == "no" for disk in quick.disks)
    assert unsafe > count / 20


def test_two_halves_of_a_thousand_hosts_are_two_lists() -> None:
    """They lock one disk by two paths: half a million pairs, none of which is left out."""
    paths = ("/srv/images/a.qcow2", "/srv/images//a.qcow2")
    hosts: dict[str, Any] = {
        f"kvm{number:04}": {
            "guests": [
                {
                    "name": "a",
                    "disks": [{"path": paths[number % 2], "resolved": paths[0]}],
                    "running": False,
                }
            ]
        }
        for number in range(1000)
    }
    (disk,) = audited(hosts).disks
    assert disk.safe == "no"
    ((seen, one, other),) = disk.pairs
    assert (seen, len(one), len(other)) == ("no", 500, 500)


DIRECTORIES: dict[str, Any] = {
    f"kvm{number}": {
        "lockspace": {"inode": 5000 + number, "mount": {"source": f"nfs1:/locks{number}"}}
    }
    for number in range(4)
}


def test_pairs_that_a_policy_is_not_held_to_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the policy does not name need not be compared."""
    policy = {"different-storage": [["nfs://10.0.0.5:/locks1", "nfs://10.0.0.5:/locks2"]]}
    monkeypatch.setattr(la507_word_of_the_policy, "_COMPARED", 15)

    def told(policy: Any) -> list[str]:
        result = audited(DIRECTORIES, policy)
        found = findings_of(result, "LA507")
        assert result.verdict.level != "safe"
        return [each.message for each in found if "compared" in each.message]

    assert told(policy) == []
    policy["different-storage"][0].append("nfs://10.0.0.5:/locks3")
    (message,) = told(policy)
    assert "only 15 of 36 pairs" in message


def test_names_of_storage_that_are_not_compared_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which hosts share storage depends on it."""
    hosts: dict[str, Any] = {
        f"kvm{number}": {
            "images": {"mount": {"options": [f"addr=10.0.9.{number}", "rw", "vers=4.2"]}}
        }
        for number in range(4)
    }
    assert not any("another name" in each.message for each in audited(hosts).findings)
    monkeypatch.setattr(sharing, "_COMPARED", 3)
    result = audited(hosts)
    assert any("another name" in each.message for each in findings_of(result, "LA301"))
    assert result.verdict.level != "safe"


def test_numbers_of_sanlock_that_are_not_compared_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may be two of one number."""
    text = 'auto_disk_leases = 1\nhost_id = 1\ndisk_lease_dir = "/srv/locks/files"\n'
    sanlock = {"qemu.conf": 'lock_manager = "sanlock"\n', "qemu-sanlock.conf": text}
    hosts = {name: {**changes, **sanlock} for name, changes in DIRECTORIES.items()}
    monkeypatch.setattr(la112_sanlock_host_id, "_COMPARED", 2)
    assert any("not all were" in each.message for each in findings_of(audited(hosts), "LA112"))


def test_hosts_of_a_probe_that_are_not_compared_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither are they taken to be seen, nor the places to agree with the mounts."""
    hosts = {}
    for number in range(4):
        at = {"path": "/srv/locks/files", "nonce": "a" * 32}
        each = {**at, "locked": [n for n in range(4) if n != number], "marked": [*range(4)]}
        hosts[f"kvm{number}"] = {
            **DIRECTORIES[f"kvm{number}"],
            "evidence": {"number": number, "hosts": 4, "directories": [each]},
        }
    assert not findings_of(audited(hosts), "LA215")
    monkeypatch.setattr(evidence, "COMPARED", 3)
    monkeypatch.setattr(la214_probe_disagrees, "_COMPARED", 2)
    result = audited(hosts)
    assert [each.hosts for each in findings_of(result, "LA215")] == [("kvm3",)]
    assert any("not all were" in each.message for each in findings_of(result, "LA214"))
