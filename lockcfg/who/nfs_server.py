"""Reads what a Linux NFS server knows of its clients, in /proc/fs/nfsd of this host.

Each NFSv4 client has a directory there. ``info`` says which client it is, ``states`` which files it
has open and locked, and a write to ``ctl`` can expire it (Linux, fs/nfsd/nfs4state.c). Clients of
NFSv3 have no such directory.
"""

from __future__ import annotations

import os
import re

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

CLIENTS: Final = "/proc/fs/nfsd/clients"

#: How many bytes of a file there are read.
_MOST: Final = 16 * 1024 * 1024

_STATE: Final = re.compile(
    r"type: (?P<type>\w+),.*?superblock: \"(?P<file>[0-9a-f]+:[0-9a-f]+:\d+)\""
)


class NfsClient(Frozen):
    """A client: its ``number`` in /proc, the ``name`` that it gave itself, its ``address`` without
    the port, the seconds ``since`` it last renewed its lease (None: the kernel does not say), the
    server's ``status`` of it, and the files that it has locked or open, each as
    ``MAJOR:MINOR:INODE``."""

    __slots__ = ("address", "locked", "name", "number", "opened", "since", "status")

    def __init__(
        self,
        number: str,
        name: str,
        address: str,
        since: int | None,
        status: str,
        locked: Iterable[str],
        opened: Iterable[str],
    ) -> None:
        self.number: Final = number
        self.name: Final = name
        self.address: Final = address
        self.since: Final = since
        self.status: Final = status
        self.locked: Final = frozenset(locked)
        self.opened: Final = frozenset(opened)

    @property
    def host(self) -> str:
        """The name of the host, which a Linux client appends to its name; otherwise the whole
        name."""
        return self.name.rpartition(" ")[2].partition("/")[0]


def is_server(directory: str = CLIENTS) -> bool:
    """Whether this host serves NFSv4, and this process can see that."""
    return os.path.isdir(directory)


def clients(directory: str = CLIENTS) -> list[NfsClient]:
    """The NFSv4 clients of this server. Raises OSError."""
    found = []
    for number in sorted(os.listdir(directory), key=lambda name: (len(name), name)):
        try:
            info = _text(f"{directory}/{number}/info")
            states = _text(f"{directory}/{number}/states")
        except FileNotFoundError:
            continue  # the client has just gone
        found.append(client_of(number, info, states))
    return found


def client_of(number: str, info: str, states: str) -> NfsClient:
    """A client, from the kernel's description of it."""
    fields = {}
    for line in info.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields[key.strip().lower()] = value.strip().strip('"')
    since = fields.get("seconds from last renew", "")
    address = fields.get("address", "")
    found = [(match["type"], _plain(match["file"])) for match in _STATE.finditer(states)]
    return NfsClient(
        number,
        fields.get("name", ""),
        address.rpartition(":")[0].strip("[]") or address,
        int(since) if since.isdigit() else None,
        fields.get("status", ""),
        [file for kind, file in found if kind == "lock"],
        [file for kind, file in found if kind == "open"],
    )


def file_of(status: os.stat_result) -> str:
    """The server's name for the file with that status."""
    return f"{os.major(status.st_dev):x}:{os.minor(status.st_dev):x}:{status.st_ino}"


def _plain(file: str) -> str:
    major, minor, inode = file.split(":")
    return f"{int(major, 16):x}:{int(minor, 16):x}:{inode}"


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_MOST)
