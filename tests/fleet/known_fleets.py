"""Small fleets of which the truth is known: what two hosts would tell, and whether their guests can
write one disk at once.

Most are as the collector of version 1 wrote them, which knew names and numbers and no identities;
what it could not show must not be called safe. ``said`` is what the audit says where it cannot say
the truth, and that is always "unknown".
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, NamedTuple

Json = dict[str, Any]

NOW = 1_764_000_600
_DAY = 86_400
ADDRESS = "10.0.0.5"
DEVTMPFS: Json = {
    "point": "/dev",
    "root": "/",
    "type": "devtmpfs",
    "source": "udev",
    "options": ["rw"],
}
LOCKD = 'lock_manager = "lockd"\n'
FILES = 'file_lockspace_dir = "/srv/locks/files"\n'


class Known(NamedTuple):
    """A fleet: its snapshots, the policy as YAML has it, the truth, and what is said at least."""

    truth: str
    hosts: list[Json]
    policy: Json | None = None
    said: str = ""


def mount(point: str, kind: str, source: str, *options: str, ids: tuple[str, ...] = ()) -> Json:
    """A mount as a snapshot has it."""
    told: Json = {
        "point": point,
        "root": "/",
        "type": kind,
        "source": source,
        "options": sorted(["relatime", "rw", *options]),
    }
    if ids:
        told["ids"] = list(ids)
    return told


def nfs(point: str, source: str, address: str = ADDRESS, kind: str = "nfs4", **more: Any) -> Json:
    """A mount of NFS, without name caching."""
    version = "vers=4.2" if kind == "nfs4" else "vers=3"
    more_options = more.pop("options", ())
    options = (f"addr={address}", "local_lock=none", "lookupcache=none", version, *more_options)
    return mount(point, kind, source, *options, **more)


def directory(path: str, on: Json | None, holds: str, inode: int | None, **more: Any) -> Json:
    """A directory of a host; its number stands beside it until :func:`host` puts it where it is."""
    told: Json = {"path": path, "holds": [holds], "mode": "0700", "owner": "root", "group": "root"}
    if on is not None:
        told["mount"] = on
        if on["type"] != "devtmpfs":
            told["probe"] = {"outcome": "excludes"}
    return {**told, **more, "inode": inode}


def images(address: str = ADDRESS, source: str = "nfs1:/vms", inode: int = 77, **more: Any) -> Json:
    """The directory of the images, on NFS."""
    return directory("/srv/vms", nfs("/srv/vms", source, address, **more), "disks", inode)


def locks(
    address: str = ADDRESS, source: str = "nfs1:/locks", inode: int = 99, **more: Any
) -> Json:
    """The directory of the locks, on NFS."""
    on = nfs("/srv/locks", source, address, **more)
    return directory("/srv/locks/files", on, "lockspace", inode)


DEVICES = (
    directory("/dev", DEVTMPFS, "disks", 3),
    directory("/dev/mapper", DEVTMPFS, "disks", 3),
    directory("/dev/vg", DEVTMPFS, "disks", 3),
)


def disk(path: str, **more: Any) -> Json:
    """A disk whose file or device was looked at."""
    number = 1000 + int.from_bytes(hashlib.sha256(path.encode()).digest()[:3], "big")
    kind = "block" if path.startswith("/dev") else "file"
    told = {"path": path, "type": kind, "device": "0:52", "inode": number, **more}
    return {key: value for key, value in told.items() if value is not None}


def guest(
    name: str, *disks: Json, running: bool = False, driver: str = "qemu", **more: Any
) -> Json:
    """A guest; one name is one UUID."""
    told: Json = {
        "name": name,
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        "driver": driver,
        "disks": list(disks),
        **more,
    }
    if running:
        told |= {"running": True, "started": NOW - 5 * _DAY}
    return told


def image(name: str = "a", *, running: bool = False, **more: Any) -> Json:
    """A guest with one image."""
    return guest(name, disk(f"/srv/vms/{name}.qcow2", **{"inode": 4242, **more}), running=running)


def device(path: str, *, running: bool = False, name: str = "v", **more: Any) -> Json:
    """A guest with one block device."""
    return guest(name, disk(path, **{"device": "253:1", **more}), running=running)


def network(*servers: str) -> Json:
    """A network disk on servers."""
    return {"type": "network", "path": "rbd:p/i", "servers": list(servers)}


def host(
    name: str,
    directories: list[Json],
    guests: list[Json],
    *,
    qemu: str | None = LOCKD,
    lockd: str | None = FILES,
    libxl: str | None = None,
    version: int = 1,
    **more: Any,
) -> Json:
    """A snapshot."""
    texts = {
        "qemu.conf": qemu,
        "qemu-lockd.conf": lockd,
        "libxl.conf": libxl,
        "libxl-lockd.conf": None,
        "virtlockd.conf": "max_clients = 4096\n",
    }
    files = {
        file: {
            "path": f"/etc/libvirt/{file}",
            **({} if text is None else {"mode": "0600", "owner": "root", "text": text}),
        }
        for file, text in texts.items()
    }
    told = sorted((dict(each) for each in directories), key=lambda each: str(each["path"]))
    numbers = {each["path"]: each.pop("inode") for each in told}
    volumes = {each["path"]: each.pop("volume", "") for each in told}
    daemons = more.pop("daemons", ("libvirtd", "virtlockd"))
    identity = {
        "name": name,
        "machine_id": hashlib.sha256(name.encode()).hexdigest()[:32],
        "boot_id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "taken": NOW - 600,
    }
    return {
        "format": "lockcfg-snapshot",
        "version": version,
        "collector": {"privileged": True, "probe": True, "incomplete": []},
        **files,
        "tools": {"lvs": True, "scsi_id": True},
        "versions": {"libvirt": "9.0.0", "qemu": "7.2.0"},
        "directories": told,
        "host": {**identity, **more.pop("host", {})},
        "daemons": [
            {"name": daemon, "pid": 100 + number, "started": NOW - 30 * _DAY}
            for number, daemon in enumerate(daemons)
        ],
        "changed": {file: NOW - 60 * _DAY for file, text in texts.items() if text is not None},
        "identities": {
            path: [f"0:52 {volumes[path]}".strip(), n]
            for path, n in numbers.items()
            if n is not None
        },
        "guests": guests,
        **more,
    }


def both(directories: list[Json], guests: list[Json], **more: Any) -> list[Json]:
    """Two hosts that are alike."""
    return [host(name, directories, guests, **more) for name in "ab"]


def two(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[Json]:
    """Two hosts with directories and guests, and perhaps more, of their own."""
    found = []
    for name, (directories, guests, *more) in zip("ab", (one, other), strict=True):
        found.append(host(name, directories, guests, **(more[0] if more else {})))
    return found


DIRECT: Json = {"lockd": ""}
#: Another address of the server.
LIF = ("10.0.1.5", "nfs1-b:/vms")
LIF_LOCKS = ("10.0.1.5", "nfs1-b:/locks")
GROUP: Json = {"groups": {"g": {"hosts": ["a", "b"]}}}
FIRST = 1 << 40


def ceph(point: str, source: str, *options: str, ids: tuple[str, ...] = ()) -> Json:
    """A mount of CephFS."""
    return mount(point, "ceph", source, "acl", "name=admin", *options, ids=ids)


def gluster(point: str, source: str, *, ids: tuple[str, ...] = ()) -> Json:
    """A mount of GlusterFS, without name caching."""
    return mount(point, "fuse.glusterfs", source, "attribute-timeout=0", "entry-timeout=0", ids=ids)


def gluster_pair(server: str, volume: str, inode: int) -> list[Json]:
    """Images and locks on GlusterFS."""
    return [
        directory("/srv/vms", gluster("/srv/vms", f"{server}:/vms"), "disks", 1),
        directory("/srv/locks/files", gluster("/srv/locks", volume), "lockspace", inode),
    ]


def volfile_pair(locks: str, images: str = "a1b2") -> list[Json]:
    """Images and locks on volumes of GlusterFS that have ids, and that mounts do not name."""
    images_on, locks_on = (
        gluster(point, "glusterfs:(null)", ids=(f"volume-id:{volume}",))
        for point, volume in (("/srv/vms", images), ("/srv/locks", locks))
    )
    return [
        directory("/srv/vms", images_on, "disks", 1),
        directory("/srv/locks/files", locks_on, "lockspace", 1),
    ]


def on(kind: str, source: str, *options: str, ids: tuple[str, ...] = ()) -> list[Json]:
    """Images and locks on a file system of a kind."""
    return [
        directory("/srv/vms", mount("/srv/vms", kind, source, *options, ids=ids), "disks", 33_129),
        directory(
            "/srv/locks/files",
            mount("/srv/locks", kind, f"{source}l", *options, ids=tuple(f"{i}l" for i in ids)),
            "lockspace",
            33_130,
        ),
    ]


def fsid(number: str) -> tuple[str, ...]:
    """The FSID of an NFS mount, as clients of version 4 see it."""
    return (f"fsid4:{number * 16}:{number * 16}",)


#: The UUID of a server's file system, and its FSID as clients of version 4 see it.
UUID = "uuid:6a1b2c3d-0000-4000-8000-123456789abc"
SERVED = ("fsid4:6a1b2c3d00004000:8000123456789abc",)
SAN = [*DEVICES, locks()]
SHUT: Json = {"running": False}
MPATH = "mpath-36001405aaa"
LV = f"LVM-{'A' * 32}{'B' * 32}"

#: A volume of a SAN, with a local file system on it.
MOUNTED = directory(
    "/srv/vms", mount("/srv/vms", "xfs", "/dev/dm-3"), "disks", 131, volume="naa.6001405aaa//"
)
#: A logical volume, and the device that it is on.
VOLUME = device(
    "/dev/vg/lv",
    lvm_uuid=LV[-32:],
    chain=[{"type": "block", "path": "/dev/dm-1", "inode": 9, "dm_uuid": MPATH}],
)

SCSI_LOCKS = 'scsi_lockspace_dir = "/srv/locks/files"\n'
SCSI_ONLY: Json = {"lockd": SCSI_LOCKS}
LVM_AND_SCSI = f'lvm_lockspace_dir = "/srv/locks/files"\n{SCSI_LOCKS}'
#: The disk of that guest where scsi_id is asked, which answers for the device below the volume.
BY_SCSI = {**VOLUME["disks"][0], "scsi_id": MPATH[6:]}

#: A disk of a SAN, a logical volume on its second partition, and an image that guests share.
NAA = "naa.6001405aaa"
ON_PART_2 = device(
    "/dev/vg/lv",
    lvm_uuid=LV[-32:],
    chain=[{"type": "block", "path": "/dev/sdb2", "inode": 9, "wwid": NAA, "part": "2"}],
)
SHARED = disk("/srv/vms/a.qcow2", inode=4242, shareable=True)

#: Two directories of locks on one server.
HERE = locks(inode=70_001)
THERE = locks(source="nfs1:/locks2", inode=70_002)


def apart(one: tuple[Json, Json], other: tuple[Json, Json]) -> list[Json]:
    """Two hosts with a directory of images and a guest, and with a directory of locks each."""
    return two(
        ([one[0], HERE], [one[1]], {"version": 2}), ([other[0], THERE], [other[1]], {"version": 2})
    )


def devices_apart(one: Json, other: Json, *, locked: Json = HERE) -> list[Json]:
    """Two hosts with a block device each, and with one directory of locks."""
    return two(
        ([*DEVICES, locked], [one], {"version": 2}), ([*DEVICES, locked], [other], {"version": 2})
    )


def san(one: Json, other: Json, *more: Json) -> list[Json]:
    """Two hosts with one device of a SAN, and with a directory of locks each."""
    guests = [device("/dev/mapper/m", dm_uuid=MPATH)]
    found = [{"version": 2, **each} for each in more or ({}, {})]
    return two(([*DEVICES, one], guests, found[0]), ([*DEVICES, other], guests, found[1]))


def probed(number: int, hours: int, locked: tuple[int, ...] = (1, 2)) -> Json:
    """What a host saw in a probe some hours ago: the other one, and perhaps its locks."""
    seen = {"path": "/srv/locks/files", "nonce": "x", "marked": [1, 2], "locked": [*locked]}
    told = {"probe": "p", "round": "r", "number": number, "hosts": 2, "directories": [seen]}
    return {"evidence": {**told, "taken": NOW - hours * 3600}}


def fuse(point: str, kind: str, source: str, *options: str, inode: int = 40_001) -> Json:
    """A directory of images on a file system of a kind."""
    return directory(point, mount(point, kind, source, *options), "disks", inode)


#: The origin of a snapshot of LVM's, and what the snapshot keeps of it.
REAL: Json = {"type": "block", "path": "/dev/dm-8", "inode": 8, "dm_uuid": f"{LV}-real"}
BELOW: Json = {"type": "block", "path": "/dev/dm-1", "inode": 9, "dm_uuid": MPATH}
ORIGIN = device("/dev/vg/o", dm_uuid=LV, chain=[REAL, BELOW])
SNAPSHOT = device(
    "/dev/vg/s", name="w", device="253:7", dm_uuid=f"{LV[:36]}{'C' * 32}", chain=[REAL, BELOW]
)
EMULATED = f"t10.ATA     QEMU HARDDISK{' ' * 27}QM00002"
CEPH_IDS = ("cluster:f51d",)


def of_client(name: str, root: str) -> tuple[str, ...]:
    """What a client of Ceph says of its mount."""
    return (*CEPH_IDS, f"filesystem:{name}", f"root:{root}")


def ceph_fuse(point: str, root: str) -> Json:
    """A mount of ceph-fuse whose client answers."""
    return mount(point, "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", root))


#: The directory of a base image, and a guest with an image above one of that name.
FUSE_LIVE = directory("/srv/vms", ceph_fuse("/srv/vms", "/vms"), "disks", FIRST + 5)
ABOVE_BASE = guest(
    "o",
    disk("/srv/o/o.qcow2", layers=1, chain=[disk("/srv/s/base.qcow2", inode=FIRST + 50_001)]),
)


def ceph_locks(
    point: str,
    kind: str,
    source: str,
    *options: str,
    ids: tuple[str, ...],
    inode: int | None = FIRST + 9,
) -> Json:
    """The directory of the locks on CephFS."""
    return directory(
        "/srv/locks/files", mount(point, kind, source, *options, ids=ids), "lockspace", inode
    )


def sanlock(number: int, leases: str, inode: int) -> tuple[Any, ...]:
    """A host with sanlock: its number, and where its leases are."""
    text = f'disk_lease_dir = "/srv/sl"\nhost_id = {number}\nauto_disk_leases = 1\n'
    about = {"path": "/etc/libvirt/qemu-sanlock.conf", "mode": "0600", "owner": "root"}
    more = {
        "version": 2,
        "qemu": 'lock_manager = "sanlock"\n',
        "lockd": "",
        "daemons": ("libvirtd", "sanlock"),
        "qemu-sanlock.conf": {**about, "text": text},
    }
    return (
        [images(), directory("/srv/sl", nfs("/srv/sl", leases), "lockspace", inode)],
        [image()],
        more,
    )


def libxl(text: str) -> Json:
    """The files of a host with Xen that locks in the directories that ``text`` sets."""
    about = {"path": "/etc/libvirt/libxl-lockd.conf", "mode": "0600", "owner": "root"}
    return {"version": 2, "libxl": LOCKD, "libxl-lockd.conf": {**about, "text": text}}


XEN = guest("x", disk("/srv/vms/x.img", inode=700_001), driver="libxl")
KVM = guest("y", disk("/srv/vms/x.img", inode=700_001))

#: A directory of images, and a link to one of them in another directory.
LINKED = [
    images(inode=70_101),
    fuse("/srv/links", "ext4", "/dev/vda1"),
]
BY_LINK = guest("w", disk("/srv/links/a", resolved="/srv/vms/a.qcow2", inode=70_102))
BY_PATH = image(inode=70_102)


def below_apart(one: tuple[Json, Json], other: tuple[Json, Json]) -> list[Json]:
    """Two hosts with a directory and a guest each, and with one directory of locks."""
    return two(
        ([one[0], HERE], [one[1]], {"version": 2}), ([other[0], HERE], [other[1]], {"version": 2})
    )


#: What is on the device ``BELOW``, or above what is on it, with its directory.
LUKS = f"CRYPT-LUKS2-{'d' * 32}"
LV_BELOW: Json = {"type": "block", "path": "/dev/dm-5", "inode": 5, "dm_uuid": LV}
ON_SAN = (DEVICES[2], VOLUME)
OTHER_LV = device("/dev/vg/x", name="x", dm_uuid=f"{LV[:36]}{'C' * 32}", chain=[BELOW])
LUKS_ON_LV = (
    DEVICES[1],
    device("/dev/mapper/c", name="c", dm_uuid=f"{LUKS}-c", chain=[LV_BELOW, BELOW]),
)
ABOVE_LV = (images(), guest("w", disk("/srv/vms/w.qcow2", layers=1, chain=[LV_BELOW, BELOW])))
ABOVE_SAN = guest("w", disk("/srv/vms/w.qcow2", layers=1, chain=[BELOW]))
MOUNTED_LV = {**MOUNTED, "volume": f"naa.6001405aaa/{LV}/"}
GFS2_ON_SAN = {**on("gfs2", "/dev/dm-3", ids=("uuid:1",))[0], "volume": "naa.6001405aaa//"}
EMULATED_NVME = {**MOUNTED, "volume": "eui.5254000000000001//"}


def on_devices(path: str, *below: Json, **more: Any) -> Json:
    """A guest with a device that is on others."""
    return device(path, chain=list(below), **more)


#: A logical volume of another group, and volumes of two groups on one device.
OTHER_GROUP = f"LVM-{'E' * 32}{'F' * 32}"
GROUPS_ON_SAN = (
    on_devices("/dev/vg/lv", BELOW, dm_uuid=LV),
    on_devices("/dev/vg/x", BELOW, name="w", device="253:8", dm_uuid=OTHER_GROUP),
)
LUKS_BELOW: Json = {"type": "block", "path": "/dev/dm-6", "inode": 6, "dm_uuid": f"{LUKS}-c"}


def of_drbd(
    *links: str, name: str = "v", resource: str = "r0/0", generations: str = "", **more: Any
) -> Json:
    """A guest with a device of DRBD, on a disk of its host. A letter is a generation of data."""
    told: Json = {"links": list(links)}
    if generations:
        told["generations"] = [each * 16 for each in generations]
    below = {"type": "block", "path": "/dev/sda", "inode": 8, "wwid": f"naa.600{name * 8}"}
    return device(
        "/dev/drbd0",
        name=name,
        identity=f"drbd:{resource}",
        drbd=told,
        **{"chain": [below], "device": "147:0", **more},
    )


def without_locks(one: Json, other: Json) -> list[Json]:
    """Two hosts with a block device each, which lock the nodes alone."""
    return two(
        ([*DEVICES], [one], {"version": 2, **DIRECT}),
        ([*DEVICES], [other], {"version": 2, **DIRECT}),
    )


#: A connection as both of its ends see it, and another one.
AB, BA = "10.0.0.1:7788 10.0.0.2:7788", "10.0.0.2:7788 10.0.0.1:7788"
BC, CB = "10.0.0.2:7789 10.0.0.3:7789", "10.0.0.3:7789 10.0.0.2:7789"
OVER_LOOPBACK = "127.0.0.1:7788 127.0.0.1:7789"


#: A disk of a SAN, as the kernel numbers it on each host, and a local one.
SDB: Json = {
    "type": "block",
    "path": "/dev/sdb",
    "device": "8:16",
    "above": "253:1",
    "inode": 9,
    "wwid": NAA,
}
NAMELESS = {key: value for key, value in SDB.items() if key != "wwid"}
PART_BELOW: Json = {
    **NAMELESS,
    "path": "/dev/dm-9",
    "device": "253:9",
    "table": ["0 99 linear 8:16 0"],
}
SDX: Json = {**SDB, "path": "/dev/sdx", "device": "65:112"}
SSD: Json = {**SDB, "path": "/dev/nvme0n1", "device": "259:0", "wwid": "eui.0025385b71b0a1c2"}


def of_table(*table: str, below: tuple[Json, ...] = (SDB,), name: str = "v", **more: Any) -> Json:
    """A guest with a device of device-mapper that has a table and no name."""
    return device(f"/dev/mapper/{name}", name=name, table=[*table], chain=[*below], **more)


def of_bcache(uuid: str, *below: Json, name: str = "v") -> Json:
    """A guest with a device of bcache."""
    return device("/dev/bcache0", name=name, identity=f"bcache:{uuid}", chain=[*below])


def cifs_pair(option: str, name: str, number: int) -> list[Json]:
    """Two hosts with a mount of CIFS, and a file there each, of which one is ``a.img``."""
    files = [fuse("/srv/vms", "cifs", "//nas/vms", "addr=10.0.0.9", option), HERE]
    return two(
        (files, [guest("v", disk("/srv/vms/a.img", inode=70_102))], {"version": 2}),
        (files, [guest("w", disk(f"/srv/vms/{name}", inode=number))], {"version": 2}),
    )


#: A lockspace below an automount that mounted nothing when it was looked at.
ASLEEP = directory(
    "/srv/locks/files",
    mount("/srv/locks", "autofs", "/etc/auto.direct", "direct"),
    "lockspace",
    5,
)

#: Fleets by what is special about them.
FLEETS: dict[str, Known] = {
    "a local file system that two hosts have mounted": Known(
        "unsafe", both([MOUNTED], [image()], lockd="")
    ),
    "local file systems of two volumes": Known(
        "safe",
        two(
            ([MOUNTED], [image()], {"version": 2, **DIRECT}),
            (
                [directory("/srv/vms", mount("/srv/vms", "xfs", "/dev/dm-3"), "disks", 131)],
                [image()],
                {"version": 2, **DIRECT},
            ),
        ),
    ),
    "a file system that nobody here knows": Known(
        "unknown", both(on("weka", "cluster/vms"), [image(inode=40_004)], lockd="")
    ),
    "sshfs by two names of its server": Known(
        "unsafe",
        two(
            (
                [directory("/srv/vms", mount("/srv/vms", "fuse.sshfs", "s:/vms"), "disks", 1)],
                [image(inode=5)],
                DIRECT,
            ),
            (
                [
                    directory(
                        "/srv/vms",
                        mount("/srv/vms", "fuse.sshfs", "root@10.0.0.5:/vms"),
                        "disks",
                        1,
                    )
                ],
                [image(inode=9)],
                DIRECT,
            ),
        ),
    ),
    "a logical volume, and the device below it": Known(
        "unsafe",
        two(
            ([*DEVICES, locks()], [VOLUME], {"version": 2}),
            (
                [*DEVICES, locks()],
                [device("/dev/mapper/m", name="w", dm_uuid=MPATH)],
                {"version": 2},
            ),
        ),
    ),
    "a logical volume, and the device below it, which both lock by the SCSI id": Known(
        "safe",
        two(
            ([*DEVICES, locks()], [{**VOLUME, "disks": [BY_SCSI]}], {"version": 2, **SCSI_ONLY}),
            (
                [*DEVICES, locks()],
                [device("/dev/mapper/m", name="w", dm_uuid=MPATH, scsi_id=MPATH[6:])],
                {"version": 2, **SCSI_ONLY},
            ),
        ),
    ),
    "a logical volume by its UUID, and the device below it by the SCSI id": Known(
        "unsafe",
        two(
            (
                [*DEVICES, locks()],
                [{**VOLUME, "disks": [BY_SCSI]}],
                {"version": 2, "lockd": LVM_AND_SCSI},
            ),
            (
                [*DEVICES, locks()],
                [device("/dev/mapper/m", name="w", dm_uuid=MPATH, scsi_id=MPATH[6:])],
                {"version": 2, "lockd": LVM_AND_SCSI},
            ),
        ),
    ),
    "a stopped guest of an earlier collector, whose image may have others below it": Known(
        "unsafe",
        two(([images(), locks()], [image("v")]), ([images(), locks()], [image("w", inode=9)])),
        said="unknown",
    ),
    # What an earlier collector does not tell, and what has no name, may be anything.
    "a logical volume, and a device of which nobody knows whether it is below": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/vg/lv", dm_uuid=LV)]),
            (SAN, [device("/dev/mapper/m", name="w", dm_uuid=MPATH)]),
        ),
        said="unknown",
    ),
    "a logical volume on a device without a name, and another device": Known(
        "unsafe",
        two(
            (
                SAN,
                [
                    device(
                        "/dev/vg/lv",
                        lvm_uuid=LV[-32:],
                        chain=[{"type": "block", "path": "/dev/vdb", "inode": 9}],
                    )
                ],
                {"version": 2},
            ),
            (SAN, [device("/dev/mapper/m", name="w", dm_uuid=MPATH)], {"version": 2}),
        ),
        said="unknown",
    ),
    "a logical volume on LUKS, and nobody knows on what that is": Known(
        "unsafe",
        two(
            (
                SAN,
                [
                    device(
                        "/dev/vg/lv",
                        lvm_uuid=LV[-32:],
                        chain=[
                            {
                                "type": "block",
                                "path": "/dev/dm-1",
                                "inode": 9,
                                "dm_uuid": f"CRYPT-LUKS2-{'d' * 32}-x",
                            }
                        ],
                    )
                ],
                {"version": 2},
            ),
            (SAN, [device("/dev/mapper/m", name="w", dm_uuid=MPATH)], {"version": 2}),
        ),
        said="unknown",
    ),
    "two volumes of one VG, and nobody knows on which devices": Known(
        "safe",
        two(
            (SAN, [device("/dev/vg/lv", dm_uuid=LV)]),
            (SAN, [device("/dev/vg/lw", name="w", dm_uuid=f"{LV[:36]}{'C' * 32}")]),
        ),
    ),
    "a logical volume, and a device that it is not on": Known(
        "safe",
        two(
            (SAN, [VOLUME], {"version": 2}),
            (SAN, [device("/dev/mapper/n", name="w", dm_uuid=f"{MPATH}b")], {"version": 2}),
        ),
    ),
    "plain encryption, by two names that look like UUIDs": Known(
        "safe",
        two(
            (SAN, [device("/dev/mapper/vm-a", dm_uuid="CRYPT-PLAIN-vm-a")]),
            (SAN, [device("/dev/mapper/vm-b", name="w", dm_uuid="CRYPT-PLAIN-vm-b")]),
        ),
        said="unknown",
    ),
    "a device, and a local file system on it": Known(
        "unsafe",
        two(
            ([MOUNTED, locks()], [image()], {"version": 2}),
            (SAN, [device("/dev/mapper/m", name="w", dm_uuid=MPATH)], {"version": 2}),
        ),
    ),
    "a partition, and a local file system on another one": Known(
        "safe",
        two(
            (
                [
                    directory(
                        "/srv/vms",
                        mount("/srv/vms", "xfs", "/dev/dm-3"),
                        "disks",
                        131,
                        volume="naa.6001405aaa/part2-/",
                    ),
                    locks(),
                ],
                [image()],
                {"version": 2},
            ),
            (SAN, [device("/dev/mapper/m1", name="w", dm_uuid=f"part1-{MPATH}")], {"version": 2}),
        ),
    ),
    "a logical volume, and a local file system on it": Known(
        "unsafe",
        two(
            (
                [
                    directory(
                        "/srv/vms",
                        mount("/srv/vms", "xfs", "/dev/dm-3"),
                        "disks",
                        131,
                        volume=f"naa.6001405aaa/{LV}/",
                    ),
                    locks(),
                ],
                [image()],
                {"version": 2},
            ),
            (SAN, [VOLUME], {"version": 2}),
        ),
    ),
    "two logical volumes on one device": Known(
        "safe",
        two(
            ([*DEVICES, locks()], [VOLUME], {"version": 2}),
            (
                [*DEVICES, locks()],
                [
                    device(
                        "/dev/vg/other",
                        name="w",
                        lvm_uuid="C" * 32,
                        chain=[
                            {"type": "block", "path": "/dev/dm-1", "inode": 9, "dm_uuid": MPATH}
                        ],
                    )
                ],
                {"version": 2},
            ),
        ),
    ),
    "many hosts, and the last one locks nothing": Known(
        "unsafe",
        [
            host(f"h{n:03}", [images(), locks()], [image()], qemu="" if n == 249 else LOCKD)
            for n in range(250)
        ],
    ),
    "two hosts that are alike": Known("safe", both([images(), locks()], [image()])),
    "two directories on one export": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            (
                [images(), locks()],
                [image()],
                {"lockd": 'file_lockspace_dir = "/srv/locks/other"\n'},
            ),
        ),
    ),
    # NFS: addresses
    "an address for each host, and one locks the image itself": Known(
        "unsafe", two(([images(), locks()], [image()]), ([images(*LIF)], [image()], DIRECT))
    ),
    "an address for each host, both lock the image itself": Known(
        "safe", two(([images()], [image()], DIRECT), ([images(*LIF)], [image()], DIRECT))
    ),
    "an address for each host, for all": Known(
        "safe",
        two(([images(), locks()], [image()]), ([images(*LIF), locks(*LIF_LOCKS)], [image()])),
    ),
    "an address for each host, for locks alone": Known(
        "safe",
        two(([images(), locks()], [image()]), ([images(), locks(*LIF_LOCKS)], [image()])),
        said="unknown",
    ),
    "an address for each host, and a policy puts them together": Known(
        "safe",
        two(([images(), locks()], [image()]), ([images(), locks(*LIF_LOCKS)], [image()])),
        GROUP,
    ),
    "an address for each host, and somebody says that they are one": Known(
        "safe",
        two(([images(), locks()], [image()]), ([images(), locks(*LIF_LOCKS)], [image()])),
        {"same-storage": [["nfs://10.0.0.5:/locks", "nfs://10.0.1.5:/locks"]]},
    ),
    "an address for each host, and the FSID is one": Known(
        "safe",
        two(
            ([images(ids=fsid("a")), locks(ids=fsid("b"))], [image()]),
            ([images(ids=fsid("a")), locks(*LIF_LOCKS, ids=fsid("b"))], [image()]),
        ),
    ),
    "two exports of one directory, and one has an FSID of its own": Known(
        "safe",
        two(
            ([images(ids=("fsid4:0:0",)), locks(ids=("fsid4:0:0",))], [image()]),
            (
                [
                    images(source="nfs1:/export/vms", ids=fsid("a")),
                    locks(source="nfs1:/export/locks", ids=fsid("a")),
                ],
                [image()],
            ),
        ),
    ),
    "an address for each host, and the FSIDs are two": Known(
        "unsafe",
        two(
            ([images(ids=fsid("a")), locks(ids=fsid("b"))], [image()]),
            ([images(ids=fsid("a")), locks(*LIF_LOCKS, ids=fsid("c"))], [image()]),
        ),
    ),
    "two servers with the numbers of new file systems": Known(
        "unsafe",
        two(
            ([images(), locks(inode=131)], [image()]),
            ([images(), locks("10.0.1.5", "nfs2:/locks", 131)], [image()]),
        ),
        said="unknown",
    ),
    "images on two servers with the numbers of new file systems": Known(
        "safe",
        two(
            ([images(inode=2), locks()], [image(inode=132)]),
            ([images("10.0.9.9", "nfs9:/vms", inode=2)], [image(inode=132)], DIRECT),
        ),
        said="unknown",
    ),
    "a part of a mount, and that part mounted by itself": Known(
        "unsafe",
        two(
            ([images(source="nfs1:/all/vms"), locks()], [image(inode=None)]),
            (
                [
                    directory(
                        "/srv/vms",
                        {**nfs("/srv/vms", "nfs1:/all"), "root": "/vms"},
                        "disks",
                        77,
                    )
                ],
                [image(inode=None)],
                DIRECT,
            ),
        ),
    ),
    "an IPv6 address and an IPv4 address": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            ([images("fd00::5", "[fd00::5]:/vms")], [image()], DIRECT),
        ),
    ),
    "one name of a directory, and two numbers": Known(
        "unsafe",
        two(([images(), locks()], [image()]), ([images(), locks(inode=100)], [image()])),
    ),
    # NFS: exports
    "a bind export for the locks": Known(
        "safe",
        two(
            ([images(), locks(source="nfs1:/export/locks")], [image()]),
            ([images(), locks(source="nfs1:/srv/locks", kind="nfs")], [image()]),
        ),
    ),
    "a bind export for the images, and two directories of locks": Known(
        "unsafe",
        two(
            ([images(source="nfs1:/export/vms"), locks()], [image(running=True)]),
            (
                [
                    images(source="nfs1:/srv/vms", kind="nfs"),
                    locks(source="nfs1:/locks2", inode=5),
                ],
                [image(running=True)],
            ),
        ),
    ),
    "versions 3 and 4": Known(
        "safe",
        two(([images(), locks()], [image()]), ([images(kind="nfs"), locks(kind="nfs")], [image()])),
    ),
    "nolock on one host": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            (
                [images(), locks(kind="nfs", options=("nolock",))],
                [image()],
            ),
        ),
    ),
    "the server of the images is a host": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            (
                [directory("/vms", mount("/", "ext4", "/dev/vda1"), "disks", 77)],
                [guest("a", disk("/vms/a.qcow2", inode=4242))],
                DIRECT,
            ),
        ),
    ),
    "the server is a host, and its file system is shown to be what it exports": Known(
        "safe",
        two(
            ([images(ids=SERVED), locks(ids=SERVED)], [image()], {"version": 2}),
            (
                [
                    directory(path, mount("/srv", "ext4", "/dev/vda2", ids=(UUID,)), holds, number)
                    for path, holds, number in (
                        ("/srv/vms", "disks", 77),
                        ("/srv/locks/files", "lockspace", 99),
                    )
                ],
                [image()],
                {"version": 2},
            ),
        ),
    ),
    "NFSv4 with an option that it does not have": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            ([images(), locks(options=("local_lock=all",))], [image()]),
        ),
        said="unknown",
    ),
    # What a policy says
    "somebody says that two directories are one, and the hosts show two": Known(
        "unsafe",
        two(
            ([images(), locks(ids=fsid("b"))], [image()]),
            ([images(), locks(*LIF_LOCKS, ids=fsid("c"))], [image()]),
        ),
        {"same-storage": [["nfs://10.0.0.5:/locks", "nfs://10.0.1.5:/locks"]]},
        said="unknown",
    ),
    "somebody says that one directory is two, and the hosts show one": Known(
        "unsafe",
        two(
            ([images(ids=fsid("a")), locks()], [image()]),
            ([images(*LIF, ids=fsid("a"))], [image()], DIRECT),
        ),
        {"different-storage": [["nfs://10.0.0.5:/vms", "nfs://10.0.1.5:/vms"]]},
    ),
    # CephFS
    "two file systems of one Ceph": Known(
        "unsafe",
        [
            host(
                name,
                [
                    *DEVICES,
                    directory(
                        "/srv/locks/files",
                        ceph(
                            "/srv/locks",
                            "10.1.0.1:6789,10.1.0.2:6789:/",
                            f"mds_namespace={filesystem}",
                        ),
                        "lockspace",
                        FIRST,
                    ),
                ],
                [device("/dev/mapper/mpatha", dm_uuid=MPATH)],
            )
            for name, filesystem in (("a", "fs1"), ("b", "fs2"))
        ],
    ),
    "other monitors of one Ceph, and two directories": Known(
        "unsafe",
        [
            host(
                name,
                [
                    directory("/srv/vms", ceph("/srv/vms", f"{mons}:/vms"), "disks", FIRST + 5),
                    directory(
                        "/srv/locks/files",
                        ceph("/srv/locks", f"{mons}:/{where}"),
                        "lockspace",
                        number,
                    ),
                ],
                [image(running=True)],
            )
            for name, mons, where, number in (
                ("a", "10.1.0.1:6789,10.1.0.2:6789", "locks", FIRST + 9),
                ("b", "10.1.0.1:6789,10.1.0.3:6789", "locks2", FIRST + 10),
            )
        ],
    ),
    "other monitors of one Ceph": Known(
        "safe",
        [
            host(
                name,
                [
                    directory("/srv/vms", ceph("/srv/vms", f"{mons}:/vms"), "disks", FIRST + 5),
                    directory(
                        "/srv/locks/files", ceph("/srv/locks", f"{mons}:/l"), "lockspace", FIRST + 9
                    ),
                ],
                [image()],
            )
            for name, mons in (
                ("a", "10.1.0.1:6789,10.1.0.2:6789"),
                ("b", "10.1.0.1:6789,10.1.0.3:6789"),
            )
        ],
    ),
    "both ways to mount one Ceph": Known(
        "safe",
        [
            host(
                name,
                [
                    directory(
                        "/srv/vms",
                        ceph("/srv/vms", f"{source}/vms", ids=("cluster:f51d",)),
                        "disks",
                        FIRST + 5,
                    ),
                    directory(
                        "/srv/locks/files",
                        ceph("/srv/locks", f"{source}/l", *more, ids=("cluster:f51d",)),
                        "lockspace",
                        FIRST + 9,
                    ),
                ],
                [image()],
                version=2,
            )
            for name, source, more in (
                ("a", "10.1.0.1:6789:", ("mds_namespace=fs1",)),
                ("b", "admin@f51d.fs1=", ("mon_addr=10.1.0.7:6789",)),
            )
        ],
    ),
    "two Cephs, with monitors of their own": Known(
        "unsafe",
        [
            host(
                name,
                [
                    *DEVICES,
                    directory(
                        "/srv/locks/files",
                        ceph("/srv/locks", f"{mons}:/l"),
                        "lockspace",
                        FIRST + 1,
                    ),
                ],
                [device("/dev/mapper/mpatha", dm_uuid=MPATH)],
            )
            for name, mons in (("a", "10.1.0.1:6789"), ("b", "10.2.0.1:6789"))
        ],
        said="unknown",
    ),
    # GlusterFS
    "two servers of one GlusterFS volume": Known(
        "safe",
        [
            host(name, gluster_pair(server, f"{server}:/locks", 99_887_766), [image()])
            for name, server in (("a", "g1"), ("b", "g2"))
        ],
    ),
    "two servers of one GlusterFS volume, and two directories": Known(
        "unsafe",
        [
            host(name, gluster_pair(server, f"{server}:/{where}", number), [image(running=True)])
            for name, server, where, number in (
                ("a", "g1", "locks", 99_887_766),
                ("b", "g2", "locks2", 44_887_766),
            )
        ],
    ),
    # File systems of clusters
    "two clusters with one name of a device": Known(
        "unsafe",
        [
            host(
                name,
                [
                    *DEVICES,
                    directory(
                        "/srv/locks/files",
                        mount("/srv/locks", "gfs2", "/dev/mapper/vg-locks", f"locktable={table}"),
                        "lockspace",
                        33_129,
                    ),
                ],
                [device("/dev/mapper/mpatha", dm_uuid=MPATH)],
            )
            for name, table in (("a", "c1:l"), ("b", "c2:l"))
        ],
    ),
    "one GFS2 by two names of its device": Known(
        "safe",
        [
            host(name, on("gfs2", source), [image()])
            for name, source in (("a", "/dev/mapper/mpatha"), ("b", "/dev/mapper/mpathb"))
        ],
    ),
    "GFS2 that locks nothing": Known(
        "unsafe", both(on("gfs2", "/dev/vg/vms", "lockproto=lock_nolock"), [image()])
    ),
    "GFS2 with local flocks": Known(
        "unsafe", both(on("gfs2", "/dev/vg/vms", "localflocks"), [image()])
    ),
    "Lustre with flock": Known("safe", both(on("lustre", "10.0.0.1@tcp:/fs", "flock"), [image()])),
    "two file systems of one server of Lustre": Known(
        "unsafe",
        san(
            *(
                directory(
                    "/srv/locks/files",
                    mount("/srv/locks", "lustre", f"10.0.0.1@tcp:/{name}", "flock"),
                    "lockspace",
                    700_131,
                )
                for name in ("one", "two")
            )
        ),
        said="unknown",
    ),
    "Lustre with local flocks": Known(
        "unsafe", both(on("lustre", "10.0.0.1@tcp:/fs", "localflock"), [image()])
    ),
    "virtiofs": Known("safe", both(on("virtiofs", "tag"), [image()]), said="unknown"),
    # Block devices
    "two names of one RBD image": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/rbd0", identity="rbd:c/p//i/")]),
            (
                [directory("/dev/rbd/pool", DEVTMPFS, "disks", 4), *SAN],
                [device("/dev/rbd/pool/i", resolved="/dev/rbd0", identity="rbd:c/p//i/")],
            ),
        ),
    ),
    "two names of one RBD image, of which nothing is known": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/rbd0")]),
            (
                [directory("/dev/rbd/pool", DEVTMPFS, "disks", 4), *SAN],
                [device("/dev/rbd/pool/i", resolved="/dev/rbd0")],
            ),
        ),
        said="unknown",
    ),
    "a multipath device, and one of its paths": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/mapper/mpatha", dm_uuid="mpath-20025385aaa", running=True)]),
            (SAN, [device("/dev/sdb", wwid="eui.0025385aaa", running=True)]),
        ),
    ),
    "a name of the type t10": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/mapper/mpatha", dm_uuid="mpath-1ATA_disk_7", running=True)]),
            (SAN, [device("/dev/sdb", wwid="t10.ATA     disk 7  ", running=True)]),
        ),
    ),
    "a partition by two names": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/mapper/mpatha-part1", dm_uuid=f"part1-{MPATH}", running=True)]),
            (SAN, [device("/dev/mapper/san1-part1", dm_uuid=f"part1-{MPATH}", running=True)]),
        ),
    ),
    "a partition, and the whole of it": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/mapper/mpatha-part1", dm_uuid=f"part1-{MPATH}", name="v")]),
            (SAN, [device("/dev/mapper/mpatha", dm_uuid=MPATH, name="w")]),
        ),
    ),
    "two partitions": Known(
        "safe",
        two(
            (SAN, [device("/dev/mapper/mpatha-part1", dm_uuid=f"part1-{MPATH}", name="v")]),
            (SAN, [device("/dev/mapper/mpatha-part2", dm_uuid=f"part2-{MPATH}", name="w")]),
        ),
    ),
    "a logical volume by two names": Known(
        "unsafe",
        two(
            (SAN, [device("/dev/vg/lv", dm_uuid=LV)]),
            (SAN, [device("/dev/mapper/vg-lv", dm_uuid=LV)]),
        ),
    ),
    "a logical volume by one name": Known("safe", both(SAN, [device("/dev/vg/lv", dm_uuid=LV)])),
    # Chains
    "an image that another one is based on": Known(
        "unsafe",
        two(
            ([images(), locks()], [image("base", running=True)]),
            (
                [images(), locks()],
                [guest("o", disk("/srv/vms/o.qcow2", inode=5, layers=1), running=True)],
            ),
        ),
        said="unknown",
    ),
    "an image that another one is shown to be based on": Known(
        "unsafe",
        two(
            ([images(), locks()], [image("base")]),
            (
                [images(), locks()],
                [
                    guest(
                        "o",
                        disk(
                            "/srv/vms/o.qcow2",
                            inode=5,
                            layers=1,
                            chain=[disk("/srv/vms/base.qcow2", inode=4242)],
                        ),
                    )
                ],
            ),
        ),
    ),
    "two images that are based on one": Known(
        "safe",
        two(
            *(
                (
                    [images(), locks()],
                    [
                        guest(
                            name,
                            disk(
                                f"/srv/vms/{name}.qcow2",
                                layers=1,
                                chain=[disk("/srv/vms/base.qcow2", inode=4242)],
                            ),
                        )
                    ],
                )
                for name in "op"
            )
        ),
    ),
    # Drivers, managers, identities of hosts
    "guests of Xen beside those of QEMU": Known(
        "unsafe",
        both(
            [images(), locks()],
            [guest("x", disk("/srv/vms/x.img", inode=7_777), driver="libxl")],
            libxl="#nothing\n",
        ),
    ),
    "guests of Xen, of which no file is there": Known(
        "unsafe",
        both(
            [images(), locks()], [guest("x", disk("/srv/vms/x.img", inode=7_777), driver="libxl")]
        ),
    ),
    "a guest of a user's own libvirt": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            ([images(), locks()], [{**image(), "instance": "session"}]),
        ),
    ),
    "a guest of a user's own libvirt runs, and no other host has its disk yet": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()], {"version": 2}),
            (
                [images(), locks()],
                [{**image("own", inode=9_001, running=True), "instance": "session"}],
                {"version": 2},
            ),
        ),
    ),
    "QEMU without libvirt runs, and no other host has its disk yet": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()], {"version": 2}),
            (
                [images(), locks()],
                [{**image("bare", inode=9_001, running=True), "instance": "process"}],
                {"version": 2},
            ),
        ),
    ),
    "QEMU without libvirt only reads, and no other host has its disk": Known(
        "safe",
        two(
            ([images(), locks()], [image()], {"version": 2}),
            (
                [images(), locks()],
                [
                    {
                        **image("bare", inode=9_001, running=True, readonly=True),
                        "instance": "process",
                    }
                ],
                {"version": 2},
            ),
        ),
    ),
    "a guest of a user's own libvirt that does not run, with a disk of its own": Known(
        "safe",
        two(
            ([images(), locks()], [image()], {"version": 2}),
            (
                [images(), locks()],
                [{**image("own", inode=9_001), "instance": "session"}],
                {"version": 2},
            ),
        ),
    ),
    "one boot id on two hosts": Known(
        "unknown",
        [
            host(
                name,
                [images(), locks()],
                [image()],
                host={
                    "machine_id": "f" * 32,
                    "boot_id": "11111111-1111-1111-1111-111111111111",
                },
            )
            for name in "ab"
        ],
    ),
    "GlusterFS by a file of the client, which names no volume": Known(
        "unknown",
        [
            host(
                name,
                [
                    directory("/srv/vms", gluster("/srv/vms", "/etc/vms.vol"), "disks", 1),
                    directory(
                        "/srv/locks/files", gluster("/srv/locks", "/etc/locks.vol"), "lockspace", 1
                    ),
                ],
                [image()],
            )
            for name in "ab"
        ],
    ),
    "GlusterFS by a file of the client, with the ids of the volumes": Known(
        "safe",
        [host(name, volfile_pair("c9f1"), [image()]) for name in "ab"],
    ),
    "images on one GlusterFS by a file of the client, locks on two": Known(
        "unsafe",
        [host(name, volfile_pair(locks), [image()]) for name, locks in (("a", "c9"), ("b", "d0"))],
    ),
    "two GlusterFS by files of the clients, with the ids of the volumes": Known(
        "safe",
        [
            host(name, volfile_pair(f"{volume}1", f"{volume}2"), [image()])
            for name, volume in (("a", "c9"), ("b", "d0"))
        ],
    ),
    "sanlock on both hosts": Known(
        "unknown",
        both(
            [images()],
            [image()],
            qemu='lock_manager = "sanlock"\n',
            lockd="",
            daemons=("libvirtd", "sanlock"),
        ),
    ),
    "sanlock on one host": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            (
                [images()],
                [image()],
                {"qemu": 'lock_manager = "sanlock"\n', "daemons": ("libvirtd", "sanlock")},
            ),
        ),
    ),
    "images below an automount": Known(
        "unsafe",
        two(
            ([images(), locks()], [image()]),
            (
                [
                    directory(
                        "/srv/vms",
                        mount("/srv/vms", "autofs", "/etc/auto.direct", "direct"),
                        "disks",
                        77,
                    )
                ],
                [image()],
                DIRECT,
            ),
        ),
    ),
    "one guest that runs twice, on storage of two names": Known(
        "unsafe",
        two(
            ([images(), locks()], [image(running=True)]),
            ([images("10.0.1.5", "lif2:/vms")], [image(running=True)], DIRECT),
        ),
    ),
    "one guest that runs twice, on devices without a name": Known(
        "unsafe", both(SAN, [device("/dev/sdb", running=True)])
    ),
    "a network disk that two running guests have": Known(
        "unsafe",
        two(
            ([], [guest("v", {"type": "network", "path": "rbd:p/i"}, running=True)]),
            ([], [guest("w", {"type": "network", "path": "rbd:p/i"}, running=True)]),
        ),
    ),
    "a network disk of two guests, by a common server": Known(
        "unsafe",
        two(
            ([], [guest("v", network("a:6789", "b:6789"), running=True)]),
            ([], [guest("w", network("b:6789", "c:6789"), running=True)]),
        ),
    ),
    "network disks of one name, on servers without a common one": Known(
        "safe",
        two(
            ([], [guest("v", network("a:6789"), running=True)]),
            ([], [guest("w", network("c:6789"), running=True)]),
        ),
        said="unknown",
    ),
    "network disks of one name, by sockets": Known(
        "safe",
        two(
            ([], [guest("v", network("unix:/run/nbd"), running=True)]),
            ([], [guest("w", network("unix:/run/nbd"), running=True)]),
        ),
        said="unknown",
    ),
    "an RBD image by its protocol, and mapped": Known(
        "unsafe",
        two(
            (SAN, [guest("v", network("a:6789"), running=True)]),
            (SAN, [device("/dev/rbd0", identity="rbd:c/p//i/", name="w")]),
        ),
        said="unknown",
    ),
    "a file on GlusterFS by its protocol, and by a mount": Known(
        "unsafe",
        two(
            (SAN, [guest("v", {"type": "network", "path": "gluster:vms/a.qcow2"}, running=True)]),
            (gluster_pair("g1", "g1:/locks", 99_887_766), [image()]),
        ),
        said="unknown",
    ),
    "a file of a host that serves it by NFS, and by that protocol": Known(
        "unsafe",
        two(
            (
                [*SAN, directory("/vms", mount("/", "ext4", "/dev/vda1"), "disks", 77)],
                [
                    guest("a", disk("/vms/a.qcow2", inode=4242)),
                    guest("b", {"type": "network", "path": "nfs:/vms/a.qcow2", "servers": ["s1"]}),
                ],
                {"version": 2},
            ),
            (SAN, [device("/dev/sdb", wwid="naa.600")], {"version": 2}),
        ),
        said="unknown",
    ),
    "a file on what no snapshot names, and a network disk": Known(
        "unsafe",
        two(
            (SAN, [guest("v", {"type": "network", "path": "gluster:vms/a.qcow2"}, running=True)]),
            ([locks()], [guest("w", disk("/srv/more/a.qcow2"))], {"version": 2}),
        ),
        said="unknown",
    ),
    "RBD images by their protocol, and files on NFS": Known(
        "safe",
        two(
            (SAN, [guest("v", network("a:6789"), running=True)], {"version": 2}),
            ([images(), locks()], [image()], {"version": 2}),
        ),
    ),
    # What runs
    "a guest that runs, and nobody looked at its lock": Known(
        "safe",
        [*both([images(), locks()], []), host("c", [images(), locks()], [image(running=True)])],
        said="unknown",
    ),
    "a guest that runs under its lock": Known(
        "safe",
        two(
            ([images(), locks()], [image(running=True, lock="/srv/locks/files")], {"version": 2}),
            ([images(), locks()], [image()], {"version": 2}),
        ),
    ),
    "a guest that runs without a lock": Known(
        "unsafe",
        two(
            ([images(), locks()], [image(running=True, lock="")], {"version": 2}),
            ([images(), locks()], [image()], {"version": 2}),
        ),
    ),
    "a guest that runs under the lock of before": Known(
        "unsafe",
        two(
            ([images(), locks()], [image(running=True, lock=".")], {"version": 2}),
            ([images(), locks()], [image()], {"version": 2}),
        ),
    ),
    "a guest whose lock is on a file that was replaced": Known(
        "unsafe",
        two(
            (
                [images(), locks()],
                [image(running=True, lock="/srv/locks/files", replaced=True)],
                {"version": 2},
            ),
            ([images(), locks()], [image()], {"version": 2}),
        ),
    ),
    # Names that each host has for itself
    "the address with which each host means itself": Known(
        "unknown", san(*[locks("127.0.0.1", "localhost:/locks", 70_001)] * 2)
    ),
    "that address, and the FSID is one": Known(
        "safe", san(*[locks("::1", "[::1]:/locks", 70_001, ids=fsid("a"))] * 2)
    ),
    "a network disk on a server with which each host means itself": Known(
        "unknown",
        two(
            ([], [guest("v", network("localhost:10809"), running=True)]),
            ([], [guest("w", network("localhost:10809"), running=True)]),
        ),
    ),
    # Numbers
    "two new servers, with the numbers of the first directories of XFS": Known(
        "unsafe",
        two(
            ([images(inode=70_007), locks(inode=33_685_632)], [image()], {"version": 2}),
            (
                [
                    images("10.0.1.5", "nfs1-b:/vms", 70_007),
                    locks("10.0.2.9", "nfs2:/locks", 33_685_632),
                ],
                [image()],
                {"version": 2},
            ),
        ),
        said="unknown",
    ),
    "two snapshots of Btrfs below one export, where one number is two files": Known(
        "safe",
        two(
            *(
                (
                    [
                        directory(
                            f"/srv/vms/{of}",
                            nfs("/srv/vms", "nfs1:/vms", ids=fsid("a")),
                            "disks",
                            70_256,
                        ),
                        HERE,
                    ],
                    [guest(of, disk(f"/srv/vms/{of}/a.qcow2", inode=70_257))],
                    {"version": 2},
                )
                for of in ("one", "other")
            )
        ),
        said="unknown",
    ),
    "hard links by two addresses": Known(
        "unsafe",
        two(
            (
                [images(), locks()],
                [guest("v", disk("/srv/vms/a.qcow2", inode=424_242, links=2))],
                {"version": 2},
            ),
            (
                [images(*LIF), locks(*LIF_LOCKS)],
                [guest("w", disk("/srv/vms/b.qcow2", inode=424_242, links=2))],
                {"version": 2},
            ),
        ),
    ),
    "sshfs by two names, whose clients make up the numbers": Known(
        "unsafe",
        apart(
            (fuse("/srv/vms", "fuse.sshfs", "s:/vms"), image(inode=40_005)),
            (fuse("/srv/vms", "fuse.sshfs", "root@10.0.0.5:/vms"), image(inode=40_009)),
        ),
        said="unknown",
    ),
    "sshfs, and the server that it goes to": Known(
        "unsafe",
        apart((fuse("/srv/vms", "fuse.sshfs", "nfs1:/vms"), image(inode=5)), (images(), image())),
        said="unknown",
    ),
    "sshfs, and one directory of locks": Known(
        "safe",
        both([fuse("/srv/vms", "fuse.sshfs", "s:/vms"), HERE], [image(inode=40_005)], version=2),
    ),
    "a subdirectory of a GlusterFS volume, mounted and looked at from above": Known(
        "unsafe",
        apart(
            (
                directory("/srv/vms", gluster("/srv/vms", "g1:/vms/sub"), "disks", 1),
                image(inode=424_242),
            ),
            (
                directory("/g/sub", gluster("/g", "g1:/vms"), "disks", 99_887_766),
                guest("a", disk("/g/sub/a.qcow2", inode=424_242)),
            ),
        ),
    ),
    # CephFS
    "ceph-fuse, which does not tell the file system of the cluster": Known(
        "unsafe",
        san(
            *[
                directory(
                    "/srv/locks/files",
                    mount("/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=CEPH_IDS),
                    "lockspace",
                    FIRST + 9,
                )
            ]
            * 2
        ),
        said="unknown",
    ),
    "ceph-fuse, and one directory, mounted by itself and with what is above it": Known(
        "safe",
        san(
            ceph_locks(
                "/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/x/locks")
            ),
            ceph_locks("/srv", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/x")),
        ),
    ),
    "ceph-fuse, and one path below two directories that are mounted": Known(
        "unsafe",
        san(
            ceph_locks(
                "/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/x"), inode=None
            ),
            ceph_locks(
                "/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/y"), inode=None
            ),
        ),
    ),
    "ceph-fuse, and two file systems of a cluster with one number": Known(
        "unsafe",
        san(
            ceph_locks("/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/")),
            ceph_locks("/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("other", "/")),
        ),
    ),
    "a snapshot of CephFS that ceph-fuse has mounted by itself, below another image": Known(
        "safe",
        two(
            ([FUSE_LIVE, HERE], [image("base", inode=FIRST + 50_001)], {"version": 2}),
            (
                [
                    fuse("/srv/o", "ext4", "/dev/vda1"),
                    directory("/srv/s", ceph_fuse("/srv/s", "/vms/.snap/s"), "disks", FIRST + 5),
                    HERE,
                ],
                [ABOVE_BASE],
                {"version": 2},
            ),
        ),
    ),
    "a directory of CephFS that ceph-fuse has mounted twice, below another image": Known(
        "unsafe",
        two(
            ([FUSE_LIVE, HERE], [image("base", inode=FIRST + 50_001)], {"version": 2}),
            (
                [
                    fuse("/srv/o", "ext4", "/dev/vda1"),
                    directory("/srv/s", ceph_fuse("/srv/s", "/vms"), "disks", FIRST + 5),
                    HERE,
                ],
                [ABOVE_BASE],
                {"version": 2},
            ),
        ),
    ),
    "ceph-fuse that tells its file system, and a kernel that has the default one": Known(
        "unsafe",
        san(
            ceph_locks("/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/l")),
            ceph_locks("/srv/locks", "ceph", "10.1.0.1:6789:/l", ids=CEPH_IDS),
        ),
        said="unknown",
    ),
    "one file system of a Ceph, by ceph-fuse and by the kernel": Known(
        "safe",
        san(
            ceph_locks("/srv/locks", "fuse.ceph-fuse", "ceph-fuse", ids=of_client("vm", "/l")),
            ceph_locks("/srv/locks", "ceph", "10.1.0.1:6789:/l", "fs=vm", ids=CEPH_IDS),
        ),
    ),
    "one file system of a Ceph, by the old name of an option and by the new one": Known(
        "safe",
        san(
            ceph_locks("/srv/locks", "ceph", "10.1.0.1:6789:/l", "mds_namespace=vm", ids=CEPH_IDS),
            ceph_locks("/srv/locks", "ceph", "10.1.0.2:6789:/l", "fs=vm", ids=CEPH_IDS),
        ),
    ),
    "two file systems of a Ceph, by the old name of an option and by the new one": Known(
        "unsafe",
        san(
            ceph_locks("/srv/locks", "ceph", "10.1.0.1:6789:/l", "mds_namespace=vm", ids=CEPH_IDS),
            ceph_locks("/srv/locks", "ceph", "10.1.0.1:6789:/l", "fs=other", ids=CEPH_IDS),
        ),
    ),
    "an image in a snapshot of CephFS, below another one": Known(
        "safe",
        two(
            (
                [
                    directory(
                        "/srv/vms",
                        ceph("/srv/vms", "10.1.0.1:6789:/vms", ids=CEPH_IDS),
                        "disks",
                        FIRST + 50_000,
                    ),
                    HERE,
                ],
                [image("base", inode=FIRST + 50_001)],
                {"version": 2},
            ),
            (
                [
                    fuse("/srv/o", "ext4", "/dev/vda1"),
                    directory(
                        "/srv/vms/.snap/s",
                        ceph("/srv/vms", "10.1.0.1:6789:/vms", ids=CEPH_IDS),
                        "disks",
                        FIRST + 50_000,
                    ),
                    HERE,
                ],
                [
                    guest(
                        "o",
                        disk(
                            "/srv/o/o.qcow2",
                            layers=1,
                            chain=[disk("/srv/vms/.snap/s/base.qcow2", inode=FIRST + 50_001)],
                        ),
                    )
                ],
                {"version": 2},
            ),
        ),
    ),
    # Block devices
    "a link in a directory to a device without a name": Known(
        "unknown",
        both(
            [fuse("/srv/d", "ext4", "/dev/vda1"), *DEVICES, HERE],
            [guest("v", disk("/srv/d/x", type="block", resolved="/dev/sdb", inode=601))],
            version=2,
        ),
    ),
    "the serial number that every emulated disk has": Known(
        "safe",
        devices_apart(
            device("/dev/sdb", wwid=EMULATED), device("/dev/sdc", name="w", wwid=EMULATED)
        ),
        said="unknown",
    ),
    "the origin of a snapshot of LVM's": Known(
        "safe",
        devices_apart(ORIGIN, device("/dev/mapper/n", name="w", dm_uuid=f"{MPATH}b")),
    ),
    "a snapshot of LVM's beside its origin, on one host": Known(
        "safe", [host("a", [*DEVICES, HERE], [ORIGIN, SNAPSHOT], version=2)]
    ),
    "a snapshot of LVM's, and its origin on another host": Known(
        "unsafe", devices_apart(ORIGIN, SNAPSHOT)
    ),
    "disks that other processes serve": Known(
        "unknown",
        devices_apart(guest("v", {"type": "vhostuser"}), guest("w", {"type": "vhostuser"})),
    ),
    "a device of the host that a guest has as a whole, and a block device": Known(
        "unknown",
        devices_apart(guest("v", {"type": "hostdev"}), device("/dev/sdb", wwid="naa.600a")),
    ),
    "an NVMe controller of a guest's own, and an NVMe device": Known(
        "unknown",
        devices_apart(guest("v", {"type": "nvme"}), device("/dev/nvme0n1", wwid="uuid.11-22")),
    ),
    # Names of unlike types
    "the UUID of an NVMe namespace, and its EUI": Known(
        "unsafe",
        devices_apart(
            device("/dev/nvme0n1", wwid="uuid.11-22"),
            device("/dev/nvme1n1", name="w", wwid="eui.0025385000000aaa"),
        ),
        said="unknown",
    ),
    "the EUI of an NVMe namespace, and its NGUID": Known(
        "unsafe",
        devices_apart(
            device("/dev/nvme0n1", wwid="eui.0025385000000aaa"),
            device("/dev/nvme1n1", name="w", wwid="eui.002538500000000000000000000000aa"),
        ),
        said="unknown",
    ),
    "a SCSI device by its EUI, and by the name that scsi_id prefers": Known(
        "unsafe",
        devices_apart(
            device("/dev/sdb", wwid="eui.0025385000000aaa"),
            device("/dev/mapper/m", name="w", dm_uuid=MPATH),
        ),
        said="unknown",
    ),
    "partitions of one number, of devices with names of unlike types": Known(
        "unsafe",
        devices_apart(
            device("/dev/sdb1", wwid="naa.6001405aaa", part="1"),
            device("/dev/sdc1", name="w", wwid="t10.LIO-ORG disk aaa", part="1"),
        ),
        said="unknown",
    ),
    "md on a device, and a device with a name of another type": Known(
        "unsafe",
        devices_apart(
            device(
                "/dev/md0",
                identity="md:1:2:3:4",
                chain=[{"type": "block", "path": "/dev/nvme0n1", "wwid": "uuid.11-22"}],
            ),
            device("/dev/nvme1n1", name="w", wwid="eui.0025385000000aaa"),
        ),
        said="unknown",
    ),
    "two paths of one SCSI device, which the kernel and scsi_id name by unlike types": Known(
        "unsafe",
        [
            host(
                "a",
                [*DEVICES, HERE],
                [
                    device("/dev/sdb", wwid="eui.0025385000000aaa"),
                    device("/dev/mapper/m", name="w", device="253:9", dm_uuid=MPATH),
                ],
                version=2,
            )
        ],
        said="unknown",
    ),
    "two devices of one host, to which its kernel gives names of unlike types": Known(
        "safe",
        [
            host(
                "a",
                [*DEVICES, HERE],
                [
                    device("/dev/nvme0n1", wwid="uuid.11-22"),
                    device("/dev/sdb", name="w", device="8:16", wwid="naa.6001405aaa"),
                ],
                version=2,
            )
        ],
    ),
    "a local file system on NVMe, and a device of a SAN": Known(
        "safe",
        two(
            (
                [
                    directory(
                        "/srv/vms",
                        mount("/srv/vms", "xfs", "/dev/nvme0n1"),
                        "disks",
                        131,
                        volume="eui.0025385000000aaa//",
                    ),
                    locks(),
                ],
                [image()],
                {"version": 2},
            ),
            (SAN, [device("/dev/mapper/m", name="w", dm_uuid=MPATH)], {"version": 2}),
        ),
    ),
    "devices with names of unlike types, of hosts that are alike": Known(
        "safe",
        both(
            SAN,
            [
                device("/dev/nvme0n1", wwid="uuid.11-22"),
                device("/dev/sdb", name="w", device="8:16", wwid="naa.6001405aaa"),
            ],
            version=2,
        ),
        said="unknown",
    ),
    "one address of NFS, and two ports": Known(
        "unknown",
        san(
            directory(
                "/srv/locks/files",
                nfs("/srv/locks", "nfs1:/locks", options=("port=2049",)),
                "lockspace",
                131,
            ),
            directory(
                "/srv/locks/files",
                nfs("/srv/locks", "nfs1:/locks", options=("port=2050",)),
                "lockspace",
                131,
            ),
        ),
    ),
    "one loopback address of NFS, and one port that is not the usual one": Known(
        "unknown", san(*[locks("::1", "[::1]:/locks", 70_001, options=("port=2050",))] * 2)
    ),
    "iSCSI by two names, perhaps of one disk": Known(
        "unknown",
        two(
            ([], [guest("v", {"type": "network", "path": "iscsi:iqn.x/1", "servers": ["a:3260"]})]),
            ([], [guest("w", {"type": "network", "path": "iscsi:iqn.y/1", "servers": ["b:3260"]})]),
        ),
    ),
    "two exports of one NBD server, perhaps of one disk": Known(
        "unknown",
        two(
            ([], [guest("v", {"type": "network", "path": "nbd:e1", "servers": ["a:10809"]})]),
            ([], [guest("w", {"type": "network", "path": "nbd:e2", "servers": ["a:10809"]})]),
        ),
    ),
    # Lock managers, drivers, automounts
    "sanlock with one directory of leases and two numbers": Known(
        "safe", two(sanlock(1, "nfs1:/sl", 700_888), sanlock(2, "nfs1:/sl", 700_888))
    ),
    "sanlock with two directories of leases": Known(
        "unsafe", two(sanlock(1, "nfs1:/sl", 700_888), sanlock(2, "nfs1:/sl2", 700_889))
    ),
    "a guest of Xen and one of QEMU, on two hosts with one directory of locks": Known(
        "safe",
        two(([images(), HERE], [XEN], libxl(FILES)), ([images(), HERE], [KVM], {"version": 2})),
    ),
    "a guest of Xen and one of QEMU, on one host with two directories of locks": Known(
        "unsafe",
        [
            host(
                "a",
                [images(), HERE, directory("/srv/x", nfs("/srv/x", "nfs1:/x"), "lockspace", 7_001)],
                [XEN, KVM],
                **libxl('file_lockspace_dir = "/srv/x"\n'),
            )
        ],
    ),
    "a directory of locks below an automount of one host": Known(
        "safe", san(HERE, ASLEEP), said="unknown"
    ),
    "a directory of locks below automounts": Known("unknown", san(ASLEEP, ASLEEP)),
    "the server is a host, and another directory of what it exports": Known(
        "unsafe",
        san(
            locks(ids=SERVED, inode=70_001),
            directory(
                "/srv/locks/files",
                mount("/srv", "ext4", "/dev/vda2", ids=(UUID,)),
                "lockspace",
                70_002,
            ),
        ),
    ),
    "a logical volume on a device without a name and on one with a name": Known(
        "unsafe",
        devices_apart(
            device(
                "/dev/vg/lv",
                lvm_uuid=LV[-32:],
                chain=[
                    {"type": "block", "path": "/dev/vdb", "inode": 8},
                    {"type": "block", "path": "/dev/sdz", "inode": 9, "wwid": "naa.600bbb"},
                ],
            ),
            device("/dev/mapper/m", name="w", dm_uuid=MPATH),
        ),
        said="unknown",
    ),
    "a doubled slash in the path of one host": Known(
        "unsafe",
        two(
            ([images(), HERE], [image()], {"version": 2}),
            (
                [{**images(), "path": "/srv//vms"}, HERE],
                [guest("a", disk("/srv//vms/a.qcow2", inode=4242))],
                {"version": 2},
            ),
        ),
    ),
    # Policies and probes
    "a policy has hosts apart that share storage": Known(
        "unsafe",
        apart((images(), image("v")), (images(), image("w", inode=9))),
        {"groups": {"g": {"hosts": ["a"]}, "h": {"hosts": ["b"]}}},
        said="unknown",
    ),
    "a probe shows that two addresses are one server": Known(
        "safe",
        san(HERE, locks("10.0.9.9", "other:/locks", 70_001), probed(1, 1), probed(2, 1)),
    ),
    "it did so long ago": Known(
        "unknown",
        san(HERE, locks("10.0.9.9", "other:/locks", 70_001), probed(1, 2000), probed(2, 2000)),
    ),
    "what one host sees of the other's locks in a probe, and not the other way round": Known(
        "unsafe",
        two(
            ([images(), HERE], [image()], {"version": 2, **probed(1, 1)}),
            ([images(), HERE], [image()], {"version": 2, **probed(2, 1, locked=(2,))}),
        ),
        said="unknown",
    ),
    # One daemon compares names
    "one image by a path and by a link, on one host that locks images themselves": Known(
        "unsafe", [host("a", LINKED, [BY_PATH, BY_LINK], version=2, **DIRECT)]
    ),
    "one image by a path and by a link, on two hosts that lock images themselves": Known(
        "safe",
        two(
            (LINKED, [BY_PATH], {"version": 2, **DIRECT}),
            (LINKED, [BY_LINK], {"version": 2, **DIRECT}),
        ),
    ),
    "hard links, on one host that locks images themselves": Known(
        "unsafe",
        [
            host(
                "a",
                [images()],
                [
                    guest(name, disk(f"/srv/vms/{name}.img", inode=70_102, links=2))
                    for name in ("v", "w")
                ],
                version=2,
                **DIRECT,
            )
        ],
    ),
    "one export that is mounted twice, on one host that locks images themselves": Known(
        "unsafe",
        [
            host(
                "a",
                [
                    directory(f"/srv/{point}", nfs(f"/srv/{point}", "nfs1:/vms"), "disks", 70_101)
                    for point in ("x", "y")
                ],
                [
                    guest("v", disk("/srv/x/a.img", inode=70_102)),
                    guest("w", disk("/srv/y/a.img", inode=70_102)),
                ],
                version=2,
                **DIRECT,
            )
        ],
    ),
    # One address, and two servers
    "two servers that have one address, each with its own hosts": Known(
        "safe",
        apart((images(inode=70_101), image()), (images(inode=70_103), image(inode=70_104))),
    ),
    "two servers that have one address, whose directories have one number": Known(
        "safe",
        two(
            ([images(ids=fsid("a")), locks(ids=fsid("b"))], [image()], {"version": 2}),
            ([images(ids=fsid("c")), locks(ids=fsid("d"))], [image()], {"version": 2}),
        ),
    ),
    "three hosts of one server, and one of them knows no FSID": Known(
        "unsafe",
        [
            host("a", [images(ids=fsid("a")), HERE], [image()], version=2),
            host("b", [images(), HERE], [image()], version=2),
            host("c", [images(ids=fsid("a")), THERE], [image("c", inode=70_104)], version=2),
        ],
    ),
    "a directory of locks that does not answer": Known(
        "unknown",
        san(
            HERE,
            {
                "path": "/srv/locks/files",
                "holds": ["lockspace"],
                "error": "no answer in 5 seconds",
                "inode": None,
            },
        ),
    ),
    # Options of NFSv3
    "local flocks on one host, which are not what libvirt takes": Known(
        "safe", both([images(), locks(kind="nfs", options=("local_lock=flock",))], [image()])
    ),
    "local POSIX locks on one host": Known(
        "unsafe",
        two(
            ([images(), locks(kind="nfs")], [image()]),
            (
                [
                    images(),
                    directory(
                        "/srv/locks/files",
                        mount(
                            "/srv/locks",
                            "nfs",
                            "nfs1:/locks",
                            f"addr={ADDRESS}",
                            "local_lock=posix",
                            "lookupcache=none",
                            "vers=3",
                        ),
                        "lockspace",
                        99,
                    ),
                ],
                [image()],
            ),
        ),
    ),
    "GFS2 that one host mounts without locks": Known(
        "unsafe",
        two(
            (on("gfs2", "/dev/vg/vms", ids=("uuid:1",)), [image()], {"version": 2}),
            (
                on("gfs2", "/dev/vg/vms", "lockproto=lock_nolock", ids=("uuid:1",)),
                [image()],
                {"version": 2},
            ),
        ),
    ),
    "two directories of one GlusterFS volume, each mounted by itself": Known(
        "unsafe",
        san(
            *(
                directory(
                    "/srv/locks/files",
                    gluster("/srv/locks/files", f"g1:/vol/{name}", ids=("volume-id:a1b2",)),
                    "lockspace",
                    1,
                )
                for name in ("one", "other")
            )
        ),
    ),
    # Devices and chains
    "a logical volume on a partition, and another partition": Known(
        "safe", devices_apart(ON_PART_2, device("/dev/sdc1", name="w", wwid=NAA, part="1"))
    ),
    "a logical volume on a partition, and that partition": Known(
        "unsafe", devices_apart(ON_PART_2, device("/dev/sdc2", name="w", wwid=NAA, part="2"))
    ),
    "a logical volume on a partition, and the whole device": Known(
        "unsafe", devices_apart(ON_PART_2, device("/dev/sdc", name="w", wwid=NAA))
    ),
    "a partition inside a logical volume, and the volume": Known(
        "unsafe",
        devices_apart(VOLUME, device("/dev/mapper/vg-lv1", name="w", dm_uuid=f"part1-{LV}")),
    ),
    "bcache, and the device that it caches": Known(
        "unsafe",
        devices_apart(
            device(
                "/dev/bcache0",
                chain=[{"type": "block", "path": "/dev/sdb", "inode": 9, "wwid": NAA}],
            ),
            device("/dev/sdc", name="w", wwid=NAA),
        ),
    ),
    "a mapped RBD image by the name of the image, of which nothing is known": Known(
        "unsafe",
        two(
            ([*DEVICES, HERE], [device("/dev/rbd/p/i", resolved="/dev/rbd0")], {"version": 2}),
            ([*DEVICES, THERE], [device("/dev/rbd/p/i", resolved="/dev/rbd3")], {"version": 2}),
        ),
        said="unknown",
    ),
    "a volume of ZFS by two names, of which nothing is known": Known(
        "unsafe",
        devices_apart(device("/dev/zd0"), device("/dev/zvol/tank/v", resolved="/dev/zd0")),
        said="unknown",
    ),
    "an image with another one above it and one below": Known(
        "unsafe",
        two(
            (
                [images(), HERE],
                [
                    guest(
                        "v",
                        disk(
                            "/srv/vms/middle.qcow2",
                            inode=70_105,
                            layers=1,
                            chain=[disk("/srv/vms/base.qcow2", inode=70_106)],
                        ),
                    )
                ],
                {"version": 2},
            ),
            (
                [images(), HERE],
                [
                    guest(
                        "w",
                        disk(
                            "/srv/vms/top.qcow2",
                            layers=2,
                            chain=[
                                disk("/srv/vms/middle.qcow2", inode=70_105),
                                disk("/srv/vms/base.qcow2", inode=70_106),
                            ],
                        ),
                    )
                ],
                {"version": 2},
            ),
        ),
    ),
    "an image on a logical volume that another guest writes": Known(
        "unsafe",
        two(
            (
                [images(), *DEVICES, HERE],
                [
                    guest(
                        "o",
                        disk(
                            "/srv/vms/o.qcow2",
                            layers=1,
                            chain=[
                                {"type": "block", "path": "/dev/vg/lv", "inode": 5, "dm_uuid": LV}
                            ],
                        ),
                    )
                ],
                {"version": 2},
            ),
            ([*DEVICES, HERE], [VOLUME], {"version": 2}),
        ),
    ),
    # Leases of which nothing says what they are for
    "two disks, and a lease for one of them": Known(
        "unsafe",
        two(
            *(
                (
                    [
                        images(),
                        directory("/srv/leases", nfs("/srv/leases", "nfs1:/l"), "leases", 70_108),
                    ],
                    [
                        guest(
                            name,
                            disk(f"/srv/vms/{name}.img"),
                            disk("/srv/vms/common.img", inode=70_107),
                            leases=[
                                {"lockspace": "l", "key": name, "target": f"/srv/leases/{name}"}
                            ],
                        )
                    ],
                    {
                        "version": 2,
                        "lockd": "auto_disk_leases = 0\nrequire_lease_for_disks = 1\n",
                    },
                )
                for name in ("v", "w")
            )
        ),
        said="unknown",
    ),
    "guests that share a disk on purpose, and one that does not": Known(
        "unsafe",
        [
            host("a", [images(), HERE], [guest("v", SHARED)], version=2),
            host("b", [images(), THERE], [guest("w", SHARED)], version=2),
            host("c", [images(), THERE], [image()], version=2),
        ],
    ),
    "two spellings of one name on CIFS, whose servers take no notice of case": Known(
        "unsafe", cifs_pair("serverino", "A.img", 70_102)
    ),
    "two spellings of one name on CIFS, whose client makes up the numbers": Known(
        "unsafe", cifs_pair("noserverino", "A.img", 70_103)
    ),
    "two files on CIFS, whose server takes notice of case": Known(
        "safe", cifs_pair("serverino", "A.img", 70_103)
    ),
    "a file on CIFS, and on NFS by another path": Known(
        "unsafe",
        two(
            (
                [images("10.0.0.9", "nas:/vms", 70_101), HERE],
                [guest("v", disk("/srv/vms/A.img", inode=70_102))],
                {"version": 2},
            ),
            (
                [fuse("/srv/smb", "cifs", "//nas/vms", "serverino", inode=70_101), HERE],
                [guest("w", disk("/srv/smb/A.img", inode=70_102))],
                {"version": 2},
            ),
        ),
        said="unknown",
    ),
    # One device below unlike things
    "LUKS on a logical volume, and an image above that volume": Known(
        "unsafe", below_apart(LUKS_ON_LV, ABOVE_LV)
    ),
    "a logical volume on a device, and an image above that device": Known(
        "unsafe", below_apart(ON_SAN, (images(), ABOVE_SAN))
    ),
    "md on a device, and LUKS on it": Known(
        "unsafe",
        below_apart(
            (DEVICES[0], device("/dev/md0", identity="md:1:2:3:4", chain=[BELOW])),
            (
                DEVICES[1],
                device("/dev/mapper/c", name="w", dm_uuid=f"{LUKS}-c", chain=[BELOW]),
            ),
        ),
    ),
    "a local file system on a device, and a logical volume on it": Known(
        "unsafe", below_apart((MOUNTED, image()), ON_SAN)
    ),
    "a local file system on a device, and an image above it": Known(
        "unsafe",
        below_apart(
            ({**MOUNTED, "path": "/srv/x"}, guest("v", disk("/srv/x/v.img"))), (images(), ABOVE_SAN)
        ),
    ),
    "a local file system that two hosts have mounted, and other images on it": Known(
        "unsafe",
        below_apart((MOUNTED, image()), (MOUNTED, image("b", inode=4243))),
    ),
    "a local file system on a logical volume, and another volume on its device": Known(
        "safe",
        below_apart((MOUNTED_LV, image()), (DEVICES[2], OTHER_LV)),
    ),
    "LUKS on a logical volume, and another volume on its device": Known(
        "safe", below_apart(LUKS_ON_LV, (DEVICES[2], OTHER_LV))
    ),
    "images above one logical volume": Known(
        "safe",
        below_apart(
            ABOVE_LV,
            (images(), guest("x", disk("/srv/vms/x.qcow2", layers=1, chain=[LV_BELOW, BELOW]))),
        ),
    ),
    "GFS2 on a device that two hosts have mounted": Known(
        "safe", below_apart((GFS2_ON_SAN, image()), (GFS2_ON_SAN, image()))
    ),
    "GFS2 on a device, and a logical volume on it": Known(
        "unsafe", below_apart((GFS2_ON_SAN, image()), ON_SAN)
    ),
    "virtual machines as hosts, whose NVMe has the EUI that all have": Known(
        "safe", below_apart((EMULATED_NVME, image()), (EMULATED_NVME, image()))
    ),
    # Two volumes that claim one device below them
    "two volume groups on one device": Known("unsafe", devices_apart(*GROUPS_ON_SAN)),
    "two volume groups on two partitions of one device": Known(
        "safe",
        devices_apart(
            on_devices("/dev/vg/lv", {**BELOW, "part": "1"}, dm_uuid=LV),
            on_devices("/dev/vg/x", {**BELOW, "part": "2"}, name="w", dm_uuid=OTHER_GROUP),
        ),
    ),
    "two volume groups on one partition of a device": Known(
        "unsafe",
        devices_apart(
            on_devices("/dev/vg/lv", {**BELOW, "part": "2"}, dm_uuid=LV),
            on_devices("/dev/vg/x", {**BELOW, "part": "2"}, name="w", dm_uuid=OTHER_GROUP),
        ),
    ),
    "two volume groups, one on a device and one on a partition of it": Known(
        "unsafe",
        devices_apart(
            on_devices("/dev/vg/lv", BELOW, dm_uuid=LV),
            on_devices("/dev/vg/x", {**BELOW, "part": "2"}, name="w", dm_uuid=OTHER_GROUP),
        ),
    ),
    "a logical volume of which only lvs tells, and another group on its device": Known(
        "unsafe", devices_apart(VOLUME, GROUPS_ON_SAN[1]), said="unknown"
    ),
    "two logical volumes of one group on one device": Known(
        "safe", devices_apart(GROUPS_ON_SAN[0], OTHER_LV)
    ),
    "two containers of LUKS on one device": Known(
        "unsafe",
        devices_apart(
            on_devices("/dev/mapper/c", BELOW, dm_uuid=f"{LUKS}-c"),
            on_devices("/dev/mapper/d", BELOW, name="w", dm_uuid=f"CRYPT-LUKS2-{'e' * 32}-d"),
        ),
    ),
    "two logical volumes of one group in one container of LUKS": Known(
        "safe",
        devices_apart(
            on_devices("/dev/vg/lv", LUKS_BELOW, BELOW, dm_uuid=LV),
            on_devices("/dev/vg/x", LUKS_BELOW, BELOW, name="w", dm_uuid=f"{LV[:36]}{'C' * 32}"),
        ),
    ),
    "two volume groups in one container of LUKS": Known(
        "unsafe",
        devices_apart(
            on_devices("/dev/vg/lv", LUKS_BELOW, dm_uuid=LV),
            on_devices("/dev/vg/x", LUKS_BELOW, name="w", dm_uuid=OTHER_GROUP),
        ),
    ),
    "two arrays of md on one device": Known(
        "unsafe",
        devices_apart(
            on_devices("/dev/md0", BELOW, identity="md:1:2:3:4"),
            on_devices("/dev/md1", BELOW, name="w", identity="md:1:2:3:5"),
        ),
    ),
    "images above volumes of two groups on one device": Known(
        "unsafe",
        below_apart(
            ABOVE_LV,
            (
                images(),
                guest(
                    "x",
                    disk(
                        "/srv/vms/x.qcow2",
                        layers=1,
                        chain=[{**LV_BELOW, "dm_uuid": OTHER_GROUP}, BELOW],
                    ),
                ),
            ),
        ),
    ),
    "local file systems on volumes of two groups on one device": Known(
        "unsafe",
        below_apart(
            (MOUNTED_LV, image()),
            ({**MOUNTED, "volume": f"naa.6001405aaa/{OTHER_GROUP}/"}, image("b", inode=4243)),
        ),
    ),
    # DRBD
    "peers of DRBD that lock nodes": Known(
        "unsafe",
        without_locks(of_drbd(AB, generations="ab"), of_drbd(BA, name="w", generations="bc")),
    ),
    "peers of DRBD of which no generations are known": Known(
        "unsafe", without_locks(of_drbd(AB), of_drbd(BA, name="w"))
    ),
    "peers of DRBD that lock by path": Known(
        "safe", devices_apart(of_drbd(AB), of_drbd(BA, name="w"))
    ),
    "peers of DRBD that lock by unlike paths": Known(
        "unsafe",
        devices_apart(
            of_drbd(AB),
            guest(
                "w",
                {
                    **of_drbd(BA, name="w")["disks"][0],
                    "path": "/dev/drbd/by-res/r0/0",
                    "resolved": "/dev/drbd0",
                },
            ),
        ),
    ),
    "two of three peers of DRBD": Known(
        "unsafe", without_locks(of_drbd(AB, CB), of_drbd(BA, BC, name="w"))
    ),
    "two clusters of DRBD that call a resource alike": Known(
        "safe",
        without_locks(
            of_drbd(AB, generations="ab"),
            of_drbd("10.9.0.1:7788 10.9.0.2:7788", name="w", generations="cd"),
        ),
    ),
    "two clusters of DRBD that call a resource alike, without generations": Known(
        "safe",
        without_locks(of_drbd(AB), of_drbd("10.9.0.1:7788 10.9.0.2:7788", name="w")),
        said="unknown",
    ),
    "the first hosts of two clusters of DRBD that have the same addresses": Known(
        "safe", without_locks(of_drbd(AB, generations="ab"), of_drbd(AB, name="w", generations="c"))
    ),
    "hosts of two clusters of DRBD that seem to be peers of each other": Known(
        "safe",
        without_locks(of_drbd(AB, generations="ab"), of_drbd(BA, name="w", generations="c")),
        said="unknown",
    ),
    "peers of DRBD through proxies, whose addresses are loopback": Known(
        "unsafe",
        without_locks(of_drbd(OVER_LOOPBACK), of_drbd(OVER_LOOPBACK, name="w")),
        said="unknown",
    ),
    "peers of DRBD that see each other by other addresses": Known(
        "unsafe",
        without_locks(
            of_drbd(AB, generations="ab"),
            of_drbd("192.168.0.2:7788 192.168.0.1:7788", name="w", generations="b"),
        ),
        said="unknown",
    ),
    "two resources of DRBD between two hosts": Known(
        "safe",
        without_locks(
            of_drbd(AB),
            of_drbd(CB, name="w", resource="r1/0"),
        ),
    ),
    "two volumes of one resource of DRBD": Known(
        "safe", without_locks(of_drbd(AB), of_drbd(BA, name="w", resource="r0/1"))
    ),
    "a device of DRBD, and the device that it is on": Known(
        "unsafe",
        devices_apart(of_drbd(AB, chain=[BELOW]), device("/dev/sdc", name="w", dm_uuid=MPATH)),
    ),
    "two devices of DRBD on one device": Known(
        "unsafe",
        devices_apart(
            of_drbd(AB, chain=[BELOW]), of_drbd(BC, name="w", resource="r1/0", chain=[BELOW])
        ),
    ),
    "two clusters of DRBD, each with r0 on one device": Known(
        "unsafe",
        devices_apart(
            of_drbd(AB, generations="a", chain=[BELOW]),
            of_drbd(BC, name="w", generations="b", chain=[BELOW]),
        ),
    ),
    "a device of DRBD of which it is not known what it is on": Known(
        "unsafe",
        devices_apart(of_drbd(AB, chain=[]), device("/dev/sdc", name="w", dm_uuid=MPATH)),
        said="unknown",
    ),
    "a partition of a device of DRBD, and the whole one on its peer": Known(
        "unsafe", without_locks(of_drbd(AB, part="1"), of_drbd(BA, name="w"))
    ),
    "two partitions of a device of DRBD": Known(
        "safe", without_locks(of_drbd(AB, part="1"), of_drbd(BA, name="w", part="2"))
    ),
    # Devices of device-mapper without a name, as far as their tables are read
    "one part of a device by two tables": Known(
        "unsafe",
        without_locks(
            of_table("0 2048 linear 8:16 0"),
            of_table("0 2048 linear 65:112 0", below=(SDX,), name="w"),
        ),
    ),
    "one part of a device by two tables, with a lock by its path": Known(
        "safe",
        devices_apart(
            of_table("0 2048 linear 8:16 0"),
            guest(
                "w",
                {
                    **of_table("0 2048 linear 65:112 0", below=(SDX,))["disks"][0],
                    "path": "/dev/mapper/v",
                },
            ),
        ),
    ),
    "two parts of a device": Known(
        "safe",
        without_locks(
            of_table("0 2048 linear 8:16 0"), of_table("0 2048 linear 8:16 2048", name="w")
        ),
    ),
    "two parts of a device that overlap": Known(
        "unsafe",
        without_locks(
            of_table("0 2049 linear 8:16 0"), of_table("0 2048 linear 8:16 2048", name="w")
        ),
    ),
    "two parts of a device that overlap, on one host": Known(
        "unsafe",
        [
            host(
                "a",
                [*DEVICES, HERE],
                [
                    of_table("0 2049 linear 8:16 0"),
                    of_table(
                        "0 2048 linear 8:16 2048",
                        below=({**SDB, "above": "253:2"},),
                        name="w",
                        device="253:2",
                    ),
                ],
                version=2,
            )
        ],
    ),
    "two parts of a device, on one host": Known(
        "safe",
        [
            host(
                "a",
                [*DEVICES, HERE],
                [
                    of_table("0 2048 linear 8:16 0"),
                    of_table(
                        "0 2048 linear 8:16 2048",
                        below=({**SDB, "above": "253:2"},),
                        name="w",
                        device="253:2",
                    ),
                ],
                version=2,
            )
        ],
    ),
    "a part of a device, and the whole one": Known(
        "unsafe", devices_apart(of_table("0 2048 linear 8:16 0"), device("/dev/sdc", wwid=NAA))
    ),
    "a part of a device, and a partition of it": Known(
        "unsafe",
        devices_apart(
            of_table("0 2048 linear 8:16 2048"), device("/dev/sdc1", name="w", wwid=NAA, part="1")
        ),
        said="unknown",
    ),
    "parts of two partitions of a device": Known(
        "safe",
        devices_apart(
            of_table("0 2048 linear 8:16 0", below=({**SDB, "part": "1"},)),
            of_table("0 2048 linear 8:16 0", below=({**SDB, "part": "2"},), name="w"),
        ),
    ),
    "a part of a device, encrypted without a header and as it is": Known(
        "unsafe",
        devices_apart(
            of_table("0 2048 crypt 8:16 0", dm_uuid="CRYPT-PLAIN-v"),
            of_table("0 2048 linear 8:16 0", name="w"),
        ),
    ),
    "stripes that another table has a part of": Known(
        "unsafe",
        devices_apart(
            of_table("0 4096 striped 2 8 8:16 8192 8:16 16384"),
            of_table("0 8 linear 8:16 18431", name="w"),
        ),
    ),
    "stripes, and what is between them": Known(
        "safe",
        devices_apart(
            of_table("0 4096 striped 2 8 8:16 8192 8:16 16384"),
            of_table("0 2048 linear 8:16 10240", name="w"),
        ),
    ),
    "a part of a device, and a logical volume on the device": Known(
        "unsafe",
        devices_apart(
            of_table("0 2048 linear 8:16 0"), on_devices("/dev/vg/x", SDX, name="w", dm_uuid=LV)
        ),
    ),
    "a part of a part of a device, and the device": Known(
        "unsafe",
        devices_apart(
            of_table(
                "0 8 linear 253:9 8",
                below=(
                    PART_BELOW,
                    {**SDB, "above": "253:9"},
                ),
            ),
            device("/dev/sdc", name="w", wwid=NAA),
        ),
    ),
    "a logical volume on a part of a device, and another part of it": Known(
        "safe",
        devices_apart(
            on_devices("/dev/vg/x", PART_BELOW, {**SDB, "above": "253:9"}, dm_uuid=LV),
            of_table("0 9 linear 8:16 99", name="w"),
        ),
    ),
    "a logical volume on a part of a device, and a part that overlaps": Known(
        "unsafe",
        devices_apart(
            on_devices("/dev/vg/x", PART_BELOW, {**SDB, "above": "253:9"}, dm_uuid=LV),
            of_table("0 9 linear 8:16 98", name="w"),
        ),
    ),
    "parts of two disks": Known(
        "safe",
        devices_apart(
            of_table("0 2048 linear 8:16 0"),
            of_table("0 2048 linear 259:0 0", below=(SSD,), name="w"),
        ),
    ),
    "a device of device-mapper whose table was not read": Known(
        "unsafe",
        devices_apart(
            of_table(below=(SDB,)), of_table("0 2048 linear 8:16 0", below=(SDB,), name="w")
        ),
        said="unknown",
    ),
    "a part of a device without a name": Known(
        "unsafe",
        devices_apart(
            of_table("0 2048 linear 8:16 0", below=(NAMELESS,)),
            of_table("0 2048 linear 8:16 0", below=(NAMELESS,), name="w"),
        ),
        said="unknown",
    ),
    # bcache
    "one device of bcache on two hosts": Known(
        "unsafe", without_locks(of_bcache("1", SDB, SSD), of_bcache("1", SDX, SSD, name="w"))
    ),
    "one device of bcache, with a lock by its path": Known(
        "safe", devices_apart(of_bcache("1", SDB), of_bcache("1", SDX, name="w"))
    ),
    "a device of bcache with a name, and the device that it caches": Known(
        "unsafe", devices_apart(of_bcache("1", SDB), device("/dev/sdc", name="w", wwid=NAA))
    ),
    "a device of bcache, and the one that is its cache": Known(
        "unsafe",
        devices_apart(of_bcache("1", SDB, SSD), device("/dev/nvme0n1", name="w", wwid=SSD["wwid"])),
    ),
    "two devices of bcache that claim one device": Known(
        "unsafe", devices_apart(of_bcache("1", SDB), of_bcache("2", SDX, name="w"))
    ),
    "devices of bcache on two devices": Known(
        "safe",
        devices_apart(of_bcache("1", SDB), of_bcache("2", {**SDX, "wwid": "naa.600b"}, name="w")),
    ),
    "a device of bcache of which it is not known what it is on": Known(
        "unsafe",
        devices_apart(of_bcache("1"), device("/dev/sdc", name="w", wwid=NAA)),
        said="unknown",
    ),
}
