"""Who keeps our descriptors: the service manager, by the protocol of sd_notify(3).

A descriptor sent with ``FDSTORE=1`` is kept when this process ends, and handed to the next one
with its name (sd_listen_fds(3)). systemd speaks it, and so does :mod:`lockd.supervisor` where
there is no systemd. Once :meth:`Keeper.keep` returns, the copy is in the manager's socket: that
it has not been looked at there yet does no harm.
"""

from __future__ import annotations

import os
import socket
from array import array
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, MutableMapping
    from typing import Final

    from lockd.log import Log

#: What a listening socket is called where it is kept, by service: as systemd calls it, by the names
#: of virtlockd's socket units.
LISTENING: Final = {"virtlockd": "virtlockd.socket", "admin": "virtlockd-admin.socket"}

#: What the PID file is called there.
PID_FILE: Final = "pid-file"

#: How long a message may wait for a manager that is busy: a struct timeval.
_PATIENCE: Final = Struct("ll").pack(2, 0)


class Keeper:
    """The manager at an address of ``NOTIFY_SOCKET``; none where that is empty.

    ``lost`` says, once a message did not get through, why; what is kept after that may be
    incomplete.
    """

    def __init__(self, address: str, log: Log) -> None:
        self.lost = ""
        self._log: Final = log
        self._socket: socket.socket | None = None
        if not address:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Not settimeout: it would cost a poll(2) for every message.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        try:
            self._socket.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError as error:
            self._give_up(error)

    def __bool__(self) -> bool:
        return self._socket is not None

    def fileno(self) -> int:
        """The socket's descriptor; -1 where there is no manager."""
        return -1 if self._socket is None else self._socket.fileno()

    def keep(self, fd: int, name: str) -> None:
        """Have ``fd`` kept under ``name``, which no other has at the time. A socket is kept also
        when its peer has closed it: what that means is ours to tell."""
        if self._socket is None:
            return
        try:
            self._socket.sendmsg(
                (b"FDSTORE=1\nFDPOLL=0\nFDNAME=%b" % name.encode("ascii"),),
                ((socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", (fd,))),),
            )
        except OSError as error:
            self._give_up(error)

    def forget(self, name: str) -> None:
        """Have a descriptor kept no longer."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def ready(self, status: str) -> None:
        """Tell that the service has started, or has started again in place."""
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def stopping(self) -> None:
        """Tell that the service ends because it was asked to."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(text.encode("utf-8", "replace"))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self.lost:
            self._log.error(
                "the service manager does not keep descriptors any more"
                f" ({error.strerror or error}): the locks would not outlive a crash"
            )
        self.lost = error.strerror or str(error)


def inherited(environment: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors that the service manager passed on, by name; takes the variables that tell
    of them out of ``environment``. A name that several have belongs to the last."""
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    # libvirt's daemons go by the names, and without them as if nothing had been passed on.
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) != len(names):
        return {}
    found: dict[str, int] = {}
    for number in range(int(count)):
        found[names[number]] = 3 + number
    return found


class Numbers:
    """Numbers for what is kept, the smallest that are free.

    systemd hands all names of descriptors over in one variable of at most 128 KiB. With short
    names there is room for as many as a process may have.
    """

    def __init__(self) -> None:
        self._next = 1
        self._free: Final[list[int]] = []

    def take(self) -> int:
        """A number that nothing has."""
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """The number is free again."""
        self._free.append(number)

    def go_on_from(self, used: Collection[int]) -> None:
        """Take those numbers, which were given out by the process before this one."""
        self._next = max(used, default=0) + 1
        self._free.extend(set(range(1, self._next)).difference(used))


def lock_name(number: int) -> str:
    """What the descriptor of a lock is called where it is kept."""
    return f"l{number:x}"


def client_name(number: int) -> str:
    """What the descriptor of a connection is called where it is kept."""
    return f"c{number:x}"


def journal_name(number: int) -> str:
    """What the descriptor of a journal is called where it is kept."""
    return f"j{number:x}"
