"""Works out how a host gets a lockspace to the place that the policy wants: what to mount, and
where not to.

A mount hides what is below it. So a plan mounts nothing over a file system in use: not over a
guest's disks or leases, nor over a mount that other directories are on. Pure.
"""

from __future__ import annotations

import posixpath
import shlex

from lockcfg.fleet.plan.steps import Work
from lockcfg.frozen import Frozen
from lockcfg.host.storage import NFS_LOCKS_STAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell
    from lockcfg.fleet.model.facts import Directory, Facts


class Mounting(Frozen):
    """How to bring ``path`` of a host to the wanted place. ``why`` says why only a person can do
    it, or is empty. If it is empty, a mount of ``source`` at ``point`` makes that ``place``.
    ``replaces`` tells that it replaces another mount. ``used`` tells that locks are there now, so
    the mount takes effect at once."""

    __slots__ = ("options", "path", "place", "point", "replaces", "source", "type", "used", "why")

    def __init__(
        self,
        path: str,
        place: str,
        *,
        point: str = "",
        source: str = "",
        type: str = "",
        options: Sequence[str] = (),
        replaces: bool = False,
        used: bool = False,
        why: str = "",
    ) -> None:
        self.path: Final = path
        self.place: Final = place
        self.point: Final = point
        self.source: Final = source
        self.type: Final = type
        self.options: Final = tuple(options)
        self.replaces: Final = replaces
        self.used: Final = used
        self.why: Final = why

    @property
    def shown(self) -> str:
        """The mount in one line."""
        if self.why:
            return f"{self.path} is to be {self.place}: {self.why}"
        instead = ", instead of what is mounted there" if self.replaces else ""
        return f"at {self.point}: {self.source} ({self.type}){instead}"

    def work(self, hosts: Sequence[str]) -> Work:
        """The work for it: it writes a lasting mount into fstab(5), and mounts it from there."""
        point = shlex.quote(self.point)
        fields = [
            _for_fstab(each)
            for each in (self.source, self.point, self.type, ",".join(self.options))
        ]
        quoted = shlex.quote(" ".join((*fields, "0", "0")))
        if self.replaces:
            # The line of the earlier mount goes, and stays in fstab.bak.
            others = f"""point={shlex.quote(fields[1])} awk '/^#/ || $2 != ENVIRON["point"]'"""
            first = [
                f"umount {point}",
                "cp -p /etc/fstab /etc/fstab.bak",
                f"{others} /etc/fstab.bak >/etc/fstab",
            ]
        else:
            first = [f"! mountpoint -q {point}", f"mkdir -p {point}"]
            if not self.used:
                first.append(f'test -z "$(ls -A {point})"')
        return Work(
            "mount",
            hosts,
            [
                *first,
                f"grep -qxF {quoted} /etc/fstab || echo {quoted} >>/etc/fstab",
                f"mount {point}",
            ],
            {
                "path": self.point,
                "place": self.place,
                "source": self.source,
                "type": self.type,
                "options": list(self.options),
                "unmount": self.replaces,
            },
        )


def place_at(facts: Facts, path: str) -> str | None:
    """The place of a directory of a host, or its place if it existed; None if unknown."""
    for directory in _known(facts):
        if directory.path == path and directory.state in ("there", "missing"):
            return directory.place.shown if directory.place.system else None
    nearest = on_mount_of(facts, path)
    if nearest is None:
        return None
    assert nearest.mounted is not None
    inside = posixpath.relpath(path, point_of(nearest))
    within = posixpath.normpath(posixpath.join(nearest.mounted.path or "/", inside))
    # The directory's own name of the file system: the name of its root has no inode number.
    return nearest.place.replace(path=within).shown


def on_mount_of(facts: Facts, path: str) -> Directory | None:
    """A directory that tells of the mount that a path is on, at which the collector did not look;
    None if no mount is known above it. A local file system tells nothing, as something else may be
    mounted anywhere on it."""
    above = [each for each in _known(facts) if _is_in(path, point_of(each)) and each.mounted]
    return max(above, key=lambda each: len(point_of(each)), default=None)


def to_make(facts: Facts, path: str, others: Iterable[Facts]) -> str | None:
    """The mount point below which ``path`` may have to be made: it is on a mount, the collector did
    not look at it, and no other host sees it there. Else None."""
    nearest = on_mount_of(facts, path)
    if nearest is None or any(each.path == path for each in _known(facts)):
        return None
    place = place_at(facts, path)
    is_there = any(
        each.state == "there" and each.place.shown == place
        for other in others
        for each in _known(other)
    )
    return None if is_there else point_of(nearest)


def is_muted(directory: Directory) -> bool:
    """Whether a mount of NFS keeps locks on the host by an option."""
    return directory.type == "nfs" and not set(NFS_LOCKS_STAY).isdisjoint(directory.options)


def unmuted(directory: Directory) -> list[str]:
    """The options of a mount without those."""
    stay = NFS_LOCKS_STAY if is_muted(directory) else ()
    return [each for each in directory.options if each not in stay]


def mounting_of(cell: Cell, cells: Iterable[Cell], path: str, place: str) -> Mounting:
    """How a host gets ``path`` to ``place``, as another host of its group has it."""
    facts = cell.facts
    known = list(_known(facts))
    used = any(path == each.path for each in facts.spaces)
    models = [
        each
        for other in cells
        for each in _known(other.facts)
        if each.place.shown == place and each.state == "there" and each.mounted and each.source
        if each.type != "fuse.ceph-fuse" or _of_ceph_client(each)
    ]
    if not models:
        return Mounting(path, place, why="no host of the group has it mounted to show how")
    model = min(
        models, key=lambda each: (is_muted(each), each.path != path, each.source, each.path)
    )
    assert model.mounted is not None
    inside = _inside(model)
    kind, options = _TYPES.get(model.type, model.type), _worth(model)
    point = path if inside == "." else path[: -len(inside) - 1]
    serving = _serving(facts)
    if path == posixpath.normpath(posixpath.join(point, inside)):
        # As the other host has it: with everything on that file system.
        on = [each for each in known if _is_in(each.path, point)]
        mounted = any(each.mounted and point_of(each) == point for each in on)
        local = all(each.mounted is None for each in on)
        if not any(_is_in(each, point) for each in serving) and (local or mounted):
            return Mounting(
                path,
                model.mounted.shown,
                point=point,
                source=model.source,
                type=kind,
                options=options,
                replaces=mounted,
                used=any(_is_in(each.path, point) for each in facts.spaces),
            )
    below = [each for each in known if _is_in(each.path, path) and each.path != path]
    if any(_is_in(each, path) for each in serving):
        why = "disks or leases of guests are there, and a plan mounts nothing over these"
    elif below:
        why = f"{below[0].path} is in use below it, and a plan mounts nothing over that"
    elif any(point_of(each) == path for each in known):
        why = "something else is mounted there"
    elif model.type not in _WITH_PATHS:
        why = f"{kind} cannot be mounted from a directory within it"
    else:
        source = model.source if inside == "." else f"{model.source.rstrip('/')}/{inside}"
        return Mounting(
            path, place, point=path, source=source, type=kind, options=options, used=used
        )
    return Mounting(path, place, why=why)


def point_of(directory: Directory) -> str:
    """The mount point of the file system that a directory is on; empty if unknown."""
    inside = _inside(directory)
    if inside == ".":
        return directory.path
    return directory.path[: -len(inside) - 1] if directory.path.endswith(f"/{inside}") else ""


def _inside(directory: Directory) -> str:
    """The path of a directory within its mount."""
    if directory.mounted is None:
        return "."
    return posixpath.relpath(directory.place.path or "/", directory.mounted.path or "/")


def _known(facts: Facts) -> Iterator[Directory]:
    yield from (*facts.spaces, *facts.spare, *facts.storages, *facts.leases)


def _serving(facts: Facts) -> list[str]:
    """The directories that guests use."""
    return [each.path for each in (*facts.storages, *facts.leases)]


def _is_in(path: str, directory: str) -> bool:
    """Whether a path is a directory, or is below it."""
    return bool(directory) and f"{path}/".startswith(f"{directory.rstrip('/')}/")


#: The names of mount(8) for types that the kernel calls differently.
_TYPES: Final = {"fuse.glusterfs": "glusterfs", "fuse.ceph-fuse": "fuse.ceph"}

#: Kinds of which a mount can name a directory by a path after the source.
_WITH_PATHS: Final = ("nfs", "nfs4", "fuse.glusterfs", "ceph", "cifs", "smb3")

#: The options that a person chooses. The kernel also shows options that it has found out by itself,
#: and some that mount(8) refuses.
_WORTH: Final = frozenset(
    (
        *("vers", "nfsvers", "minorversion", "proto", "port", "sec", "hard", "soft", "timeo"),
        *("retrans", "nolock", "local_lock", "lookupcache", "noac", "actimeo", "acregmin"),
        *("acregmax", "acdirmin", "acdirmax", "ro", "noexec", "nosuid", "nodev", "noatime"),
        *("attribute-timeout", "entry-timeout", "negative-timeout", "direct-io-mode"),
        *("fs", "mds_namespace", "name", "mon_addr", "locktable", "lockproto", "errors"),
    )
)


def _worth(directory: Directory) -> list[str]:
    """The options of a mount to write into fstab(5), with ``_netdev`` for a file system that needs
    the network."""
    found = [each for each in unmuted(directory) if each.partition("=")[0] in _WORTH]
    return [*sorted(found), *_of_ceph_client(directory), "_netdev"]


def _of_ceph_client(directory: Directory) -> list[str]:
    """The options that say which file system of a cluster ceph-fuse mounts, and which directory of
    it; none if it is unknown. They are words of a shell command there."""
    told = dict(each.partition(":")[::2] for each in directory.place.ids)
    options = {"client_fs": told.get("filesystem", ""), "client_mountpoint": told.get("root", "")}
    if directory.type != "fuse.ceph-fuse" or not all(map(_is_plain, options.values())):
        return []
    return [f"ceph.{name}={value}" for name, value in options.items()]


def _is_plain(text: str) -> bool:
    return bool(text) and "," not in text and shlex.quote(text) == text


def _for_fstab(field: str) -> str:
    """A field in the syntax of fstab(5)."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in field)
