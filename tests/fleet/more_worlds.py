"""Worlds with kinds of storage and of hosts that few fleets have: network disks that others reach
through the kernel, devices without a name, encrypted volumes, leases, sanlock, guests of a user's
own libvirt, nested and bind mounts, volumes of a SAN that two hosts have mounted.

They are added to what :mod:`tests.fleet.worlds` makes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lockcfg.fleet.model.place import fsids_of
from tests.fleet.known_fleets import DEVICES, device, directory, disk, guest, host, mount
from tests.fleet.worlds import Device, File, FileSystem, Lock, Maker, User, World

if TYPE_CHECKING:
    import random

    from tests.fleet.worlds import Host

Json = dict[str, Any]

#: A device about which no program of a host says anything.
_NAMELESS = Device("", (), "", "", "")


def world(rng: random.Random) -> World:
    """A world that is made up, often with something in it that few fleets have."""
    maker = Maker(rng)
    made = maker.world()
    if rng.random() < 0.6:
        if rng.random() < 0.3:  # nothing else is wrong then
            made = made._replace(users=[], unheld=False)
            for snapshot in made.snapshots:
                snapshot["guests"] = []
        more = _More(maker, made)
        for name in rng.sample(KINDS, min(len(KINDS), rng.choice((1, 1, 2)))):
            getattr(more, f"add_{name}")()
    return made


#: What may be added: each is a method of :class:`_More`.
KINDS = (
    "rbd",
    "iscsi",
    "file_by_protocol",
    "nbd",
    "zvol",
    "upon",
    "session",
    "leases",
    "sanlock",
    "san",
    "bind",
)


class _More:
    def __init__(self, maker: Maker, made: World) -> None:
        self.maker = maker
        self.rng = maker.rng
        self.made = made
        self.count = 0
        #: What is behind the nodes of devices, by host and path.
        self.nodes: dict[tuple[str, str], Any] = {}

    def guest(self, number: int, what: Json, user: User, **more: Any) -> None:
        """Add a guest with one disk to a host that is there."""
        self.made.snapshots[number]["guests"].append({**guest(user.guest, what), **more})
        self.made.users.append(user)

    def called(self) -> str:
        self.count += 1
        return f"more-{self.count}"

    def each_host(self) -> list[tuple[int, Host]]:
        """Some hosts, and some of them twice."""
        found = [(number, it) for number, (it, _) in enumerate(self.maker.hosts)]
        return self.rng.choices(found, k=self.rng.randrange(2, 5))

    def over_network(
        self, number: int, it: Host, path: str, servers: list[str], thing: Any
    ) -> None:
        called = self.called()
        running = {"running": True} if self.rng.random() < 0.3 else {}
        self.guest(
            number,
            {"type": "network", "path": path, "servers": servers},
            User(it.name, called, thing, None, backing=False),
            **running,
        )

    def by_kernel(
        self,
        number: int,
        it: Host,
        paths: list[str],
        what: Any,
        told: Json,
        kind: Device = _NAMELESS,
    ) -> None:
        """A guest with a block device of a host; ``told`` is what its kernel calls that."""
        path = self.rng.choice(paths)
        thing, told = self.nodes.setdefault((it.name, path), (what, told))
        called = self.called()
        lock = self.maker.lock(it, path, (f"{it.name} {path}", None), kind)
        more: Json = {"device": f"252:{paths.index(path)}", **(told if self.maker.seen() else {})}
        if kind.scsi and it.tools["scsi_id"]:
            more["scsi_id"] = kind.scsi  # the lock is called after it
        made = device(path, name=called, **more)
        user = User(it.name, called, thing, lock, backing=False)
        self.guest(number, made["disks"][0], user)

    def add_rbd(self) -> None:
        """Images of one or two Ceph clusters, by librbd and mapped, perhaps twice."""
        clusters = {"c1": ["10.1.0.1:6789", "10.1.0.2:6789"], "c2": ["10.2.0.1:6789"]}
        for number, it in self.each_host():
            cluster = self.rng.choice(["c1", "c1", "c2"])
            name = self.rng.choice("ij")
            thing = ("rbd", cluster, name)
            if self.rng.random() < 0.5:
                monitors = clusters[cluster]
                servers = self.rng.sample(monitors, self.rng.randrange(len(monitors)) + 1)
                self.over_network(number, it, f"rbd:p/{name}", servers, thing)
            else:
                told = {"identity": f"rbd:{cluster}/p//{name}/-"}
                self.by_kernel(number, it, ["/dev/rbd0", "/dev/rbd1"], thing, told)

    def add_iscsi(self) -> None:
        """A disk of a SAN to which QEMU speaks itself."""
        for number, it in self.each_host()[:2]:
            at = self.rng.randrange(2)
            thing = self.maker.block[at].name
            path = f"iscsi:iqn.2026-01.lan:disks/{at}"
            self.over_network(number, it, path, ["10.3.0.1:3260"], thing)

    def add_file_by_protocol(self) -> None:
        """An image on a file server to which QEMU speaks itself."""
        files = [
            each
            for each in self.maker.files
            if each.system.kind in ("glusterfs", "nfs") and each.system.name not in self.maker.twins
        ]
        for number, it in self.each_host()[:2] if files else ():
            file = self.rng.choice(files)
            system = file.system
            of = "nfs:" if system.kind == "nfs" else f"gluster:{system.of}"
            path = f"{of}{file.path}"
            self.over_network(number, it, path, [self.rng.choice(system.addresses)], file)

    def add_nbd(self) -> None:
        """Exports of a server, by the protocol and through the kernel."""
        for number, it in self.each_host():
            server = self.rng.choice(["10.4.0.1:10809", "10.4.0.2:10809"])
            thing = ("nbd", server)
            if self.rng.random() < 0.5:
                self.over_network(number, it, "nbd:export", [server], thing)
            else:
                self.by_kernel(number, it, ["/dev/nbd0", "/dev/nbd1"], thing, {})

    def add_zvol(self) -> None:
        """A volume of ZFS, which its host may export as a disk of the SAN."""
        for number, it in self.each_host()[:2]:
            exported = self.rng.random() < 0.5
            thing = self.maker.block[0].name if exported else ("zvol", it.name)
            self.by_kernel(number, it, ["/dev/zd0"], thing, {})

    def disk_of_its_own(self, number: int) -> Device:
        """A disk of the SAN that nothing else of the world is on."""
        wwid = f"360{number:02}{'f' * 11}"
        return Device(wwid, (), "", wwid, "")

    def add_upon(self) -> None:
        """LUKS or md on a disk of the SAN, which other guests may have as it is."""
        under = self.disk_of_its_own(1)
        luks = self.rng.random() < 0.5
        path = "/dev/mapper/crypt" if luks else "/dev/md0"
        for number, it in self.each_host():
            if self.rng.random() < 0.3:
                told = under.identity(self.rng)
                self.by_kernel(number, it, ["/dev/mapper/mpathz"], under.name, told, under)
                continue
            told = (
                {"dm_uuid": f"CRYPT-LUKS2-{'5' * 32}-{it.name}"}
                if luks
                else {"identity": "md:6a1b2c3d:00000000:00000000:00000001"}
            )
            if self.maker.version == 2 and self.maker.seen():
                told["chain"] = [{"type": "block", "path": "/dev/dm-9"}]
                told["chain"][0] |= under.identity(self.rng)
            self.by_kernel(number, it, [path], "upon", told)
            last = self.made.users[-1]
            self.made.users.append(last._replace(disk=under.name, lock=None, backing=True))

    def add_session(self) -> None:
        """A guest of a user's own libvirt, which locks nothing."""
        number, (it, points) = self.rng.choice([*enumerate(self.maker.hosts)])
        if self.maker.files:
            file, path = self.image_of(points)
            user = User(it.name, self.called(), file, None, backing=False)
            inode = file.inode if self.maker.seen(0.5) else None
            self.guest(number, disk(path, inode=inode), user, instance="session")

    def image_of(self, points: dict[File, str]) -> tuple[File, str]:
        """An image, and its path on a host."""
        file = self.rng.choice(self.maker.files)
        top, _, last = file.path.rpartition("/")
        point = next(
            point
            for place, point in points.items()
            if place.system == file.system and place.path == top
        )
        return file, f"{point}/{last}"

    # Hosts beside those that are there

    def another(self, name: str, directories: list[Json], guests: list[Json], **more: Any) -> None:
        """Add a host."""
        made = host(
            name, [*DEVICES, *directories], guests, **{"version": self.maker.version, **more}
        )
        self.made.snapshots.append(made)

    def mounted(self, name: str) -> tuple[dict[File, str], list[Json], dict[File, Json]]:
        """The directories of the images as another host has them."""
        _, points = self.maker.hosts[0]
        on = {
            place: self.maker.mount(name, place.system, point, place.path)
            for place, point in points.items()
        }
        told = [
            directory(point, on[place], "disks", self.maker.number(place))
            for place, point in points.items()
        ]
        return points, told, on

    def add_leases(self) -> None:
        """Two hosts that lock no disk: their guests name leases."""
        system = self.maker.files[0].system
        space = File(system, "/leases", 777_001)
        require = self.rng.random() < 0.5
        for name in ("l1", "l2"):
            points, told, _ = self.mounted(name)
            file, path = self.image_of(points)
            called = self.called()
            mounted = self.maker.mount(name, system, "/srv/leases", "/leases")
            told.append(directory("/srv/leases", mounted, "leases", self.maker.number(space)))
            made = guest(called, disk(path, inode=file.inode if self.maker.seen(0.5) else None))
            lock = None
            if self.rng.random() < 0.8:
                key = self.rng.choice("kl")
                target = f"/srv/leases/{key}"
                made["leases"] = [{"lockspace": "s", "key": key, "target": target}]
                carried = "nolock" not in mounted["options"]
                lock = Lock((space, key), carried, ("/srv/leases", key))
            elif require:
                continue  # it does not start
            self.made.users.append(User(name, called, file, lock, backing=False))
            lockd = f"auto_disk_leases = 0\nrequire_lease_for_disks = {int(require)}\n"
            self.another(name, told, [made], lockd=lockd)

    def add_sanlock(self) -> None:
        """Two hosts with sanlock, each perhaps with a number of its own."""
        if self.maker.version == 1:
            return
        system = self.maker.files[0].system
        spaces = [File(system, "/sanlock", 777_002), File(system, "/sanlock2", 777_003)]
        for name in ("s1", "s2"):
            points, told, _ = self.mounted(name)
            space = self.rng.choice([spaces[0], *spaces])
            mounted = self.maker.mount(name, system, "/srv/sanlock", space.path)
            told.append(directory("/srv/sanlock", mounted, "lockspace", self.maker.number(space)))
            number = self.rng.choice((1, 2, int(name[1])))
            plugin = f'disk_lease_dir = "/srv/sanlock"\nhost_id = {number}\nauto_disk_leases = 1\n'
            file, path = self.image_of(points)
            called = self.called()
            made = guest(called, disk(path, inode=file.inode if self.maker.seen(0.5) else None))
            leased = (space, hashlib.sha256(path.encode()).hexdigest())
            # Of two hosts with one number the second one cannot join, and starts no guest.
            lock = Lock(leased, carried=True, named=("sanlock", path))
            self.made.users.append(User(name, called, file, lock, backing=False))
            text = {"path": "/etc/libvirt/qemu-sanlock.conf", "mode": "0600", "text": plugin}
            self.another(
                name,
                told,
                [made],
                qemu='lock_manager = "sanlock"\n',
                lockd="",
                daemons=("libvirtd", "sanlock"),
                **{"qemu-sanlock.conf": {**text, "owner": "root"}},
            )

    def add_san(self) -> None:
        """Two hosts that have mounted local file systems of a SAN, perhaps the same one."""
        if self.maker.version == 1:
            return
        for name in ("x1", "x2"):
            volume = self.disk_of_its_own(self.rng.choice((2, 2, 3)))
            system = FileSystem(f"xfs {volume.name}", "xfs", "", (), "")
            file = File(system, f"/{self.rng.choice('ab')}", 131 + self.rng.randrange(2))
            file = file._replace(path=f"/{file.inode}")
            mounted = mount("/srv/san", "xfs", "/dev/dm-3")
            # A file system of which this is not seen is taken to be on no disk that a guest has.
            on = f"naa.{volume.scsi[1:]}//"
            told = [directory("/srv/san", mounted, "disks", 2, volume=on)]
            called = self.called()
            path = f"/srv/san{file.path}"
            lock = Lock(file, carried=False, named=("", path))
            made = guest(called, disk(path, inode=file.inode))
            self.made.users.append(User(name, called, file, lock, backing=False))
            self.made.users.append(User(name, called, volume.name, None, backing=True))
            self.another(name, told, [made], lockd="")
        number, (it, _) = self.rng.choice([*enumerate(self.maker.hosts)])
        if self.rng.random() < 0.5:
            bare = self.disk_of_its_own(2)
            identity = bare.identity(self.rng)
            self.by_kernel(number, it, ["/dev/mapper/mpathy"], bare.name, identity, bare)

    def add_bind(self) -> None:
        """Two hosts that have mounted the directory of an image, one above it, or a part of it."""
        files = [each for each in self.maker.files if each.system.kind == "nfs"]
        if not files:
            return
        file = self.rng.choice(files)
        top, _, last = file.path.rpartition("/")
        above, _, inner = top.rpartition("/")
        _, points = self.maker.hosts[0]
        place = next(each for each in points if each.system == file.system and each.path == top)
        of = fsids_of(file.system.fsid) or {"fsid4": "0:1"}
        for name in ("b1", "b2"):
            address = self.rng.choice(file.system.addresses)
            how = self.rng.choice(("whole", "above", "part"))
            export = top if how == "whole" else above or "/"
            mounted = mount("/srv/b", "nfs4", f"{address}:{export}", f"addr={address}")
            mounted["root"] = f"/{inner}" if how == "part" else "/"
            where = f"/srv/b/{inner}" if how == "above" else "/srv/b"
            if self.maker.version == 2 and self.maker.seen():
                mounted["ids"] = [f"fsid4:{of['fsid4']}"]
            told = [directory(where, mounted, "disks", self.maker.number(place))]
            called = self.called()
            path = f"{where}/{last}"
            made = guest(called, disk(path, inode=file.inode if self.maker.seen(0.5) else None))
            manager = self.rng.choice(("lockd", "lockd", "nop"))
            lock = Lock(file, carried=True, named=("", path)) if manager == "lockd" else None
            self.made.users.append(User(name, called, file, lock, backing=False))
            qemu = f'lock_manager = "{manager}"\n' if lock else ""
            self.another(name, told, [made], qemu=qemu, lockd="")
