"""What the ordinary guests of a snapshot come to, which are read in another way than the rest."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.made_up_fleet import IMAGES, NOW, snapshot, text_of
from lockcfg.errors import ReadError
from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.model.uses import Use
from lockcfg.fleet.snapshots.collector import render
from lockcfg.fleet.snapshots.format import SnapshotError
from lockcfg.fleet.snapshots.reading import own_members_behind
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.opening import store_of
from lockcfg.fleet.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

DISKS: dict[str, list[str | Json]] = {
    "an image": [f"{IMAGES}/a.qcow2"],
    "three images": [f"{IMAGES}/a.qcow2", f"{IMAGES}/b.qcow2", f"{IMAGES}/b.qcow2"],
    "a CD": [f"{IMAGES}/a.qcow2", {"path": f"{IMAGES}/iso/cd.iso", "readonly": True}],
    "by a link": [{"path": "/vms/a.qcow2", "resolved": f"{IMAGES}/a#1.qcow2"}],
    "no lock known": [{"path": f"{IMAGES}/a.qcow2", "lock": None}],
    "a lock elsewhere": [{"path": f"{IMAGES}/a.qcow2", "lock": "/srv/other"}],
    "a local file": ["/var/lib/a.img"],
    "a device": [{"path": "/dev/sdb", "wwid": "naa.6001", "device": "8:16"}],
    "a nameless device": [{"path": "/dev/loop0", "device": "7:0"}],
    "a chain": [
        {
            "path": f"{IMAGES}/a.qcow2",
            "layers": 1,
            "chain": [{"type": "file", "path": f"{IMAGES}/base.qcow2", "inode": 77}],
        }
    ],
    "two names": [{"path": f"{IMAGES}/a.qcow2", "links": 2}],
    "shared": [{"path": f"{IMAGES}/a.qcow2", "shareable": True}],
    "network": [{"type": "network", "path": "rbd:vm/a", "servers": ["a:1"]}],
    "none": [],
    "a quote": [f'{IMAGES}/a"b\\c.qcow2'],
    "an umlaut": [f"{IMAGES}/ä.qcow2"],
    "in the root": ["/a.qcow2"],
}


def rows_of(path: Path, *texts: str) -> dict[str, list[Any]]:
    """All that a store has of some snapshots."""
    store = Store.create(str(path))
    ingester = Ingester(store)
    for text in texts:
        ingester.snapshot("kvm.json", text.encode())
    ingester.read([])
    store.finish()
    store.close()
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    found = {
        table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables
    }
    connection.close()
    return found


def host(number: int, *guests: Json) -> Json:
    """A host with some guests, as :func:`snapshot` is told of them."""
    return snapshot(f"kvm{number}", {"guests": list(guests)})


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("name", DISKS)
def test_the_layout_decides_nothing(name: str, tmp_path: Path, *, running: bool) -> None:
    """A guest comes to the same by whichever way it is read, among others of its kind and alone."""
    others = [{"name": f"vm{number}", "disks": [f"{IMAGES}/{number}.qcow2"]} for number in "12"]
    disks = ["/a"] if name == "no lock known" and not running else DISKS[name]
    it = {"name": "it", "disks": disks, "running": running}
    again = {**it, "name": "again"}
    hosts = [host(0), host(1, *others, it), host(2, others[0], it, others[1], again)]
    assert own_members_behind(*_parts(hosts[1])), "the quick way is taken"
    quick = rows_of(tmp_path / "quick", *map(render, hosts))
    slow = rows_of(tmp_path / "slow", *(json.dumps(each, indent=1) for each in hosts))
    assert quick.keys() == slow.keys()
    for table in quick.keys() - {"disks", "host"}:
        assert quick[table] == slow[table], table
    for one, other in zip(quick["host"], slow["host"], strict=True):
        assert sorted(json.loads(one[9])) == sorted(json.loads(other[9]))
        assert (*one[:9], len(one[10])) == (*other[:9], len(other[10]))
    for one, other in zip(quick["disks"], slow["disks"], strict=True):
        assert sorted(one[3].split(b"\0")) == sorted(other[3].split(b"\0"))


def _parts(made: Json) -> tuple[bytes, bytes]:
    text = render(made)
    return text[: text.index(',\n"host"')].encode(), text.encode()


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ('"file"}', '"file",}'),
        ('"file"}', '"file"},'),
        ('"type":"file"}', '",","type":"file"}'),
        ('"type":"file"}', '"resolved":"/a/,"type":"file"}'),
        ('"inode":', '"inode":0'),
        ('"inode":', '"inode":-'),
        ('"inode":', '"inode":9,"inode":'),
        ('"name":"it"', '"name":"it","name":"it"'),
        ('"name":"it"', '"name":"it\t"'),
        ('"name":"it"', '"name":"\\ud800"'),
        ('"name":"it"', '"name":7'),
        ('"driver":"qemu"', '"driver":"other"'),
        ('"},{"disks"', '"}{"disks"'),
        ('"},{"disks"', '"},,{"disks"'),
        ('"},{"disks"', '"}]{"disks"'),
        ('"},{"disks"', '"},7,{"disks"'),
        ('"guests":[{', '"guests":[,{'),
        ('"guests":[{', '"guests":[{"a":[{'),
        ('"guests":[{', '"guests":{'),
        ('"}]\n}', '"},]\n}'),
        ('"}]\n}', '"}],"guests":[]\n}'),
        ('"taken":', '"taken":-'),
        ('"name":"kvm1"', '"name":""'),
        ('"name":"kvm1"', f'"name":"{256 * "a"}"'),
        ('"name":"kvm1"', '"name":"kvm1","name":"kvm2"'),
        ('"started":', '"started":true,"pid":'),
        ('"servers":["a:1"]', '"servers":[7]'),
    ],
)
def test_what_is_wrong_is_refused(what: str, instead: str) -> None:
    """By the quick way as by the other, and nothing of it is kept."""
    guests: list[Json] = [
        {"name": name, "disks": [f"{IMAGES}/{name}.qcow2"]} for name in ("it", "other")
    ]
    guests.append({"name": "on Ceph", "disks": DISKS["network"]})
    guests.append(guests[0] | {"name": "the last"})
    good = render(host(1, *guests))
    bad = good.replace(what, instead, 1) if what != '"}]\n}' else good.replace(what, instead)
    assert bad != good
    ingester = Ingester(Store.create())
    ingester.snapshot("good.json", good.encode())
    with pytest.raises(SnapshotError):
        ingester.snapshot("bad.json", bad.encode())
    alone = Ingester(Store.create())
    with pytest.raises(SnapshotError):
        alone.snapshot("bad.json", bad.encode())


def store_of_version_4(path: Path, *snapshots: Json) -> None:
    """A store as that version had it: each disk is a row. It was made before it had ``held``."""
    store = Store.create(str(path))
    ingester = Ingester(store)
    for made in snapshots:
        ingester.snapshot("kvm.json", render(made).encode())
    ingester.read([])
    disks = [disk for made in (1, 2) for disk in store._disks_of(made)]
    store.insert("disk", disks)
    store.end()
    connection = sqlite3.connect(path)
    connection.executescript(
        "DROP TABLE disks; DROP TABLE held; CREATE TABLE shared (disk INTEGER PRIMARY KEY);"
        "PRAGMA user_version = 4"
    )
    connection.close()


def test_a_store_of_version_4_is_read(tmp_path: Path) -> None:
    """Also one without the locks that daemons hold, which the first of them did not have."""
    old, path = tmp_path / "old", f"{IMAGES}/a.qcow2"
    its = [host(number, {"name": f"vm{number}", "disks": [path]}) for number in (1, 2)]
    store_of_version_4(old, *its)
    store = store_of([str(old)])
    now = Store.create()
    ingester = Ingester(now)
    for made in its:
        ingester.snapshot("kvm.json", render(made).encode())
    ingester.read([])
    now.finish()
    assert [*store.shared_disks()] == [*now.shared_disks()] != []
    assert [disk.host for disk in store.find_disks({path})] == ["kvm1", "kvm2"]
    assert store.held_locks() == {}


def test_a_store_of_version_5_is_read(tmp_path: Path) -> None:
    """Its uses of devices may not say of which type a name is: then it is unknown which others are
    the same device."""
    old = tmp_path / "old"
    store = Store.create(str(old))
    ingester = Ingester(store)
    for number in (1, 2):
        of = f"eui.000{number}" if number == 1 else f"naa.600{number}"
        disk = {"type": "block", "path": "/dev/sdb", "device": "8:16", "inode": 7, "wwid": of}
        made = host(number, {"name": f"vm{number}", "disks": [disk]})
        ingester.snapshot("kvm.json", render(made).encode())
    ingester.read([])
    store.end()
    connection = sqlite3.connect(old)
    connection.executescript(
        "UPDATE way SET use = json_remove(use, '$.naming'); PRAGMA user_version = 5"
    )
    connection.close()
    read = store_of([str(old)])
    assert {Use.from_json(use).naming for _, use in read.ways()} == {""}
    result = audit_of(read_fleet(read, now=NOW))
    assert "LA317" in {finding.code for finding in result.findings}
    assert result.verdict.level != "safe"


@pytest.mark.parametrize("version", [6, 7])
def test_a_store_of_an_earlier_version_is_never_safe(tmp_path: Path, version: int) -> None:
    """It does not tell what the devices below others are reached through, or which volume has
    them."""
    old = tmp_path / "old"
    store = Store.create(str(old))
    ingester = Ingester(store)
    for number in (1, 2):
        disk = {"type": "file", "path": f"{IMAGES}/{number}.img"}
        made = host(number, {"name": f"vm{number}", "disks": [disk]})
        ingester.snapshot("kvm.json", render(made).encode())
    ingester.read([])
    store.end()
    assert "LA407" not in codes_of(old)
    connection = sqlite3.connect(old)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert "LA407" in codes_of(old)


def codes_of(path: Path) -> set[str]:
    """The rules that find something in a store."""
    result = audit_of(read_fleet(store_of([str(path)]), now=NOW))
    return {finding.code for finding in result.findings}


def test_the_disks_of_guests_are_told_with_what_is_held() -> None:
    """Of the newest snapshot of a host; a host without guests has none."""
    disks = ["/srv/images/a.qcow2", {"path": "/srv/images/b.qcow2", "lock": None}]
    shut = {"name": "shut", "disks": ["/srv/images/c.qcow2"], "running": False}
    store = Store.create()
    ingester = Ingester(store)
    for name, changes in (
        ("kvm01", {"guests": [shut], "age-hours": 1}),
        ("kvm01", {"guests": [{"name": "web", "disks": disks}, shut]}),
        ("kvm02", {"guests": []}),
    ):
        ingester.snapshot(f"{name}.json", text_of(name, changes).encode())
    ingester.read([])
    store.finish()
    assert store.disks_of_guests() == {
        "kvm01": [
            ("shut", "/srv/images/c.qcow2", ""),
            ("web", "/srv/images/a.qcow2", "held"),
            ("web", "/srv/images/b.qcow2", "unknown"),
        ]
    }


def look_at_all(path: Path) -> None:
    """Read what there is in a store."""
    store = store_of([str(path)])
    audit_of(read_fleet(store, now=NOW))
    store.held_locks()
    store.disks_of_guests()
    store.find_disks({"a"})


def test_a_store_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """In words, whatever is missing of it."""
    for number, broken in enumerate(
        ("DROP TABLE held", "DROP TABLE disk", "UPDATE disks SET packed = x'61'")
    ):
        path = tmp_path / str(number)
        guests = [{"name": name, "disks": [f"{IMAGES}/a.qcow2"]} for name in "ab"]
        rows_of(path, render(host(1, *guests)))
        connection = sqlite3.connect(path)
        connection.executescript(broken)
        connection.close()
        with pytest.raises(ReadError, match="is not a whole fleet store"):
            look_at_all(path)
