"""Tells where a file is, and whether two hosts mean the same file.

A path means nothing to another host. One file system may have two names, and one name may mean two
file systems. So a :class:`Location` carries its identities, and :func:`relation` answers only what
is *shown*: one file, two files, or neither. What is not shown is unknown.
``docs/explanation/fleet-model.md`` has a table of what counts as evidence.

Pure: it turns mounts into places.
"""

from __future__ import annotations

import posixpath
from functools import lru_cache

from lockcfg.frozen import Frozen
from lockcfg.host.storage import LOCAL, Mount, carries_locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any, Final, Literal

    from lockcfg.fleet.model.words import Words
    from lockcfg.host.storage import Shared

    #: same: shown to be one file. likely: the numbers and names agree, and nothing else is known.
    #: unknown: neither is shown. different: shown to be two files.
    Relation = Literal["same", "likely", "unknown", "different"]


class Location(Frozen):
    """A directory, or the file called ``name`` in it.

    ``kind`` is the kind of file system (``nfs``, ``glusterfs``, ``ceph`` …; ``local`` for one that
    only this kernel has; empty if unknown). ``system`` is the name by which its hosts call the file
    system, empty if unknown; ``path`` is the path in it. ``ids`` are its identities, as
    ``what:value``. ``inode`` is the inode number of the directory, or None. ``local`` says that no
    other kernel has the file system; then ``system`` is empty unless the kernel is known.
    ``carries`` says whether locks on it reach the other hosts, and ``why`` gives the reason.
    """

    __slots__ = ("carries", "ids", "inode", "kind", "local", "name", "path", "system", "why")

    def __init__(
        self,
        system: str,
        path: str,
        inode: int | None,
        carries: Shared,
        why: str,
        *,
        local: bool = False,
        kind: str = "",
        ids: Sequence[str] = (),
        name: str = "",
    ) -> None:
        self.system: Final = system
        self.path: Final = path
        self.inode: Final = inode
        self.carries: Final = carries
        self.why: Final = why
        self.local: Final = local
        self.kind: Final = kind or (system.partition("://")[0] if "://" in system else "")
        self.ids: Final = tuple(ids)
        self.name: Final = name

    @property
    def shown(self) -> str:
        """The place in words."""
        path = posixpath.join(self.path, self.name) if self.name else self.path
        return f"{self.system}:{path}" if self.system else path

    def below(self, name: str) -> Location:
        """The file called ``name`` in this directory."""
        return self.replace(name=name)

    @property
    def probed(self) -> str:
        """What a probe showed about the locks here: yes, no, or unknown; empty if there was no
        probe."""
        return min((each.rpartition("/")[2] for each in _values(self, "reach")), default="")

    @property
    def proven(self) -> bool:
        """Whether another host that calls a directory by the same names means this one."""
        return relation(self, self) == "same"

    def same(self, other: Location) -> bool:
        """Whether the two are shown to be one file."""
        return relation(self, other) == "same"


def relation(
    one: Location,
    other: Location,
    *,
    taken_for_one: Collection[frozenset[str]] = (),
    words: Words | None = None,
) -> Relation:
    """Whether two places are the same file. ``words`` is what the policy says about places.

    ``taken_for_one`` are pairs of systems that are assumed to be one server: if two disks are
    compared on the assumption that they are the same, so are the servers that they are on.
    """
    if one.name != other.name and not (
        one.kind == other.kind == "cifs" and one.name.lower() == other.name.lower()
    ):
        return "different"  # the directories do not count: two names of one file are hard links
    shown = _by_probe(one, other)
    if shown is not None:
        return shown
    said = words.about(one.shown, other.shown) if words is not None else None
    if said is not None:
        found = relation(one, other, taken_for_one=taken_for_one)
        return "unknown" if contradicts(said, found, one, other) else said
    if one.local and other.local:
        return _of_kernels(one, other)
    if not one.kind or not other.kind:
        return _by_numbers(one, other, proof=False)
    if one.local or other.local:
        return _of_server_and_client(one, other)
    if one.kind != other.kind:
        # One server may export a directory by NFS and by CIFS, or export GlusterFS by NFS.
        return _by_numbers(one, other)
    systems = _systems(one, other, taken_for_one)
    if systems == "different":
        return "different"
    if systems == "unknown":
        return _by_numbers(one, other)
    if _snapshot_of(one) != _snapshot_of(other):
        return "different"  # the files of a snapshot have the numbers of the live ones
    if one.path == other.path:
        if systems == "server" and one.kind in _NAMED_BY_NODE and None in (one.inode, other.inode):
            return "unknown"  # each host means another device by that name
        return "different" if _differ(one, other) else "same"
    if one.inode is None or other.inode is None:
        # An export may have other names: a bind mount, the root of NFSv4. A directory below one
        # export has not.
        exports = _values(one, "export"), _values(other, "export")
        return "unknown" if one.kind == "nfs" and exports[0] != exports[1] else "different"
    if one.inode != other.inode:
        return "different"
    if _is_export_of_both(one, other):
        return "unknown"  # subvolumes of Btrfs have one FSID there, and each counts for itself
    if systems == "file system":
        return "same"
    if is_telling(one.inode) and posixpath.basename(one.path) == posixpath.basename(other.path):
        return "same"
    return "unknown"


def contradicts(said: Relation, shown: Relation, one: Location, other: Location) -> bool:
    """Whether what a person says of two places is the opposite of what the hosts show. Of a local
    file system no host shows anything to another."""
    if one.local or other.local or not (one.kind and other.kind):
        return False
    return {said, shown} == {"same", "different"}


def _by_probe(one: Location, other: Location) -> Relation | None:
    """The relation that a probe showed (:mod:`lockcfg.fleet.model.evidence`): one scratch file, or
    two."""
    mine = dict(each.split("/", 1) for each in _values(one, "nonce"))
    yours = dict(each.split("/", 1) for each in _values(other, "nonce"))
    for each in sorted(mine.keys() & yours.keys()):
        return "same" if mine[each] == yours[each] else "different"
    return None


def reach_by_probe(one: Location, other: Location) -> Shared:
    """Whether a probe showed that the locks on two names of one file exclude each other."""
    if _by_probe(one, other) != "same":
        return "unknown"
    reaches = _values(one, "reach") | _values(other, "reach")
    found = {each.rpartition("/")[2] for each in reaches}
    return "no" if "no" in found else "unknown" if "unknown" in found else "yes"


def _of_kernels(one: Location, other: Location) -> Relation:
    """The relation of two places that are each on a file system of one kernel."""
    if not one.system or one.system != other.system:
        return "different"
    return "same" if one.path == other.path and not _differ(one, other) else "different"


def _of_server_and_client(one: Location, other: Location) -> Relation:
    """The relation of a place on a local file system and one on a network file system: the host may
    be the server."""
    network = other if one.local else one
    if network.kind not in _EXPORTS:
        return "different"
    served = fsids_of(next(iter(_values(one if one.local else other, "uuid")), ""))
    for what in ("fsid4", "fsid3"):
        told = _values(network, what)
        if served and told and all(map(_is_long, told)):
            if served[what] not in told:
                return "different"
            if None not in (one.inode, other.inode):
                return "same" if one.inode == other.inode else "different"
    return _by_numbers(one, other)


def fsids_of(uuid: str) -> dict[str, str]:
    """The ids that Linux's NFS server gives a file system with a UUID, in version 4 and in version
    3, as its clients show them in ``/proc/fs/nfsfs/volumes``; none if it is not a UUID.

    Version 4 sends the UUID as it is. Version 3 folds its halves into one, in the byte order of the
    server; this function assumes that all servers have the usual byte order.
    """
    digits = uuid.replace("-", "").lower()
    if len(digits) != 32 or not set(digits) <= set("0123456789abcdef"):
        return {}
    whole = bytes.fromhex(digits)
    folded = int.from_bytes(whole[:8], "little") ^ int.from_bytes(whole[8:], "little")
    first, second = int(digits[:16], 16), int(digits[16:], 16)
    return {"fsid4": f"{first:x}:{second:x}", "fsid3": f"{folded:x}:0"}


def _snapshot_of(place: Location) -> str:
    """The snapshot of CephFS that a place is in, with what is above it; empty if it is in none."""
    above, inside, below = f"{place.path}/".partition("/.snap/")
    return f"{above}/{below.partition('/')[0]}" if inside and place.kind == "ceph" else ""


def _is_export_of_both(one: Location, other: Location) -> bool:
    """Whether two places are below one export of NFS."""
    return one.kind == "nfs" and bool(_values(one, "export") & _values(other, "export"))


def _is_long(value: str) -> bool:
    """Whether an identity is unique. Short identities of NFS are device numbers or ids from the
    exports file, and two servers may have the same ones."""
    return len(value) > 10


def _systems(
    one: Location, other: Location, taken_for_one: Collection[frozenset[str]]
) -> Literal["file system", "server", "different", "unknown"]:
    """Whether two places of one kind are on one file system, or at least on one server."""
    shown = False
    halves = False
    for what in _PROOFS.get(one.kind, ()):
        mine, yours = _values(one, what), _values(other, what)
        if not mine or not yours:
            # One mount names a file system of the cluster, and the other has the default.
            halves |= what in _PARTS and bool(mine or yours)
        elif mine & yours:
            if what.startswith("fsid"):
                shown |= any(map(_is_long, mine & yours))
            else:
                shown |= what not in _PARTS
        elif what.startswith("fsid") and not all(map(_is_long, mine | yours)):
            # The id is from the exports file, and another export of the same directory may lack it.
            continue
        elif what not in _ONE_OF_MANY:
            return "different"
    if halves or "unnamed:" in {*one.ids, *other.ids}:
        return "unknown"
    if shown or _is_in_both_versions(one, other) or _is_in_both_versions(other, one):
        return "file system"
    if is_of_each_host(one.system):
        return "unknown"
    if one.kind in _NAMED_BY_NODE:
        # A device has another name on each host, but every host that mounts it is in its cluster.
        return "server" if one.system == other.system else "unknown"
    if one.system == other.system:
        if one.kind in _NAMES_PROVE:
            return "server" if one.kind == "nfs" else "file system"
        return "unknown"
    # An address of NFS stands for one server. A name of GlusterFS without a server stands for any
    # volume of that name.
    if one.kind == "nfs" and frozenset((one.system, other.system)) in taken_for_one:
        return "server"
    return "unknown"


def _is_in_both_versions(one: Location, other: Location) -> bool:
    """Whether one FSID of NFS is that of version 3 for the other, which is that of version 4, from
    a server of Linux's."""
    for told in _values(one, "fsid4"):
        first, _, second = told.partition(":")
        if _is_long(told) and len(first) <= 16 and len(second) <= 16:
            folded = fsids_of(f"{first:>016}{second:>016}").get("fsid3")
            if folded in _values(other, "fsid3"):
                return True
    return False


def is_of_each_host(system: str) -> bool:
    """Whether the name of a system is one that each host has for itself, such as ``localhost``, so
    that on two hosts it shows nothing."""
    _, _, rest = system.partition("://")
    return is_loopback(rest if rest.startswith("fe80:") else rest.partition("/")[0])


def is_loopback(address: str) -> bool:
    """Whether each host means itself, or its own network, by an address; a port may follow."""
    name = address.lower().partition("%")[0].strip("[]")
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name in ("localhost", "::1", "[::1") or name.startswith(
        ("127.", "localhost.", "localhost4", "localhost6", "fe80:", "169.254.", "::1]", "[::1]")
    )


#: The identities of a file system, for each kind: different values show two file systems, equal
#: values show one.
_PROOFS: Final = {
    "nfs": ("fsid4", "fsid3", "fsid"),
    "glusterfs": ("volume-id", "volume", "server"),
    "ceph": ("cluster", "monitor", "filesystem"),
    "gfs2": ("uuid", "table"),
    "ocfs2": ("uuid",),
    "lustre": ("server",),
    "cifs": ("share",),
    "gpfs": ("uuid",),
    "beegfs": ("uuid",),
}

#: A file system has several of these identities, and a host knows some of them: different values
#: prove nothing.
_ONE_OF_MANY: Final = ("server", "monitor", "share", "fsid")

#: Two file systems may have the same value of these identities: equal values prove nothing.
_PARTS: Final = ("volume", "filesystem")

#: Kinds in which the source of a mount names the same file system on all hosts.
_NAMES_PROVE: Final = ("nfs", "glusterfs", "lustre", "cifs")

#: Kinds that many hosts mount at once, by a device.
_NAMED_BY_NODE: Final = ("gfs2", "ocfs2")

#: Kinds by which a host exports its local file systems to others.
_EXPORTS: Final = ("nfs", "cifs", "virtiofs")


def _by_numbers(one: Location, other: Location, *, proof: bool = True) -> Relation:
    """The relation of two places whose systems show nothing. Different inode numbers show two
    directories (``proof``), unless something is mounted over one of them. The same number and the
    same name are likely the same directory."""
    if one.inode is None or other.inode is None:
        return "unknown"
    if one.inode != other.inode:
        return "different" if proof else "unknown"
    alike = posixpath.basename(one.path) == posixpath.basename(other.path)
    return "likely" if alike and is_telling(one.inode) else "unknown"


def _differ(one: Location, other: Location) -> bool:
    return None not in (one.inode, other.inode) and one.inode != other.inode


#: The inode numbers that new file systems give their first directories and files: an equal number
#: is not evidence there. ext4 2, 11 to 13; XFS 64, 96, and the 64 from 128 on; Btrfs 256 and what
#: follows; ZFS 2 to 34; GlusterFS 1; CephFS 2**40 and what follows.
_COMMON: Final = frozenset((*range(35), 64, 96, *range(128, 192), *range(256, 320)))
_CEPH_FIRST: Final = range(1 << 40, (1 << 40) + 1000)

#: ext4 and XFS begin again in each group of blocks: the numbers there are a multiple of this and a
#: little more. The groups that the first directories get are the same in new file systems of XFS,
#: and often in those of ext4.
_GROUP: Final = 8192
_FIRST_IN_GROUP: Final = 192


def is_telling(inode: int) -> bool:
    """Whether an inode number is not one of those that every new file system uses."""
    new = inode in _COMMON if inode < _GROUP else inode % _GROUP < _FIRST_IN_GROUP
    return not new and inode not in _CEPH_FIRST


def _values(place: Location, what: str) -> frozenset[str]:
    prefix = f"{what}:"
    return frozenset(each[len(prefix) :] for each in place.ids if each.startswith(prefix))


def place_of(
    resolved: str,
    mount: Mapping[str, Any] | None,
    inode: int | None,
    *,
    device: str = "",
    kernel: str = "",
) -> Location:
    """The place of ``resolved``, an absolute path without links, on ``mount``, a mount of a
    snapshot. Its ``device`` and the ``kernel``, by its boot id, identify a local file system;
    without a boot id, the place is comparable only within the host."""
    if mount is None:
        return Location(
            "", resolved, inode, "unknown", "a file system that the snapshot does not name"
        )
    if not has_numbers(mount["type"], mount["options"]) or (
        inode == 1 and mount["type"].startswith("fuse")
    ):
        inode = None  # the root of any mount of FUSE has 1, and what is mounted may be below a root
    if mount["type"] in _PLACEHOLDERS:
        why = f"{mount['type']}, which stands for what is mounted there when it is used"
        return Location("", resolved, None, "unknown", why)
    return _place_on(
        resolved,
        Mount(mount["point"], mount["type"], mount["source"], frozenset(mount["options"])),
        mount["root"],
        tuple(mount.get("ids", ())),
        inode,
        device,
        kernel,
    )


# Most hosts of a fleet have the same mounts.
@lru_cache(1000)
def _place_on(
    resolved: str,
    mount: Mount,
    root: str,
    told: tuple[str, ...],
    inode: int | None,
    device: str,
    kernel: str,
) -> Location:
    carries, why = carries_locks(mount)
    inside = posixpath.relpath(resolved, mount.point) if resolved != mount.point else "."
    path = posixpath.normpath(posixpath.join("/", root.lstrip("/"), inside))
    named = _shared_name(mount.type, mount.source, mount.options, inode, told)
    if named is None:
        system = f"{kernel}/{device}" if kernel else ""
        return Location(
            system, path, inode, carries, why, local=carries == "no", kind="local", ids=told
        )
    system, export, ids = named
    path = posixpath.normpath(f"/{export}/{path}").replace("//", "/")
    return Location(system, path, inode, carries, why, ids=sorted({*ids, *told}))


def has_numbers(kind: str, options: Collection[str]) -> bool:
    """Whether the inode numbers on a mount of that type are those of the server, or of the file
    system itself. A client that makes them up gives one file another number on each host."""
    if kind in ("cifs", "smb3"):
        return "serverino" in options
    return kind in _NUMBERED or kind in LOCAL or kind in _PLACEHOLDERS


#: The types of network file systems of which clients show the inode numbers.
_NUMBERED: Final = frozenset(
    (
        *("nfs", "nfs4", "fuse.glusterfs", "ceph", "fuse.ceph-fuse", "gfs2", "ocfs2", "lustre"),
        *("gpfs", "beegfs", "virtiofs", "fuse.mfs"),
    )
)

#: The ports of NFS that mean the usual one, as mountinfo has it.
_NFS_PORTS: Final = ("", "0", "2049")

#: The types of automount points, where the kernel mounts another file system on access.
_PLACEHOLDERS: Final = ("autofs",)


def _shared_name(
    kind: str, source: str, options: frozenset[str], inode: int | None, told: Sequence[str]
) -> tuple[str, str, list[str]] | None:
    """The name of a file system that is the same on all hosts, its mounted directory, and its
    identities; None for a file system that only one host has."""
    if kind in ("nfs", "nfs4"):
        server, export = _server(source)
        # One server may have several names, and one name may mean several servers. The address is
        # the server that the host talks to, and behind another port may be another one.
        server = _option(options, "addr") or server
        port = _option(options, "port")
        if port not in _NFS_PORTS:
            server = f"[{server}]:{port}" if ":" in server else f"{server}:{port}"
        return f"nfs://{server}", export, [f"export:{export}"]
    if kind == "fuse.glusterfs":
        server, volume = _server(source)
        name, _, export = volume.strip("/").partition("/")
        if not name:
            # The client has the volume's graph from a file of its own: it names no volume.
            ids = [each.partition(":")[2] for each in told if each.startswith("volume-id:")]
            return f"glusterfs://{ids[0] if ids else source}", "", [] if ids else ["unnamed:"]
        ids = [f"volume:{name}", *([] if is_loopback(server) else [f"server:{server}"])]
        if inode is not None and inode > 1:
            # A mount may name any server of the pool. The inode numbers of GlusterFS are random, so
            # they tell volumes apart; only the root of a volume always has 1.
            return f"glusterfs://{name}", export, ids
        return f"glusterfs://{server}/{name}", export, ids
    if kind in ("ceph", "fuse.ceph-fuse"):
        return _ceph(source, options, told)
    if kind in ("cifs", "smb3"):
        server, _, share = source.strip("/").partition("/")
        name, _, export = share.partition("/")
        address = _option(options, "addr") or server.lower()
        return f"cifs://{server.lower()}/{name}", export, [f"share:{address}/{name.lower()}"]
    if kind == "gfs2":
        table = _option(options, "locktable")
        return f"gfs2://{source}", "", [f"table:{table}"] if table else []
    if kind == "lustre":
        servers, _, tail = source.partition(":/")
        return f"lustre://{source}", "", [f"server:{each}/{tail}" for each in servers.split(":")]
    if kind in LOCAL:
        return None
    return f"{kind[5:] if kind.startswith('fuse.') else kind}://{source}", "", []


def _ceph(source: str, options: frozenset[str], told: Sequence[str]) -> tuple[str, str, list[str]]:
    """CephFS, in both syntaxes: ``monitors:/path`` and ``user@cluster.filesystem=/path``. A cluster
    has many monitors, and a host names some of them, so they do not name the file system."""
    head, _, export = source.partition("=/" if "@" in source else ":/")
    ids: list[str] = []
    if "@" in source:
        cluster, _, name = head.partition("@")[2].partition(".")
        monitors = _option(options, "mon_addr").replace("/", ",")
        ids += [f"cluster:{cluster.lower()}"] if cluster else []
    else:
        monitors = head if source != "ceph-fuse" else ""
        name = _option(options, "mds_namespace") or _option(options, "fs")
    of_client = [each.partition(":")[2] for each in told if each.startswith("filesystem:")]
    if of_client:
        name = of_client[0]
    elif source == "ceph-fuse":
        # Its configuration or its command line names one, or there is but one.
        ids.append("unnamed:")
    elif name:
        # A mount that names no file system has the default one, whose name is unknown.
        ids.append(f"filesystem:{name}")
    if source == "ceph-fuse":
        # What is mounted is no part of the source.
        export = min(
            (each.partition(":")[2] for each in told if each.startswith("root:")), default=""
        )
    ids += [f"monitor:{each}" for each in monitors.split(",") if each and not is_loopback(each)]
    clusters = [each for each in (*ids, *told) if each.startswith("cluster:")]
    system = clusters[0].partition(":")[2] if clusters else ",".join(sorted(monitors.split(",")))
    return f"ceph://{system}{f'/{name}' if name else ''}", export, ids


def _option(options: frozenset[str], name: str) -> str:
    """The value of a mount option, or an empty string."""
    prefix = f"{name}="
    return min((each[len(prefix) :] for each in options if each.startswith(prefix)), default="")


def _server(source: str) -> tuple[str, str]:
    """The server, and the rest after it. An IPv6 address has colons of its own, in brackets."""
    head, separator, tail = source.partition(":/")
    return head.strip("[]").lower(), tail if separator else ""
