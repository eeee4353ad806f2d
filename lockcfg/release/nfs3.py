"""Finds the locks that an NFSv3 client holds on this server, and frees them. It tells the server's
statd that the client has started again, as the client itself would (the Open Group's "Protocols for
Interworking: XNFS", SM_NOTIFY). The kernel then drops the locks of that one client (Linux,
fs/lockd/host.c, ``nlm_host_rebooted``).

statd keeps a file for each client that has locks, named by its address.
"""

from __future__ import annotations

import os
import socket
import time
from struct import Struct

from lockcfg.filelock import lock_on
from lockcfg.release.own import addresses_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

#: Where statd keeps the names of the clients that it watches for the kernel.
_WATCHED: Final = "/var/lib/nfs/sm"

#: ONC RPC (RFC 5531) over UDP, without credentials: portmap's GETPORT and statd's SM_NOTIFY.
_PORTMAP: Final = (100000, 2, 3)
_NOTIFY: Final = (100024, 1, 6)
_PORTMAP_PORT: Final = 111
_UDP: Final = 17
_CALL: Final = Struct(">IIIIIIIIII")
_REPLY: Final = Struct(">IIIIII")
_UINT: Final = Struct(">I")

#: How many seconds statd may take, and the kernel after it.
_PATIENCE: Final = 3.0
_SETTLED: Final = 1.0


def watched(host: str, address: str) -> list[str]:
    """The names by which this server's statd watches a host: its ``address``, or the addresses of
    its name. There are none if it holds no locks by NFSv3, or if this host is not a server."""
    try:
        names = os.listdir(_WATCHED)
    except OSError:
        return []
    mine = {address} if address else {host, *addresses_of(host)}
    return sorted(name for name in names if name.lower() in {each.lower() for each in mine})


def free(name: str, spaces: Sequence[str]) -> set[str]:
    """Have the kernel drop the locks of a watched client; return the lock files in ``spaces`` that
    are no longer locked. Raises OSError."""
    before = locked_in(spaces)
    port = _call(_PORTMAP_PORT, _PORTMAP, b"".join(map(_UINT.pack, (*_NOTIFY[:2], _UDP, 0))))
    number = _UINT.unpack(port[:4])[0] if len(port) >= 4 else 0
    if not number:
        raise ConnectionError(0, "no statd is registered here")
    # Any state except the one that statd knows; an odd number stands for a host that is up.
    state = (int(time.time()) | 1) & 0x7FFFFFFF
    text = name.encode("utf-8", "surrogateescape")
    padded = text.ljust(len(text) + -len(text) % 4, b"\0")
    _call(number, _NOTIFY, _UINT.pack(len(text)) + padded + _UINT.pack(state))
    until = time.monotonic() + _SETTLED
    while time.monotonic() < until and not before - locked_in(spaces):
        time.sleep(0.05)
    return before - locked_in(spaces)


def locked_in(spaces: Sequence[str]) -> set[str]:
    """The lock files in some lockspaces that any process has locked."""
    found = set()
    for space in spaces:
        try:
            with os.scandir(space) as entries:
                paths = [each.path for each in entries if each.is_file(follow_symlinks=False)]
        except OSError:
            continue
        for path in paths:
            try:
                if lock_on(path, 0, 1) is not None:
                    found.add(path)
            except OSError:
                continue
    return found


def _call(port: int, procedure: tuple[int, int, int], arguments: bytes) -> bytes:
    """The reply of a service of this host to a call. Raises OSError."""
    number = int.from_bytes(os.urandom(4), "big")
    message = _CALL.pack(number, 0, 2, *procedure, 0, 0, 0, 0) + arguments
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(("127.0.0.1", port))
        connection.send(message)
        reply = connection.recv(4096)
    if len(reply) < _REPLY.size or _REPLY.unpack_from(reply) != (number, 1, 0, 0, 0, 0):
        raise ConnectionError(0, "the answer is invalid, or a refusal")
    return reply[_REPLY.size :]
