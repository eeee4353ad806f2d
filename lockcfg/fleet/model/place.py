"""Where a file is, as every host that reaches it knows it.

A path says nothing to another host. Two hosts have the same file if they reach the same file
system and the same path in it, and that a mount tells: of NFS the server, what it exports, and
what of that is mounted. The inode number, which the server gives, is the proof of it: where two
hosts see two numbers behind one name, it is two files.

Pure: mounts go in, places come out.
"""

from __future__ import annotations

import posixpath

from lockcfg.frozen import Frozen
from lockcfg.host.storage import Mount, carries_locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from lockcfg.host.storage import Shared


class Place(Frozen):
    """A directory or file.

    ``system`` names the file system as all its hosts know it, empty where nobody can tell; ``path``
    is the path in it; ``inode`` the number there, or None: of a file that comes and goes, as lock
    files do, that of its directory. ``local`` is whether no other kernel
    has the file system; then ``system`` is empty but where the kernel was given. ``carries``
    says whether locks on it reach the other hosts, ``why`` the reason.
    """

    __slots__ = ("carries", "inode", "local", "path", "system", "why")

    def __init__(
        self,
        system: str,
        path: str,
        inode: int | None,
        carries: Shared,
        why: str,
        *,
        local: bool = False,
    ) -> None:
        self.system: Final = system
        self.path: Final = path
        self.inode: Final = inode
        self.carries: Final = carries
        self.why: Final = why
        self.local: Final = local

    @property
    def shown(self) -> str:
        """The place in words."""
        return f"{self.system}:{self.path}" if self.system else self.path

    def below(self, name: str) -> Place:
        """A file called ``name`` in this directory."""
        path = posixpath.join(self.path, name)
        return Place(self.system, path, self.inode, self.carries, self.why, local=self.local)

    def same(self, other: Place) -> bool:
        """Whether the two are known to be one file: the same name on the same file system,
        and no two numbers behind it."""
        if not self.system or (self.system, self.path) != (other.system, other.path):
            return False
        return None in (self.inode, other.inode) or self.inode == other.inode

    def may_be(self, other: Place) -> bool:
        """Whether the two may be one file though their names differ: a server whose export is the
        root of NFSv4 (``fsid=0``) calls the same file otherwise in NFSv3, by its whole path."""
        if self.system != other.system or not self.system.startswith("nfs://"):
            return False
        short, long = sorted((self.path, other.path), key=len)
        if short == long or self.inode is None or self.inode != other.inode:
            return False
        return long.endswith(short.rstrip("/"))


def place_of(
    resolved: str,
    mount: Mapping[str, Any] | None,
    inode: int | None,
    *,
    device: str = "",
    kernel: str = "",
) -> Place:
    """The place of the absolute path ``resolved``, without links, on ``mount``, which is that of a
    snapshot. A local file system is known by its ``device`` on the ``kernel``, which its
    boot id names; without that it is nobody's but the host's."""
    if mount is None:
        return Place(
            "", resolved, inode, "unknown", "a file system that the snapshot does not name"
        )
    options = frozenset(mount["options"])
    carries, why = carries_locks(Mount(mount["point"], mount["type"], mount["source"], options))
    inside = posixpath.relpath(resolved, mount["point"]) if resolved != mount["point"] else "."
    path = posixpath.normpath(posixpath.join("/", mount["root"].lstrip("/"), inside))
    named = _shared_name(mount["type"], mount["source"], options, inode)
    if named is None:
        system = f"{kernel}/{device}" if kernel else ""
        return Place(system, path, inode, carries, why, local=carries == "no")
    system, export = named
    return Place(
        system, posixpath.normpath(f"/{export}/{path}").replace("//", "/"), inode, carries, why
    )


def _shared_name(
    kind: str, source: str, options: frozenset[str], inode: int | None
) -> tuple[str, str] | None:
    """What all hosts call a file system, and the directory of it that is mounted; None for
    a file system that only one host has."""
    if kind in ("nfs", "nfs4"):
        server, export = _server(source)
        # One server has several names, and one name means several servers: the address is what
        # the host talks to.
        address = next((o[5:] for o in options if o.startswith("addr=")), server)
        return f"nfs://{address}", export
    if kind == "fuse.glusterfs":
        server, volume = _server(source)
        name, _, export = volume.strip("/").partition("/")
        # Any server of the pool may be named, and the numbers of gluster are random: they tell
        # which volume it is, but that of its root, which is 1.
        return f"glusterfs://{name if inode and inode > 1 else f'{server}/{name}'}", export
    if kind in ("ceph", "fuse.ceph-fuse"):
        monitors, _, export = source.partition(":/")
        return f"ceph://{','.join(sorted(monitors.split(',')))}", export
    if kind in ("cifs", "smb3"):
        server, _, share = source.strip("/").partition("/")
        return f"cifs://{server.lower()}/{share.partition('/')[0]}", share.partition("/")[2]
    if kind in ("gfs2", "ocfs2", "virtiofs", "lustre", "gpfs", "beegfs"):
        return f"{kind}://{source}", ""
    if kind.startswith("fuse.") and kind not in _LOCAL_FUSE:
        return f"{kind[5:]}://{source}", ""
    return None


#: File systems of FUSE that one host has for itself.
_LOCAL_FUSE: Final = ("fuse.sshfs", "fuse.lxcfs", "fuse.fuse-overlayfs", "fuse.gvfsd-fuse")


def _server(source: str) -> tuple[str, str]:
    """The server and what is behind it. An IPv6 address has colons of its own, in brackets."""
    head, separator, tail = source.partition(":/")
    return head.strip("[]").lower(), tail if separator else ""
