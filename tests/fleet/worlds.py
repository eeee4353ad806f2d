"""Fleets of which the truth is known because the world is made first: servers, file systems,
devices, hosts, guests; then what the collector of each host would see of it.

Names collide and alias at random, and evidence is missing at random. What is not made up is chance:
no two file systems give unlike directories one number that only one of them would have (see
``docs/explanation/fleet-model.md``), but all give the numbers of new file systems.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

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
    """A guest's use of a disk. ``lock`` is None where nothing is locked; ``backing`` is a use of
    what is below its image."""

    host: str
    guest: str
    disk: object
    lock: Lock | None
    backing: bool


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
            and not (one.backing and other.backing)
            and not excluded(one, other)
        ]

    @property
    def safe(self) -> bool:
        """Whether no two guests can write one disk, and each that runs has its lock."""
        return not self.unheld and not self.conflicts


def excluded(one: User, other: User) -> bool:
    """Whether the locks of two users keep one of them out."""
    if one.backing or other.backing or one.lock is None or other.lock is None:
        return False
    if one.host == other.host:
        return one.lock.named == other.lock.named
    return one.lock.file == other.lock.file and one.lock.carried and other.lock.carried


def world(rng: random.Random) -> World:
    """A world that is made up."""
    return _Maker(rng).world()


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 1000
        self.evidence = rng.choice((0.3, 0.7, 0.95, 1.0, 1.0))
        #: File systems of one name, which hosts know by their numbers.
        self.twins: set[str] = set()
        #: What is behind the device nodes of the hosts.
        self.nodes: dict[tuple[str, str], str] = {}
        self.version = 1 if rng.random() < 0.25 else 2

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
            # Two sites whose servers have one address: but for numbers nobody could tell.
            changes["addresses"] = one.addresses
            self.twins |= {one.name, other.name}
        return other._replace(**changes)

    def world(self) -> World:
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
        luns = [f"3600{number}{rng.randrange(1 << 40):011x}" for number in range(2)]
        made = [
            self.host(f"h{number}", images, spaces, files, luns)
            for number in range(rng.randrange(2, 4))
        ]
        users = [user for of_host, _, _ in made for user in of_host]
        return World(
            users,
            [snapshot for _, snapshot, _ in made],
            any(unheld for _, _, unheld in made),
            self.evidence,
        )

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

    def mount(self, system: FileSystem, point: str, path: str) -> Json:
        """How a host mounts a directory: by which of its names, and what identifies it."""
        rng = self.rng
        address = rng.choice(system.addresses)
        told: list[str] = []
        if system.kind == "nfs":
            version = rng.choice(("nfs4", "nfs4", "nfs"))
            long = f"{system.fsid[:16]}:{system.fsid[16:]}" if len(system.fsid) > 1 else "0:1"
            told = [f"fsid4:{long}" if version == "nfs4" else f"fsid3:{long[::-1]}"]
            export = path if rng.random() < 0.8 else f"/export{path}"  # a bind mount
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
        self, name: str, images: list[File], spaces: list[File], files: list[File], luns: list[str]
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
            on[place] = self.mount(place.system, points[place], place.path)
            number_seen = self.number(place)
            if self.seen(0.3):
                directories.append(directory(points[place], on[place], "disks", number_seen))
        lockd = ""
        if space is not None:
            on[space] = self.mount(space.system, "/srv/locks", space.path)
            number_seen = self.number(space)
            if self.seen(0.3):
                directories.append(directory("/srv/locks", on[space], "lockspace", number_seen))
            lockd = 'file_lockspace_dir = "/srv/locks"\n'
        users: list[User] = []
        guests: list[Json] = []
        unheld = False
        for number in range(rng.randrange(1, 4)):
            called = rng.choice((f"{name}-{number}", "db", "web"))
            if any(each["name"] == called for each in guests):
                continue
            if rng.random() < 0.4:
                more, made = self.lun(name, called, luns, *in_force, on)
            else:
                more, made = self.image(name, called, files, points, *in_force, on)
            if rng.random() < 0.2:
                made["uuid"] = f"{name}-{number}"
            user = more[0]
            if rng.random() < 0.4 and self.alone(user, users):
                held = rng.random() < 0.9
                where = "" if user.lock is None else "/srv/locks" if in_force[1] else "."
                made |= {"running": True}
                if user.lock is not None or stale:
                    unheld |= not held and user.lock is not None
                    if not held:
                        more[0] = user._replace(lock=None)
                    if self.version == 2 and self.seen():
                        made["disks"][0]["lock"] = where if held else ""
            users += more
            guests.append(made)
        snapshot = host(
            name,
            [*DEVICES, *directories],
            guests,
            qemu=f'lock_manager = "{manager}"\n' if manager == "lockd" else "",
            lockd=lockd,
            version=self.version,
        )
        if stale:
            snapshot["changed"] = dict.fromkeys(snapshot["changed"], NOW - 1000)
        return users, snapshot, unheld

    def alone(self, user: User, users: list[User]) -> bool:
        return all(user.disk != other.disk for other in users)

    def image(
        self,
        name: str,
        called: str,
        files: list[File],
        points: dict[File, str],
        manager: str,
        space: File | None,
        on: dict[File, Json],
    ) -> tuple[list[User], Json]:
        file = self.rng.choice(files)
        place = next(
            each
            for each in points
            if file.system == each.system and file.path.rpartition("/")[0] == each.path
        )
        path = f"{points[place]}/{file.path.rpartition('/')[2]}"
        lock = self.lock(path, (file, on[place]), manager, space, on)
        told = disk(path, inode=file.inode if self.seen(0.5) else None)
        users = [User(name, called, file, lock, backing=False)]
        if self.rng.random() < 0.1:
            base = self.rng.choice(files)
            beside = base.path.rpartition("/")[0] == place.path and base.system == place.system
            if base != file and beside:
                users.append(User(name, called, base, None, backing=True))
                told["layers"] = 1
                if self.version == 2 and self.seen():
                    below = f"{points[place]}/{base.path.rpartition('/')[2]}"
                    told["chain"] = [disk(below, inode=base.inode)]
        return users, guest(called, told)

    def lun(
        self,
        name: str,
        called: str,
        luns: list[str],
        manager: str,
        space: File | None,
        on: dict[File, Json],
    ) -> tuple[list[User], Json]:
        rng = self.rng
        paths = ("/dev/mapper/mpatha", "/dev/mapper/mpathb", "/dev/sdb")
        # A host has several names for one, and no name for two.
        for each in paths:
            self.nodes.setdefault((name, each), rng.choice(luns))
        path = rng.choice((paths[0], *paths))
        wwid = self.nodes[name, path]
        identity: Json = rng.choice(
            (
                {"wwid": f"naa.{wwid[1:]}"},
                {"dm_uuid": f"mpath-{wwid}"},
                {"scsi_id": wwid},
                {"wwid": f"naa.{wwid[1:]}", "scsi_id": wwid},
            )
        )
        more: Json = {"device": f"253:{paths.index(path)}"}
        if self.seen():
            more |= identity
        made = device(path, name=called, **more)
        # The node itself is this host's alone.
        lock = self.lock(path, (f"{name} {path}", None), manager, space, on)
        return [User(name, called, wwid, lock, backing=False)], made

    def lock(
        self,
        path: str,
        itself: tuple[object, Json | None],
        manager: str,
        space: File | None,
        on: dict[File, Json],
    ) -> Lock | None:
        """What is locked for a disk of that path, which is ``itself`` where it is that."""
        if manager != "lockd":
            return None
        if space is not None:
            digest = hashlib.sha256(path.encode()).hexdigest()
            carried = "nolock" not in on[space]["options"]
            return Lock((space, digest), carried, ("/srv/locks", digest))
        thing, mounted = itself
        carried = mounted is not None and "nolock" not in mounted["options"]
        return Lock(thing, carried, ("", path))
