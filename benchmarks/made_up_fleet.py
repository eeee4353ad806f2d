"""Snapshots of hosts that there are not, as the collector would have written them.

    python -m benchmarks.made_up_fleet DIRECTORY [--hosts N] [--small]

Made for benchmarks, for tests and for a demonstration. The hosts are fine: lockd is in use, its
lockspaces are on NFSv4 without name caching, every guest's image is on another export. What is
wrong with a host is said as changes (see :func:`snapshot`). Of a large fleet 95 % are fine and
alike, except for their guests; the others are wrong in every way that the audit knows.

The same arguments make the same files.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import random
import re
import uuid
from typing import Any

from lockcfg.fleet.snapshots.collector import FILES, FORMAT, VERSION, render
from lockcfg.fleet.snapshots.format import SANLOCK_FILES

Json = dict[str, Any]

#: When the snapshots are taken, and the time of an audit of them.
TAKEN = 1_764_000_000
NOW = TAKEN + 600

_DAY = 86_400

QEMU = 'lock_manager = "lockd"\n'
QEMU_LOCKD = """\
file_lockspace_dir = "/srv/locks/files"
lvm_lockspace_dir = "/srv/locks/lvm"
scsi_lockspace_dir = "/srv/locks/scsi"
"""
VIRTLOCKD = "max_clients = 4096\n"

LOCKSPACES = ("/srv/locks/files", "/srv/locks/lvm", "/srv/locks/scsi")
IMAGES = "/srv/images"

_NFS = ["addr=10.0.0.5", "hard", "local_lock=none", "lookupcache=none", "relatime", "rw"]
_OPTIONS = sorted([*_NFS, "vers=4.2"])


def _mount(point: str, source: str) -> Json:
    return {
        "point": point,
        "root": "/",
        "type": "nfs4",
        "source": source,
        "options": _OPTIONS,
    }


def _inode(path: str) -> int:
    return 1000 + int.from_bytes(hashlib.sha256(path.encode()).digest()[:3], "big")


def _directory(path: str, holds: str, mount: Json) -> Json:
    return {
        "path": path,
        "holds": [holds],
        "mode": "0700",
        "owner": "root",
        "group": "root",
        "mount": mount,
        "probe": {"outcome": "excludes"},
    }


def _file(name: str, text: str | None) -> Json:
    path = f"/etc/libvirt/{name}"
    if text is None:
        return {"path": path}
    digest = hashlib.sha256(text.encode()).hexdigest()
    ownership = {"mode": "0600", "owner": "root", "group": "root"}
    return {"path": path, **ownership, "sha256": digest, "text": text}


def _guest(told: Json) -> Json:
    """A guest from ``name``, ``disks`` (paths, or objects with a path), ``running``."""
    guest: Json = {
        "name": told["name"],
        "uuid": str(uuid.UUID(bytes=hashlib.sha256(told["name"].encode()).digest()[:16])),
        "driver": told.get("driver", "qemu"),
    }
    guest |= {key: told[key] for key in ("instance", "on_lockfailure") if key in told}
    if told.get("running", True):
        guest["running"] = True
        guest["started"] = told.get("started", TAKEN - 10 * _DAY)
    guest["disks"] = [_disk(disk) for disk in told["disks"]]
    if "leases" in told:
        guest["leases"] = told["leases"]
    return guest


def _disk(told: str | Json) -> Json:
    disk: Json = {"path": told} if isinstance(told, str) else dict(told)
    path = disk["path"]
    disk.setdefault("type", "block" if path.startswith("/dev") else "file")
    if disk["type"] in ("file", "block"):
        disk.setdefault("device", "0:52")
        disk.setdefault("inode", _inode(str(disk.get("resolved", path))))
    return disk


def snapshot(name: str, changes: Json | None = None) -> Json:
    """The snapshot of a host that is fine but for ``changes``.

    - ``qemu.conf`` and the other files: the text, or null for no such file;
    - ``lockspace``: members of the directories of the lockspaces, ``mount`` being added to;
    - ``images``: the same for the directory of the images;
    - ``guests``: see :func:`_guest`;
    - ``tools``, ``versions``, ``host``, ``collector``: members to change;
    - ``daemons``: their names and the days since their start;
    - ``edited``: days since each file was changed;
    - ``age-hours``: how long ago the snapshot was taken;
    - ``evidence``: what it saw in a probe.
    """
    changes = copy.deepcopy(changes or {})
    texts: dict[str, str | None] = dict.fromkeys(FILES)
    texts |= {"qemu.conf": QEMU, "qemu-lockd.conf": QEMU_LOCKD, "virtlockd.conf": VIRTLOCKD}
    texts |= {file: changes[file] for file in FILES if file in changes}
    guests = changes.get(
        "guests", [{"name": f"{name}-guest", "disks": [f"{IMAGES}/{name}-guest.qcow2"]}]
    )
    spaces = sorted(changes.get("spaces", LOCKSPACES))
    directories = [
        _changed(_directory(path, "lockspace", _mount("/srv/locks", "nfs1:/locks")), changes, key)
        for path, key in ((path, "lockspace") for path in spaces)
    ]
    directories.insert(
        0, _changed(_directory(IMAGES, "disks", _mount(IMAGES, "nfs1:/vm")), changes, "images")
    )
    directories += changes.get("directories", [])
    directories.sort(key=lambda directory: str(directory["path"]))
    identities = {
        directory["path"]: ["0:52", directory.pop("inode", _inode(directory["path"]))]
        for directory in directories
        if not directory.get("missing") and "error" not in directory
    }
    tools = {"lvs": True, "scsi_id": True, **changes.get("tools", {})}
    days = {"libvirtd": 30, "virtlockd": 30, **changes.get("daemons", {})}
    edited = {file: 60 for file in FILES if texts[file] is not None} | changes.get("edited", {})
    return {
        "format": FORMAT,
        "version": VERSION,
        "collector": {
            "privileged": True,
            "probe": True,
            "incomplete": [],
            **changes.get("collector", {}),
        },
        **{file: _file(file, text) for file, text in texts.items()},
        **{file: _file(file, changes[file]) for file in SANLOCK_FILES if file in changes},
        "tools": tools,
        "versions": {"libvirt": "9.0.0", "qemu": "7.2.22", **changes.get("versions", {})},
        "directories": directories,
        "host": {
            "name": name,
            "machine_id": hashlib.sha256(name.encode()).hexdigest()[:32],
            "boot_id": str(uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[16:])),
            "taken": TAKEN - round(changes.get("age-hours", 0) * 3600),
            **changes.get("host", {}),
        },
        "daemons": [
            {"name": daemon, "pid": 800 + number, "started": TAKEN - round(ago * _DAY)}
            for number, (daemon, ago) in enumerate(sorted(days.items()))
            if ago is not None
        ],
        "changed": {file: TAKEN - round(ago * _DAY) for file, ago in edited.items()},
        "identities": identities,
        "guests": _locked([_guest(guest) for guest in guests], texts, tools, days),
        **_evidence(changes.get("evidence")),
    }


def _evidence(told: Json | None) -> Json:
    probe = {"probe": "0" * 32, "round": "1" * 32, "taken": TAKEN}
    return {} if told is None else {"evidence": {**probe, **told}}


def _locked(
    guests: list[Json], texts: dict[str, str | None], tools: Json, days: dict[str, float | None]
) -> list[Json]:
    """The guests, with the lock that is held for each disk of those that run: the one that the
    configuration means, where the lock daemon is older than the guest. A disk that says what is
    held is left alone; ``lock: null`` is one that is unknown."""
    manager = re.search(r'^lock_manager = "lockd', texts["qemu.conf"] or "", re.MULTILINE)
    lockd = texts["qemu-lockd.conf"] or ""
    spaces = dict(re.findall(r'^(\w+)_lockspace_dir = "([^"]*)"', lockd, re.MULTILINE))
    auto = not re.search(r"^auto_disk_leases = 0", lockd, re.MULTILINE)
    age = max((days[name] or 0 for name in ("virtlockd", "lockd") if name in days), default=0)
    for guest in guests:
        for disk in guest["disks"]:
            if not guest.get("running") or disk["type"] not in ("file", "block"):
                continue
            disk.setdefault("lock", "")
            if disk["lock"] is None:
                del disk["lock"]
            elif not disk["lock"] and manager and auto and TAKEN - age * _DAY <= guest["started"]:
                disk["lock"] = _lock(disk, spaces, tools)
    return guests


def _lock(disk: Json, spaces: dict[str, str], tools: Json) -> str:
    for kind, name, program in (("lvm", "lvm_uuid", "lvs"), ("scsi", "scsi_id", "scsi_id")):
        if disk["path"].startswith("/dev") and kind in spaces and disk.get(name) and tools[program]:
            return spaces[kind]
    return spaces.get("file", ".")


def _changed(directory: Json, changes: Json, key: str) -> Json:
    changed = dict(directory)
    for name, value in changes.get(key, {}).items():
        if name == "mount" and value is not None:
            changed["mount"] = {**directory["mount"], **value}
        elif value is None:
            changed.pop(name, None)
        else:
            changed[name] = value
    if changed.get("missing") or "error" in changed:
        changed.pop("probe", None)
    return changed


def text_of(name: str, changes: Json | None = None) -> str:
    """The same, as the file that the collector writes."""
    return render(snapshot(name, changes))


def _without(*options: str, also: tuple[str, ...] = ()) -> list[str]:
    return sorted([o for o in _OPTIONS if o not in options] + list(also))


#: Ways in which a host can be wrong: one for each thing that the audit looks for on a host.
WRONG: dict[str, Json] = {
    "no lock manager": {"qemu.conf": "# nothing is set here\n"},
    "misspelt": {"qemu.conf": 'lock_managr = "lockd"\n'},
    "no leases": {"qemu-lockd.conf": "auto_disk_leases = 0\nrequire_lease_for_disks = 0\n"},
    "does not parse": {"qemu.conf": 'lock_manager = "lockd\n'},
    "no lock daemon": {"daemons": {"virtlockd": None}},
    "young lock daemon": {"daemons": {"virtlockd": 1}},
    "edited later": {"edited": {"qemu-lockd.conf": 1}},
    "unknown key": {"qemu.conf": QEMU + 'sched_core = "vcpus"\n', "versions": {"libvirt": "8.0.0"}},
    "few clients": {"virtlockd.conf": "max_clients = 1\n"},
    "sanlock": {"qemu.conf": 'lock_manager = "sanlock"\n'},
    "missing lockspace": {"lockspace": {"missing": True}},
    "local lockspace": {
        "lockspace": {
            "mount": {"type": "ext4", "source": "/dev/sda2", "point": "/", "options": ["rw"]}
        }
    },
    "another directory": {
        "qemu-lockd.conf": 'file_lockspace_dir = "/srv/locks/other"\n',
        "spaces": ["/srv/locks/other"],
    },
    "another export": {
        "lockspace": {
            "inode": 4_711,
            "mount": {
                "source": "nfs2:/locks",
                "options": _without("addr=10.0.0.5", also=("addr=10.0.0.6",)),
            },
        }
    },
    "another server of that address": {"lockspace": {"inode": 77}},
    "nolock": {
        "lockspace": {
            "mount": {"type": "nfs", "options": _without("vers=4.2", also=("nolock", "vers=3"))}
        }
    },
    "recover_lost_locks": {
        "lockspace": {"mount": {"options": _without(also=("recover_lost_locks",))}}
    },
    "NFSv3": {
        "lockspace": {"mount": {"type": "nfs", "options": _without("vers=4.2", also=("vers=3",))}}
    },
    "read-only": {"lockspace": {"mount": {"options": _without("rw", also=("ro",))}}},
    "squashed": {
        "lockspace": {"probe": {"outcome": "fails", "step": "create", "error": "Permission denied"}}
    },
    "MooseFS": {
        "lockspace": {"mount": {"type": "fuse.mfs", "source": "mfsmaster:9421", "options": ["rw"]}}
    },
    "name caching": {"lockspace": {"mount": {"options": _without("lookupcache=none")}}},
    "locks do not exclude": {"lockspace": {"probe": {"outcome": "grants"}}},
    "no lvs": {
        "tools": {"lvs": False},
        "guests": [{"name": "ledger", "disks": ["/dev/vg0/ledger"]}],
    },
    "direct devices": {
        "qemu-lockd.conf": "",
        "spaces": [],
        "guests": [{"name": "till", "disks": ["/dev/disk/by-path/till"]}],
    },
    "network disks": {
        "guests": [{"name": "ceph", "disks": [{"type": "network", "path": "rbd:vm/ceph"}]}]
    },
    "unlocked images": {
        "qemu-lockd.conf": "",
        "spaces": [],
        "images": {
            "mount": {"type": "nfs", "options": _without("vers=4.2", also=("nolock", "vers=3"))}
        },
    },
    "old": {"age-hours": 24 * 9},
    "clock ahead": {"age-hours": -5},
    "not root": {"collector": {"privileged": False}},
    "a disk of another": {
        "guests": [{"name": "shared", "disks": [f"{IMAGES}/shared.qcow2"], "running": False}]
    },
    "a disk by another path": {
        "guests": [
            {
                "name": "shared",
                "disks": [
                    {"path": "/srv/images//shared.qcow2", "resolved": f"{IMAGES}/shared.qcow2"}
                ],
                "running": False,
            }
        ]
    },
}


def demo() -> dict[str, Json]:
    """A dozen hosts, three of them wrong in different ways."""
    fleet: dict[str, Json] = {}
    for number in range(1, 13):
        name = f"kvm{number:02}"
        guests: list[Json] = [
            {"name": f"web{number:02}", "disks": [f"{IMAGES}/web{number:02}.qcow2"]},
            {"name": f"db{number:02}", "disks": [f"{IMAGES}/db{number:02}.qcow2"]},
        ]
        fleet[name] = {"guests": guests}
    uuid_of = "Yp3cWk-0d1B-4a2C-h8Qe-xN5s-1LrT-orders"
    volume = {
        "path": "/dev/san/orders",
        "dm_uuid": f"LVM-{'n' * 32}{uuid_of.replace('-', '')}",
    }
    for name in ("kvm07", "kvm09"):
        disk = dict(volume)
        if name == "kvm07":
            disk["lvm_uuid"] = uuid_of
        fleet[name]["guests"].append(
            {"name": "orders", "disks": [disk], "running": name == "kvm07"}
        )
    fleet["kvm03"]["qemu.conf"] = '# lock_manager = "lockd"\n'
    fleet["kvm03"]["guests"].append(
        {"name": "web01", "disks": [f"{IMAGES}/web01.qcow2"], "running": False}
    )
    fleet["kvm09"]["tools"] = {"lvs": False}
    fleet["kvm12"] |= copy.deepcopy(WRONG["another export"])
    return fleet


def large(hosts: int, *, full: bool = True) -> Any:
    """Yield the names and snapshots of a fleet, as files; ``full``: with libvirt's own samples
    around the settings, as on real hosts."""
    rng = random.Random(20_261)
    head = _sample("qemu.conf") if full else ""
    lockd = _sample("qemu-lockd.conf") if full else ""
    kinds = sorted(WRONG)
    for number in range(hosts):
        name = f"kvm{number:06}"
        wrong = rng.random() < 0.05
        kind = rng.choice(kinds)
        changes = copy.deepcopy(WRONG[kind]) if wrong else {}
        guests: list[Json] = [
            {"name": f"vm{number:06}-{n}", "disks": [f"{IMAGES}/vm{number:06}-{n}.qcow2"]}
            for n in range(rng.randrange(4, 13))
        ]
        if rng.random() < 0.1:  # a guest that was here before it was moved
            guests.append(
                {
                    "name": f"vm{max(0, number - 7):06}-0",
                    "disks": [f"{IMAGES}/vm{max(0, number - 7):06}-0.qcow2"],
                    "running": False,
                }
            )
        changes["guests"] = guests + changes.get("guests", [])
        if "qemu.conf" not in changes:
            changes["qemu.conf"] = QEMU
            if wrong and rng.random() < 0.3:
                changes["qemu.conf"] += f"max_files = {32768 + number}\n"
        changes["qemu.conf"] = head + changes["qemu.conf"]
        changes["qemu-lockd.conf"] = lockd + changes.get("qemu-lockd.conf", QEMU_LOCKD)
        changes["host"] = {"taken": TAKEN - number % 3600, **changes.get("host", {})}
        if "age-hours" in changes:
            del changes["host"]
        yield name, text_of(name, changes)


def _sample(name: str) -> str:
    with open(f"/etc/libvirt/{name}", encoding="utf-8") as file:
        return file.read()


def write(directory: str, hosts: int = 0, *, full: bool = True) -> None:
    """Write a fleet of that many hosts, or the demonstration, one file a host."""
    os.makedirs(directory, exist_ok=True)
    if hosts:
        files = large(hosts, full=full)
    else:
        files = ((name, text_of(name, changes)) for name, changes in demo().items())
    for number, (name, text) in enumerate(files):
        folder = directory if hosts <= 1000 else os.path.join(directory, f"{number // 1000:03}")
        if not number % 1000:
            os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="ascii") as file:
            file.write(text)


def main() -> None:
    """Write a fleet into a directory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.made_up_fleet")
    parser.add_argument("directory")
    parser.add_argument(
        "--hosts", type=int, default=0, help="how many (default: the demonstration)"
    )
    parser.add_argument(
        "--small", action="store_true", help="without libvirt's samples around the settings"
    )
    arguments = parser.parse_args()
    write(arguments.directory, arguments.hosts, full=not arguments.small)


if __name__ == "__main__":
    main()
