"""From one process of the daemon to the next: after a crash by the service manager, which hands
over what it kept, and for an upgrade by exec, which keeps the descriptors open. A daemon that has
lost its supervisor becomes one, also by exec, and the next daemon is its child.

Either way the journal tells what they are.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from lockd.kernel.loop import hold_signals, take_signals
from lockd.locks.space import Owner
from lockd.rpc.service import inbox_of
from lockd.rpc.session import Session
from lockd.survival.journal import Journal, JournalError
from lockd.survival.keeper import client_name, inherited, is_queue, journal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping
    from typing import Any, Final

    from lockd.daemon.daemon import Daemon

#: The variable that tells a process after an exec which descriptor is the journal's.
_VARIABLE: Final = "LOCKD_JOURNAL"

#: The variable that tells a supervisor after an exec what it is to keep.
_KEPT: Final = "LOCKD_KEPT"

#: The variable that tells a daemon that it runs under a supervisor of ours, by its pid.
SUPERVISED: Final = "LOCKD_SUPERVISED"


class Inheritance:
    """What a process has from the one before it: descriptors by name, the queues that they are
    kept in, and the journal, or None where there was none before."""

    def __init__(self, fds: dict[str, int], journal: Journal | None) -> None:
        self.queues: Final = {name: fds.pop(name) for name in [*fds] if is_queue(name)}
        self.fds: Final = fds
        self.journal: Final = journal

    def kept(self) -> dict[str, int]:
        """All that the service manager has kept, the journal too."""
        journal = self.journal
        if journal is None:
            return self.fds
        return {**self.fds, journal_name(journal.number): journal.fd}

    def settings(self) -> dict[str, Any] | None:
        """The settings that were in force."""
        found: dict[str, Any] | None = None
        for line in self.journal.read() if self.journal is not None else ():
            if line.startswith(b'["settings"'):
                found = json.loads(line)[1]
        return found


def receive(environment: MutableMapping[str, str]) -> Inheritance:
    """What this process has from the one before it. Raises :class:`JournalError`."""
    passed = environment.pop(_VARIABLE, "")
    pid, _, fd = passed.partition(":")
    if pid == str(os.getpid()) and fd.isdecimal():
        return _received_in_place(int(fd), environment)
    fds = inherited(environment)
    journals = sorted(int(name[1:], 16) for name in fds if _is_journal(name))
    if not journals:
        return Inheritance(fds, None)
    number = journals[-1]
    return Inheritance(fds, Journal(fds.pop(journal_name(number)), number))


def _received_in_place(fd: int, environment: MutableMapping[str, str]) -> Inheritance:
    inherited(environment)  # what was passed to the first process of all is among ours
    journal = Journal(fd)
    *_, last = journal.read()
    if not last.startswith(b'["descriptors"'):
        raise JournalError("the journal does not end as it does before an exec")
    _, journal.number, fds = json.loads(last)
    return Inheritance(fds, journal)


def _is_journal(name: str) -> bool:
    return name[:1] == "j" and name[1:].isalnum()


def in_place(journal: Journal, fds: Mapping[str, int], command: list[str]) -> None:
    """Replace this process by ``command``, which takes over; returns only by raising OSError."""
    journal.write("descriptors", journal.number, dict(fds))
    environment = {**os.environ, _VARIABLE: f"{os.getpid()}:{journal.fd}"}
    _become(command, environment, (*fds.values(), journal.fd))


def to_supervisor(fds: Mapping[str, int], command: list[str]) -> None:
    """Replace this process by a supervisor that keeps these descriptors, and whose daemon takes
    over as after a crash; returns only by raising OSError."""
    environment = {**os.environ, _KEPT: json.dumps([os.getpid(), dict(fds)])}
    for name in (SUPERVISED, "NOTIFY_SOCKET"):
        environment.pop(name, None)
    _become(command, environment, fds.values())


def _become(command: list[str], environment: dict[str, str], fds: Iterable[int]) -> None:
    """Replace this process, and leave descriptors open; returns only by raising OSError."""
    for fd in fds:
        os.set_inheritable(fd, True)
    hold_signals()
    try:
        os.execve(command[0], command, environment)
    finally:
        take_signals()


def kept_for_supervisor(environment: MutableMapping[str, str]) -> dict[str, int]:
    """What :func:`to_supervisor` has handed to this process; nothing where it did not."""
    text = environment.pop(_KEPT, "")
    if not text:
        return {}
    pid, fds = json.loads(text)
    if pid != os.getpid():
        return {}
    for fd in fds.values():
        os.set_inheritable(fd, False)
    return dict(fds)


def command_line() -> list[str]:
    """How this process was started, in a way that does not depend on where it is run."""
    arguments = [*sys.orig_argv]
    arguments[0] = sys.executable
    return [
        os.path.abspath(each) if each == sys.argv[0] and os.path.exists(each) else each
        for each in arguments
    ]


def restore(inheritance: Inheritance, daemon: Daemon) -> None:
    """Take over the state that the journal tells of, with the descriptors that are there.

    A client whose connection was not kept, or that was being served when the process ended, is
    hung up, as if it had closed its connection.
    """
    journal = inheritance.journal
    assert journal is not None
    spaces: dict[str, None] = {}
    locks: dict[int, bytes] = {}  # the records as they are, which take the least room
    owners: dict[int, list[tuple[str, Any]]] = {}  # what has changed since then
    idle: set[int] = set()
    clients: dict[int, dict[str, Any]] = {}
    dying: dict[tuple[int, int], Any] = {}
    changes: dict[str, Any] = {}
    for line in journal.read():
        kind, *fields = json.loads(line)
        first = fields[0]
        if kind == "lock":
            locks[first] = line
            idle.discard(first)
            owners.pop(first, None)
        elif kind in ("also", "less"):
            owners.setdefault(first, []).append((kind, fields[1]))
        elif kind == "unlock":
            idle.add(first)
        elif kind == "relock":
            del locks[first]
            owners.pop(first, None)
            locks[fields[1]] = line.replace(b'"relock",%d,' % first, b'"lock",')
        elif kind == "closed":
            del locks[first]
        elif kind == "client":
            clients[first] = {"client": fields}
            daemon.services[fields[1]].next_id = fields[-1] + 1
        elif kind == "ids":
            daemon.services[first].next_id = fields[1]
        elif kind == "changed":
            changes[first] = fields[1]
        elif kind in ("owner", "restricted", "received", "unsent", "waiting"):
            clients[first][kind] = fields
        elif kind == "more":
            received = clients[first]["received"]
            received[1:] = received[1] + fields[1], fields[2]
        elif kind == "sent":
            unsent = clients[first]["unsent"]
            unsent[1] = unsent[1][2 * fields[1] :]
        elif kind == "gone":
            del clients[first]
        elif kind == "space":
            spaces[first] = None
        elif kind == "dying":
            dying[first, fields[1]] = fields[2]
        elif kind == "dead":
            dying.pop((first, fields[1]), None)
    for name, value in changes.items():
        daemon.changes.restore(name, value)
    for directory in spaces:
        daemon.engine.know_lockspace(directory)
    daemon.engine.go_on_from(locks)
    daemon.numbers.go_on_from(clients)
    guests: dict[str, Owner] = {}
    for number, line in locks.items():
        _, *fields, holders = json.loads(line)
        for kind, owner in owners.get(number, ()):
            if kind == "also":
                holders.append(owner)
            else:
                holders.remove(owner)
        daemon.engine.restore(
            fields,
            [_owner(guests, holder) for holder in holders],
            inheritance.fds,
            held=number not in idle,
        )
    for client in clients.values():
        _restore_client(client, inheritance.fds, daemon, journal.served)
    for (pid, started), left in dying.items():
        daemon.guests.restore(pid, started, left)


def _owner(guests: dict[str, Owner], fields: list[Any]) -> Owner:
    """The owner that a record tells of: the same one for all that is the same guest's."""
    owner = Owner.from_record(*fields)
    return guests.setdefault(owner.text, owner)


def _restore_client(
    record: dict[str, Any], fds: dict[str, int], daemon: Daemon, served: int
) -> None:
    number, name, uid, gid, pid, since, client_id = record["client"]
    service = daemon.services[name]
    fd = fds.pop(client_name(number), -1)
    # All is said, so that it need not be asked of the kernel; a new one is nobody's.
    connection = socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd if fd >= 0 else None
    )
    session = Session(
        number, service, connection, uid=uid, gid=gid, pid=pid, id=client_id, since=since
    )
    if "owner" in record:
        _, owner, session.started = record["owner"]
        session.owner = Owner.from_record(*owner)
    session.restricted = "restricted" in record
    if "received" in record:
        session.inbox = inbox_of(*record["received"][1:])
    if "unsent" in record:
        session.unsent = bytes.fromhex(record["unsent"][1])
    if "waiting" in record:
        session.waiting = [bytes.fromhex(each) for each in record["waiting"][1]]
    service.restore(session)
    if fd < 0 or number == served:
        service.hang_up(session)
