"""Worlds with kinds of storage and of hosts that few fleets have: network disks that others reach
through the kernel, devices without a name, encrypted volumes, leases, sanlock, guests of a user's
own libvirt or of Xen, nested and bind mounts, automounts, volumes of a SAN that two hosts have
mounted, Lustre, BeeGFS and virtiofs, hosts that are clones, devices with names of several types.

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
    for snapshot in made.snapshots:
        _number_mounts(snapshot)
    return made


def _number_mounts(snapshot: Json) -> None:
    """Give each file system that a host has mounted a device number of its own there."""
    numbers: dict[str, str] = {}

    def number(path: str) -> str:
        # Every mount of these worlds is below a directory of the root, or two of them.
        point = "/".join(path.split("/")[:3])
        return numbers.setdefault(point, f"0:{52 + len(numbers)}")

    for path, told in snapshot["identities"].items():
        told[0] = " ".join([number(path), *told[0].split()[1:]])
    for each in snapshot["guests"]:
        for one in each["disks"]:
            for file in (one, *one.get("chain", ())):
                if file.get("device") == "0:52":
                    file["device"] = number(file["path"])


#: What may be added: each is a method of :class:`_More`.
KINDS = (
    "rbd",
    "iscsi",
    "file_by_protocol",
    "nbd",
    "zvol",
    "upon",
    "parts",
    "session",
    "leases",
    "sanlock",
    "san",
    "bind",
    "automount",
    "libxl",
    "drbd",
    "parallel",
    "clone",
    "unlike",
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
        """LUKS, md or bcache on a disk of the SAN, which other guests may have as it is."""
        under = self.disk_of_its_own(1)
        path, told_of = self.rng.choice(
            (
                ("/dev/mapper/crypt", {"dm_uuid": f"CRYPT-LUKS2-{'5' * 32}-c"}),
                ("/dev/md0", {"identity": "md:6a1b2c3d:00000000:00000000:00000001"}),
                ("/dev/bcache0", {"identity": "bcache:6a1b2c3d-0000-4000-8000-000000000001"}),
            )
        )
        for number, it in self.each_host():
            if self.rng.random() < 0.3:
                told = under.identity(self.rng)
                self.by_kernel(number, it, ["/dev/mapper/mpathz"], under.name, told, under)
                continue
            told = dict(told_of)
            if self.maker.version == 2 and self.maker.seen():
                told["chain"] = [{"type": "block", "path": "/dev/dm-9"}]
                told["chain"][0] |= under.identity(self.rng)
            self.by_kernel(number, it, [path], "upon", told)
            last = self.made.users[-1]
            self.made.users.append(last._replace(disk=under.name, lock=None, backing=True))

    def add_parts(self) -> None:
        """Parts of a disk of the SAN by device-mapper, which may overlap, and the disk as it is."""
        under = self.disk_of_its_own(2)
        for number, it in self.each_host():
            told = under.identity(self.rng)
            paths, kind, quarters = ["/dev/mapper/mpathy"], under, [0, 1, 2, 3]
            if self.rng.random() < 0.7:
                first = self.rng.randrange(3)
                # The lock of one path keeps two parts apart, but is not that of what is below.
                paths, kind = [f"/dev/mapper/{self.rng.choice('pq')}{first}"], _NAMELESS
                quarters = [first, first + 1]
                below = {"type": "block", "path": "/dev/sdb", "device": "8:16", "above": "252:0"}
                told = {"chain": [{**below, **told}]} if self.maker.version == 2 else {}
                if told and self.maker.seen():
                    told["table"] = [f"0 100 linear 8:16 {first * 50}"]
            self.by_kernel(number, it, paths, quarters, told, kind)
            last = self.made.users.pop()
            for quarter in last.disk:  # type: ignore[attr-defined]
                self.made.users.append(last._replace(disk=("quarter", quarter)))

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
            below = User(name, called, volume.name, None, backing=True, mounted=True)
            self.made.users.append(below)
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

    def add_automount(self) -> None:
        """Two hosts, one of which was looked at when its automount had mounted nothing."""
        file = self.rng.choice(self.maker.files)
        top, _, last = file.path.rpartition("/")
        space = File(file.system, "/auto", 777_004)
        asleep = self.rng.choice(("images", "locks", ""))
        for name in ("u1", "u2"):
            on = {
                "images": self.maker.mount(name, file.system, "/srv/a", top),
                "locks": self.maker.mount(name, file.system, "/srv/al", "/auto"),
            }
            carried = {each: "nolock" not in on[each]["options"] for each in on}
            told = []
            for each, holds in (("images", "disks"), ("locks", "lockspace")):
                number: int | None = 9
                if name == "u1" and asleep == each:
                    on[each] = mount(on[each]["point"], "autofs", "/etc/auto.direct", "direct")
                else:
                    number = 777_004 if each == "locks" else self.number_of(file.system, top)
                told.append(directory(on[each]["point"], on[each], holds, number))
            called = self.called()
            path = f"/srv/a/{last}"
            locks = self.rng.choice(("space", "direct", "none"))
            lock = {
                "space": Lock((space, path), carried["locks"], ("/srv/al", path)),
                "direct": Lock(file, carried["images"], ("", path)),
                "none": None,
            }[locks]
            made = guest(called, disk(path, inode=file.inode if self.maker.seen(0.5) else None))
            self.made.users.append(User(name, called, file, lock, backing=False))
            self.another(
                name,
                told if locks == "space" else told[:1],
                [made],
                qemu="" if lock is None else 'lock_manager = "lockd"\n',
                lockd='file_lockspace_dir = "/srv/al"\n' if locks == "space" else "",
            )

    def number_of(self, system: FileSystem, path: str) -> int | None:
        """The number of a directory of images, perhaps."""
        _, points = self.maker.hosts[0]
        place = next(each for each in points if each.system == system and each.path == path)
        return self.maker.number(place)

    def add_libxl(self) -> None:
        """Two hosts with guests of Xen, whose driver has files of its own, beside those of QEMU."""
        system = self.maker.files[0].system
        spaces = {"q": File(system, "/xq", 777_005), "x": File(system, "/xx", 777_006)}
        for name in ("y1", "y2"):
            points, told, _ = self.mounted(name)
            of = {"libxl": self.rng.choice("qx-"), "qemu": self.rng.choice("qqx-")}
            carried = {}
            for each in {*of.values()} - {"-"}:
                mounted = self.maker.mount(name, system, f"/srv/{each}", spaces[each].path)
                told.append(directory(f"/srv/{each}", mounted, "lockspace", spaces[each].inode))
                carried[each] = "nolock" not in mounted["options"]
            guests = []
            for driver in self.rng.sample(("libxl", "qemu"), self.rng.randrange(1, 3)):
                file, path = self.image_of(points)
                called = self.called()
                inode = file.inode if self.maker.seen(0.5) else None
                guests.append(guest(called, disk(path, inode=inode), driver=driver))
                where = of[driver]
                lock = (
                    Lock((spaces[where], path), carried[where], (f"/srv/{where}", path))
                    if where != "-"
                    else None
                )
                self.made.users.append(User(name, called, file, lock, backing=False))
            text = {
                driver: f'file_lockspace_dir = "/srv/{where}"\n' if where != "-" else ""
                for driver, where in of.items()
            }
            manager = {
                driver: 'lock_manager = "lockd"\n' if where != "-" else "#\n"
                for driver, where in of.items()
            }
            about = {"path": "/etc/libvirt/libxl-lockd.conf", "mode": "0600", "owner": "root"}
            self.another(
                name,
                told,
                guests,
                qemu=manager["qemu"],
                lockd=text["qemu"],
                libxl=manager["libxl"],
                **{"libxl-lockd.conf": {**about, "text": text["libxl"]}},
            )

    def add_drbd(self) -> None:
        """Resources of DRBD that two hosts have each; two may have one path. Clusters call them
        alike, and may give them the same addresses, each on a cable of its own."""
        alike = self.rng.random() < 0.3
        for number, it in self.each_host():
            cluster, side = divmod(number, 2)
            resource = self.rng.choice(("r0/0", "r0/0", "r0/1", "s/0"))
            thing = ("drbd", cluster, resource)
            port = 7788 + (resource == "s/0")
            ends = [f"10.6.{0 if alike else cluster}.{1 + end}:{port}" for end in (side, 1 - side)]
            told: Json = {"identity": f"drbd:{resource}", "drbd": {}}
            if alike or self.maker.seen():
                told["drbd"]["generations"] = [f"{cluster}{resource}", f"{cluster}{resource}{side}"]
            if self.maker.seen():
                told["drbd"]["links"] = [" ".join(ends)]
            if self.maker.version == 2 and self.maker.seen():
                below = {"type": "block", "path": "/dev/sdx", "wwid": f"naa.6d{number:014}"}
                told["chain"] = [below]
            self.by_kernel(number, it, ["/dev/drbd0", "/dev/drbd1"], thing, told)

    def add_parallel(self) -> None:
        """Images on Lustre, BeeGFS, virtiofs or 9p: the mounts of two file systems may look
        alike."""
        kind = self.rng.choice(("lustre", "beegfs", "virtiofs", "9p", "weka"))
        addresses = {"p": ("10.5.0.1", "10.5.0.2"), "q": ("10.5.0.3",)}
        for name in ("p1", "p2"):
            system = FileSystem(self.rng.choice("ppq"), kind, "", (), "")
            flock = self.rng.choice(("flock", "flock", "localflock"))
            if kind == "lustre":
                servers = addresses[system.name][self.rng.randrange(2) :] or addresses["q"]
                source = ":".join(f"{each}@tcp" for each in servers) + ":/fs"
                mounted = mount("/srv/p", "lustre", source, flock)
                carried = flock == "flock"
            else:
                mounted = mount("/srv/p", kind, {"beegfs": "beegfs_nodev"}.get(kind, "tag"))
                carried = kind == "beegfs"
            # Each file system gives its first directory the number that all of them give it.
            told = [directory("/srv/p", mounted, "disks", 2)]
            file = File(system, "/a", 880_000 + ord(system.name))
            called = self.called()
            made = guest(called, disk("/srv/p/a", inode=file.inode if self.maker.seen() else None))
            locks = self.rng.random() < 0.7
            lock = Lock(file, carried, ("", "/srv/p/a")) if locks else None
            self.made.users.append(User(name, called, file, lock, backing=False))
            qemu = 'lock_manager = "lockd"\n' if locks else ""
            self.another(name, told, [made], qemu=qemu, lockd="")

    def add_clone(self) -> None:
        """Two hosts that were cloned while they ran, with images of their own and shared ones."""
        for name in ("c1", "c2"):
            points, told, on = self.mounted(name)
            told.append(directory("/var/vms", mount("/", "ext4", "/dev/vda1"), "disks", 900_001))
            called = self.called()
            if self.rng.random() < 0.5:
                file, path = self.image_of(points)
                place = next(each for each in points if f"{points[each]}/" in f"{path}/")
                carried = "nolock" not in on[place]["options"]
            else:
                file = File(FileSystem(name, "ext4", "", (), ""), "/var/vms/a", 900_002)
                path, carried = file.path, False
            locks = self.rng.random() < 0.7
            lock = Lock(file, carried, ("", path)) if locks else None
            self.made.users.append(User(name, called, file, lock, backing=False))
            self.another(
                name,
                told,
                [guest(called, disk(path, inode=file.inode if self.maker.seen(0.5) else None))],
                qemu='lock_manager = "lockd"\n' if locks else "",
                lockd="",
                host={"boot_id": "11111111-1111-1111-1111-111111111111"},
            )

    def add_unlike(self) -> None:
        """Devices that have names of several types, of which each host shows one."""
        names = {
            "m": ({"wwid": "uuid.11-22"}, {"wwid": "eui.0025385000000aaa"}),
            "n": ({"wwid": "uuid.33-44"}, {"wwid": "eui.0025385000000bbb"}),
            "s": ({"wwid": "t10.X    1"}, {"wwid": f"naa.{'5' * 16}"}),
        }
        shown: dict[str, int] = {}
        for number, it in self.each_host():
            thing = self.rng.choice("mmns")
            # The programs of one host give all devices the first type of name that they know.
            told = names[thing][shown.setdefault(it.name, self.rng.randrange(2))]
            paths = ["/dev/nvme0n1", "/dev/nvme1n1"]
            self.by_kernel(number, it, paths, ("unlike", thing), told)
