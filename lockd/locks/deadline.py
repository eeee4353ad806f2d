"""How long a server may be silent before it gives this host's locks to another host.

An NFSv4 server does so when the lease has run out, which every request renews; before version 4.1
most do not, but the client renews it when two thirds have passed. GlusterFS does so 42 seconds
after the connection was cut, CephFS after 60 at the earliest, by default. An NFSv3 server never
does.

A guest must have stopped before that. So it is stopped some time earlier.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockcfg import Mount

#: Where the kernel tells of the leases of NFSv4.
MOUNTSTATS: Final = "/proc/self/mountstats"

#: How long it takes to see the silence and to stop a guest, in seconds, and the part of the time
#: that is kept back for clocks that do not run alike.
_RESERVE: Final = 2.5
_DRIFT: Final = 0.05

#: The time for file systems that do not tell it, in seconds, and for unknown ones.
_TIMES: Final = {"fuse.glusterfs": 42.0, "ceph": 60.0, "fuse.ceph-fuse": 60.0, "fuse.ceph": 60.0}
_UNKNOWN: Final = 30.0

#: The shortest lease that can be kept, and the one to assume if the server does not tell it.
_LEASE: Final = 90.0
_LEAST: Final = 1.0


def deadline(mount: Mount, leases: Mapping[str, float]) -> float | None:
    """After how many seconds without an answer the guests with locks on a mounted file system have
    to stop; None if its server waits without limit. ``leases`` are those of NFSv4, in seconds,
    by mount point."""
    if mount.type == "nfs":
        return None
    if mount.type == "nfs4":
        lease = leases.get(mount.point, _LEASE)
        renewed = lease / 3 if "vers=4.0" in mount.options else lease
        return _early(renewed)
    return _early(_TIMES.get(mount.type, _UNKNOWN))


def _early(seconds: float) -> float:
    return max(_LEAST, seconds * (1 - _DRIFT) - _RESERVE)


def leases_in(text: str) -> dict[str, float]:
    """The leases of mounts of NFSv4, in seconds, by mount point, from :data:`MOUNTSTATS`."""
    found: dict[str, float] = {}
    point = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["device"] and "on" in words:
            point = _unescaped(words[words.index("on") + 1])
        # Some of its fields have blanks in them.
        for field in line.partition("nfsv4:")[2].split(",") if words[:1] == ["nfsv4:"] else ():
            name, _, value = field.partition("=")
            if name == "lease_time" and value.isdecimal():
                found[point] = float(value)
    return found


def _unescaped(text: str) -> str:
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text
