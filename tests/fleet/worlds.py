"""Fleets of which the truth is known because the world is made first: servers, file systems,
devices, hosts, guests; then what the collector of each host would see of it.

Names collide and alias at random, and evidence is missing at random. What is not made up is chance:
no two file systems give unlike directories one number that only one of them would have (see
``docs/explanation/fleet-model.md``), but all give the numbers of new file systems.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from lockcfg.fleet.model.place import fsids_of
from tests.fleet.known_fleets import DEVICES, NOW, device, directory, disk, guest, host, mount

if TYPE_CHECKING:
    import random

Json = dict[str, Any]

#: What new file systems give their first directories.
COMMON = (2, 128, 131, 256)


class FileSystem(NamedTuple):
    """A real file system. ``name`` is unlike that of any other; ``of`` is the cluster or volume
    that hosts name it by, which may be called as another one; ``addresses`` are those of its
    servers; ``fsid`` what identifies it."""

    name: str
    kind: str
    of: str
    addresses: tuple[str, ...]
    fsid: str


class File(NamedTuple):
    """A real directory or file: where it is, its path there, and its number."""

    system: FileSystem
    path: str
    inode: int


class Lock(NamedTuple):
    """What a guest's host locks: the file, and whether other hosts see it; ``named`` is what its
    daemon calls it."""

    file: object
    carried: bool
    named: tuple[str, str]


class User(NamedTuple):
    """A guest's use of a disk. ``lock`` is None if nothing is locked; ``backing`` is a use of
    what is below its image; ``mounted`` says that it is the device below a local file system, which
    one host may mount; ``shared`` says that others may have it too."""

    host: str
    guest: str
    disk: object
    lock: Lock | None
    backing: bool
    shared: bool = False
    mounted: bool = False


class Device(NamedTuple):
    """A real block device: what it is, the devices it is on, its UUID if it is a logical volume,
    the id of its disk by SCSI, its number if it is a partition."""

    name: str
    below: tuple[Device, ...]
    lvm: str
    scsi: str
    part: str

    def identity(self, rng: random.Random) -> Json:
        """What the kernel of a host calls it."""
        if self.lvm:
            return {"dm_uuid": f"LVM-{'A' * 32}{self.lvm}"}
        if self.part:
            whole = {"wwid": f"naa.{self.scsi[1:]}", "part": self.part}
            return rng.choice((whole, {"dm_uuid": f"part{self.part}-mpath-{self.scsi}"}))
        return rng.choice(({"wwid": f"naa.{self.scsi[1:]}"}, {"dm_uuid": f"mpath-{self.scsi}"}))


class Host(NamedTuple):
    """How a host locks: its name, what is in force, the lockspaces for devices that are set, the
    programs that are there, and what its directories are on."""

    name: str
    manager: str
    space: File | None
    spaces: frozenset[str]
    tools: Json
    on: dict[File, Json]


class World(NamedTuple):
    """What is so, and what is seen of it. ``evidence`` is how much of it is seen, of 1."""

    users: list[User]
    snapshots: list[Json]
    unheld: bool
    evidence: float

    @property
    def conflicts(self) -> list[tuple[User, User]]:
        """Two guests that have one disk, and do not exclude each other."""
        return [
            (one, other)
            for number, one in enumerate(self.users)
            for other in self.users[number + 1 :]
            if one.disk == other.disk
            and (one.host, one.guest) != (other.host, other.guest)
            and not (one.backing and other.backing and not mounted_twice(one, other))
            and not (one.shared and other.shared)
            and not excluded(one, other)
        ]

    @property
    def safe(self) -> bool:
        """Whether no two guests can write one disk, and each that runs has its lock."""
        return not self.unheld and not self.conflicts


def mounted_twice(one: User, other: User) -> bool:
    """Whether two hosts have mounted a local file system, so that both write it."""
    return one.mounted and other.mounted and one.host != other.host


def excluded(one: User, other: User) -> bool:
    """Whether the locks of two users keep one of them out."""
    if one.lock is None or other.lock is None:
        return False
    if one.host == other.host:
        return one.lock.named == other.lock.named
    return one.lock.file == other.lock.file and one.lock.carried and other.lock.carried


class Maker:
    """Makes a world up."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        #: How the hosts lock, and where they have mounted the directories of the images.
        self.hosts: list[tuple[Host, dict[File, str]]] = []
        self.files: list[File] = []
        self.block: list[Device] = []
        self.count = 1000
        self.evidence = rng.choice((0.3, 0.7, 0.95, 1.0, 1.0))
        #: File systems of one name, which hosts know by their numbers.
        self.twins: set[str] = set()
        #: What is behind the device nodes of the hosts.
        self.nodes: dict[tuple[str, str], Device] = {}
        self.version = 1 if rng.random() < 0.25 else 2
        #: Of each host that is a server itself, the file system that it serves.
        self.serves: dict[str, str] = {}

    def seen(self, weight: float = 1.0) -> bool:
        """Whether the snapshots have a piece of evidence."""
        return self.rng.random() < 1 - (1 - self.evidence) * weight

    def inode(self, system: FileSystem) -> int:
        """The number of a directory: one that only it has, or one of those that all begin with."""
        self.count += self.rng.randrange(1, 9)
        if system.kind == "ceph":
            return (1 << 40) + self.rng.choice((0, 1, 2, 5_000 + self.count))
        common = system.kind == "nfs" and system.name not in self.twins
        if common and self.rng.random() < 0.6:
            return self.rng.choice(COMMON[:2])
        return self.count

    def system(self, number: int) -> FileSystem:
        kind = self.rng.choice(("nfs", "nfs", "nfs", "ceph", "glusterfs", "gfs2"))
        digits = hashlib.sha256(f"{number}{self.rng.random()}".encode()).hexdigest()
        addresses = tuple(f"10.0.{number}.{n}" for n in range(1, self.rng.randrange(2, 4)))
        of = self.rng.choice(("vms", "vms", "other"))
        fsid = digits[:32] if self.rng.random() < 0.8 or kind != "nfs" else "1"
        return FileSystem(f"fs{number}", kind, of, addresses, fsid)

    def double(self, one: FileSystem, other: FileSystem) -> FileSystem:
        """A file system that is called like another one, and is not it."""
        changes: dict[str, Any] = {"kind": one.kind, "of": one.of}
        if one.kind == "ceph" and self.rng.random() < 0.5:
            # Another file system of the same cluster.
            changes = {"kind": one.kind, "of": f"{one.of}2", "fsid": one.fsid}
            changes["addresses"] = one.addresses
        elif one.kind == "nfs" and self.rng.random() < 0.5:
            # Two sites whose servers have one address: only numbers tell them apart.
            changes["addresses"] = one.addresses
            self.twins |= {one.name, other.name}
        return other._replace(**changes)

    def world(self) -> World:
        """A world, and what is in it."""
        rng = self.rng
        systems = [self.system(number) for number in range(rng.randrange(1, 4))]
        if len(systems) > 1 and rng.random() < 0.7:
            systems[1] = self.double(systems[0], systems[1])
        images = [self.place(rng.choice(systems), "vms") for _ in range(rng.randrange(1, 3))]
        spaces = [self.place(each, "locks") for each in rng.sample(systems, min(2, len(systems)))]
        images = self.distinct(images)
        spaces = self.distinct(spaces)
        files = [
            File(each.system, f"{each.path}/{name}.qcow2", self.inode_of_file())
            for each in images
            for name in rng.sample("ab", rng.randrange(1, 3))
        ]
        numbers = [(file.system.name, file.inode) for file in files]
        files = [file for at, file in enumerate(files) if numbers.index(numbers[at]) == at]
        devices = self.devices()
        self.files, self.block = files, devices
        served = [each.name for each in systems if each.kind == "nfs"]
        if served and rng.random() < 0.25:
            self.serves["h0"] = rng.choice(served)
        made = [
            self.host(f"h{number}", images, spaces, files, devices)
            for number in range(rng.randrange(2, 4))
        ]
        users = [user for of_host, _, _ in made for user in of_host]
        return World(
            users,
            [snapshot for _, snapshot, _ in made],
            any(unheld for _, _, unheld in made),
            self.evidence,
        )

    def devices(self) -> list[Device]:
        """Disks, parts of them, and logical volumes on either."""
        rng = self.rng
        found: list[Device] = []
        for number in range(2):
            wwid = f"3600{number}{rng.randrange(1 << 40):011x}"
            found.append(Device(wwid, (), "", wwid, ""))
        if rng.random() < 0.5:
            disk = rng.choice(found)
            found += [Device(f"{disk.name}#{n}", (disk,), "", disk.scsi, n) for n in "12"]
        if rng.random() < 0.5:
            for letter in "BC":
                under = rng.choice(found)
                # What has partitions is no volume's as a whole.
                whole = {below for each in found if each.part for below in each.below}
                if not under.lvm and under not in whole:
                    found.append(Device(letter, (under, *under.below), letter * 32, under.scsi, ""))
        return found

    def number(self, place: File) -> int | None:
        """The number of a directory as it is seen, perhaps."""
        return place.inode if place.system.name in self.twins or self.seen(0.5) else None

    def inode_of_file(self) -> int:
        if self.rng.random() < 0.3:
            return self.rng.choice((132, 133))
        self.count += self.rng.randrange(1, 9)
        return self.count

    def place(self, system: FileSystem, name: str) -> File:
        """A directory, which may have the path of another one elsewhere."""
        path = f"/{'srv/' if self.rng.random() < 0.2 else ''}{name}"
        return File(system, path, self.inode(system))

    def distinct(self, places: list[File]) -> list[File]:
        """Directories of which each path is one, and each number on a file system."""
        found: dict[object, File] = {}
        numbers: set[object] = set()
        for place in places:
            if (place.system.name, place.inode) not in numbers:
                found.setdefault((place.system.name, place.path), place)
                numbers.add((place.system.name, place.inode))
        return list(found.values())

    def mount(self, host: str, system: FileSystem, point: str, path: str) -> Json:
        """How a host mounts a directory: by which of its names, and what identifies it."""
        rng = self.rng
        if self.serves.get(host) == system.name:
            made = mount(point, "ext4", "/dev/vdb")
            made["root"] = path
            uuid = system.fsid if len(system.fsid) > 1 else "1" * 32
            if self.version == 2 and self.seen():
                made["ids"] = [f"uuid:{uuid}"]
            return made
        address = rng.choice(system.addresses)
        told: list[str] = []
        if system.kind == "nfs":
            version = rng.choice(("nfs4", "nfs4", "nfs"))
            of = fsids_of(system.fsid) or {"fsid4": "0:1", "fsid3": "1:0"}
            told = [f"fsid4:{of['fsid4']}" if version == "nfs4" else f"fsid3:{of['fsid3']}"]
            export = path
            if rng.random() < 0.2:  # a bind mount, which an administrator may have given an FSID
                export = f"/export{path}"
                told = ["fsid4:0:7"] if version == "nfs4" and rng.random() < 0.5 else told
            options = [f"addr={address}", "lookupcache=none"]
            if rng.random() < 0.05 and version == "nfs":
                options.append("nolock")
            made = mount(point, version, f"{address}:{export}", *options)
        elif system.kind == "ceph":
            told = [f"cluster:{system.fsid}"]
            monitors = ",".join(f"{each}:6789" for each in system.addresses if rng.random() < 0.7)
            source = f"{monitors or f'{address}:6789'}:{path}"
            made = mount(point, "ceph", source, f"mds_namespace={system.of}")
        elif system.kind == "glusterfs":
            told = [f"volume-id:{system.fsid}"]
            options = ["attribute-timeout=0", "entry-timeout=0"]
            made = mount(point, "fuse.glusterfs", f"{address}:/{system.of}{path}", *options)
        else:
            told = [f"table:c:{system.name}"]
            made = mount(point, "gfs2", f"/dev/mapper/{rng.choice('ab')}")
            made["root"] = path
        if self.version == 2 and self.seen():
            made["ids"] = told
        return made

    def host(
        self,
        name: str,
        images: list[File],
        spaces: list[File],
        files: list[File],
        devices: list[Device],
    ) -> tuple[list[User], Json, bool]:
        """A host: what its guests do, what its collector sees, whether a lock is not held."""
        rng = self.rng
        manager = "lockd" if rng.random() < 0.95 else "nop"
        space = rng.choice(spaces) if rng.random() < 0.8 else None
        # What is in force is what the files said when the daemon was started.
        stale = rng.random() < 0.08
        in_force = (rng.choice(("lockd", "nop")), rng.choice((space, None)))
        in_force = in_force if stale else (manager, space)
        directories: list[Json] = []
        points: dict[File, str] = {}
        on: dict[File, Json] = {}
        for number, place in enumerate(images):
            points[place] = "/srv/vms" if not number else rng.choice(("/srv/vms2", "/mnt/vms"))
            on[place] = self.mount(name, place.system, points[place], place.path)
            number_seen = self.number(place)
            if self.seen(0.3):
                directories.append(directory(points[place], on[place], "disks", number_seen))
        lockd = ""
        of_devices: set[str] = set()
        if space is not None:
            on[space] = self.mount(name, space.system, "/srv/locks", space.path)
            number_seen = self.number(space)
            if self.seen(0.3):
                directories.append(directory("/srv/locks", on[space], "lockspace", number_seen))
            lockd = 'file_lockspace_dir = "/srv/locks"\n'
            of_devices = {kind for kind in ("lvm", "scsi") if not stale and rng.random() < 0.25}
            lockd += "".join(f'{kind}_lockspace_dir = "/srv/locks"\n' for kind in of_devices)
        tools = {"lvs": rng.random() < 0.8, "scsi_id": rng.random() < 0.8}
        it = Host(name, *in_force, frozenset(of_devices), tools, on)
        self.hosts.append((it, points))
        users: list[User] = []
        guests: list[Json] = []
        unheld = False
        for number in range(rng.randrange(1, 4)):
            called = rng.choice((f"{name}-{number}", "db", "web"))
            if any(each["name"] == called for each in guests):
                continue
            if rng.random() < 0.4:
                more, made = self.device(it, called, devices)
            else:
                more, made = self.image(it, called, files, points)
            if rng.random() < 0.2:
                made["uuid"] = f"{name}-{number}"
            guests.append(made)
            if rng.random() < 0.04:
                made["disks"][0]["readonly"] = True  # it writes nothing
                continue
            if rng.random() < 0.06:
                made["disks"][0]["shareable"] = True
                # Who shares a part of a disk shares the disk; and the lock of a volume is shared
                # with what it is on, where that has the lock.
                part = "#" in str(more[0].disk)
                more = [
                    each._replace(shared=not each.backing or part or each.lock is not None)
                    for each in more
                ]
            user = more[0]
            if rng.random() < 0.4 and self.alone(user, users):
                held = rng.random() < 0.9
                where = "" if user.lock is None else "/srv/locks" if in_force[1] else "."
                made |= {"running": True}
                if user.lock is not None or stale:
                    unheld |= not held and user.lock is not None
                    if not held:
                        more = [each._replace(lock=None) for each in more]
                    if self.version == 2 and self.seen():
                        made["disks"][0]["lock"] = where if held else ""
            if self.version == 1 and not made.get("running"):
                made["disks"][0].pop("layers", None)  # libvirt's description does not have them
            users += more
        snapshot = host(
            name,
            [*DEVICES, *directories],
            guests,
            qemu=f'lock_manager = "{manager}"\n' if manager == "lockd" else "",
            lockd=lockd,
            version=self.version,
            tools=tools,
        )
        if stale:
            snapshot["changed"] = dict.fromkeys(snapshot["changed"], NOW - 1000)
        return users, snapshot, unheld

    def alone(self, user: User, users: list[User]) -> bool:
        return all(user.disk != other.disk for other in users)

    def image(
        self, it: Host, called: str, files: list[File], points: dict[File, str]
    ) -> tuple[list[User], Json]:
        file = self.rng.choice(files)
        place = next(
            each
            for each in points
            if file.system == each.system and file.path.rpartition("/")[0] == each.path
        )
        path = f"{points[place]}/{file.path.rpartition('/')[2]}"
        lock = self.lock(it, path, (file, it.on[place]))
        told = disk(path, inode=file.inode if self.seen(0.5) else None)
        users = [User(it.name, called, file, lock, backing=False)]
        if self.rng.random() < 0.1:
            base = self.rng.choice(files)
            beside = base.path.rpartition("/")[0] == place.path and base.system == place.system
            if base != file and beside:
                users.append(User(it.name, called, base, None, backing=True))
                told["layers"] = 1
                if self.version == 2 and self.seen():
                    below = f"{points[place]}/{base.path.rpartition('/')[2]}"
                    told["chain"] = [disk(below, inode=base.inode)]
        return users, guest(called, told)

    def device(self, it: Host, called: str, devices: list[Device]) -> tuple[list[User], Json]:
        rng = self.rng
        paths = ("/dev/mapper/mpatha", "/dev/mapper/mpathb", "/dev/sdb", "/dev/vg/b", "/dev/vg/c")
        # A host has several names for one, and no name for two.
        for each in paths:
            self.nodes.setdefault((it.name, each), rng.choice(devices))
        path = rng.choice((paths[0], *paths))
        what = self.nodes[it.name, path]
        more: Json = {"device": f"253:{paths.index(path)}"}
        if self.seen():
            more |= what.identity(rng)
            if self.version == 2 and what.lvm and self.seen():
                more["chain"] = [{"type": "block", "path": "/dev/dm-7"}]
                more["chain"][0] |= what.below[0].identity(rng) if self.seen(0.5) else {}
        # What these programs say is what the lock is called after: who has them says it.
        if "dm_uuid" in more or "wwid" in more or it.spaces:
            more |= what.identity(rng) if it.spaces and not {"dm_uuid", "wwid"} & {*more} else {}
            more |= {"lvm_uuid": what.lvm} if what.lvm and it.tools["lvs"] else {}
            more |= {"scsi_id": what.scsi} if it.tools["scsi_id"] else {}
        made = device(path, name=called, **more)
        # The node itself is this host's alone.
        lock = self.lock(it, path, (f"{it.name} {path}", None), what)
        users = [User(it.name, called, what.name, lock, backing=False)]
        # A part of a disk is written under its own lock, which may be that of the whole. What a
        # volume is on has no lock, unless that of the volume is called after it.
        own = lock if what.part or (lock and lock.named[1] == what.scsi) else None
        users += [User(it.name, called, each.name, own, backing=True) for each in what.below]
        return users, made

    def lock(
        self, it: Host, path: str, itself: tuple[object, Json | None], what: Device | None = None
    ) -> Lock | None:
        """What is locked for a disk of that path, which is ``itself`` where it is that, and
        ``what`` if it is a block device."""
        if it.manager != "lockd":
            return None
        thing, mounted = itself
        if it.space is not None:
            name = hashlib.sha256(path.encode()).hexdigest()
            if what is not None and "scsi" in it.spaces and it.tools["scsi_id"] and what.scsi:
                name = what.scsi
            if what is not None and "lvm" in it.spaces and it.tools["lvs"] and what.lvm:
                name = what.lvm
            carried = "nolock" not in it.on[it.space]["options"]
            return Lock((it.space, name), carried, ("/srv/locks", name))
        carried = mounted is not None and "nolock" not in mounted["options"]
        return Lock(thing, carried, ("", path))
