"""From virtlockd, and back to it, in one process and with all locks held.

**From it.** At SIGUSR1 virtlockd leaves its state in a file and executes the program at its own
``argv[0]`` (:mod:`lockd.survival.restart_file`). If that is lockd, it finds the file with its own
pid, and makes a journal of it, as if another lockd had left one. From there on everything is as
after an upgrade. The locks are POSIX locks of the process at first, in the journal too, and become
lockd's own one by one (:meth:`lockd.locks.engine.Engine.make_own`). The file stays until the locks
are kept: if the process is killed before, the next lockd says whose locks were lost with it
(:func:`lost`).

**Back.** The locks become POSIX locks of the process again, in the journal first, so that after a
kill the next lockd has them. Then the file is written, and virtlockd executed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
import time
from contextlib import suppress
from struct import Struct

from lockd.kernel import process
from lockd.kernel.background import UMASK
from lockd.kernel.filelock import FileLock
from lockd.kernel.loop import take_signals
from lockd.kernel.named import identity_of
from lockd.locks.space import Lockspace, Owner, Resource
from lockd.survival import restart_file
from lockd.survival.handover import Inheritance
from lockd.survival.journal import Journal
from lockd.survival.kept import LISTENING, client_name, lock_name
from lockd.survival.records import clients as client_records
from lockd.survival.records import locks as lock_records
from lockd.survival.restart_file import (
    AUTOCREATE,
    SERVERS,
    SHARED,
    ConnectedClient,
    HeldResource,
    RestartFileError,
    Server,
    State,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Final

    from lockd.locks.holders import Holders
    from lockd.rpc.service import Service

#: Where systemd listens for messages of its services, and how long an answer about a service may
#: take.
_SYSTEMD: Final = "/run/systemd/notify"
_PATIENCE: Final = 5.0

_CREDENTIALS: Final = Struct("iII")
_MAGIC: Final = re.compile(rb'"magic"\s*:\s*"([0-9]+)"')

#: The names of the processes that may be in the middle of the change.
_DAEMONS: Final = ("virtlockd", "lockd", "python")

#: Where libvirt's packages install virtlockd, and the first bytes of a program that is not a
#: script.
PLACES: Final = ("/usr/sbin/virtlockd", "/usr/libexec/virtlockd", "/usr/local/sbin/virtlockd")
_ELF: Final = b"\x7fELF"


def left_for_us(path: str) -> State | None:
    """The state that virtlockd has left for this process; None if it has left nothing.

    Raises :class:`RestartFileError` if that cannot be taken over.
    """
    data = _read(path)
    if data is None or _pid_in(data) != os.getpid():
        return None
    state = restart_file.read(data)
    for what, fd, is_right in _expected(state):
        if not is_right(fd):
            raise RestartFileError(f"the descriptor {fd} of {what} is not that")
    return state


def _read(path: str) -> bytes | None:
    """The file, if it is one that this user's daemon has written."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        return file.read(restart_file.MAX_SIZE + 1)


def _pid_in(data: bytes) -> int:
    """The pid that the file names, even if nothing else in it can be read; 0 if it names none."""
    found = _MAGIC.findall(data)
    return int(found[-1]) if found and len(found[-1]) < 20 else 0


def _expected(state: State) -> Iterator[tuple[str, int, Callable[[int], bool]]]:
    for name, server in state.servers.items():
        for fd in server.listening:
            yield f"the server {name}", fd, _is_listening
        for client in server.clients:
            yield f"the client {client.id} of {name}", client.fd, _is_connection
    for resources in state.spaces.values():
        for resource in resources:
            yield resource.path, resource.fd, _is_file


def _is_listening(fd: int) -> bool:
    return _is_socket(fd, listening=1)


def _is_connection(fd: int) -> bool:
    return _is_socket(fd, listening=0)


def _is_socket(fd: int, *, listening: int) -> bool:
    try:
        copy = socket.socket(fileno=os.dup(fd))
    except OSError:
        return False
    with copy:
        return (
            copy.family == socket.AF_UNIX
            and copy.type == socket.SOCK_STREAM
            and copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == listening
        )


def _is_file(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return not (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode) or stat.S_ISDIR(mode))


# --- from virtlockd


def inheritance_of(state: State, holders: Holders) -> Inheritance:
    """What this process has from the virtlockd that it was, in the form in which a lockd leaves
    it."""
    fds: dict[str, int] = {}
    records: list[str] = []
    for directory in state.spaces:
        if directory:
            records.append(lock_records.space(directory))
    number = 0
    for name, server in state.servers.items():
        if server.listening:
            fds[LISTENING[name]] = server.listening[0]
        records.append(client_records.ids(name, server.next_id))
        for client in server.clients:
            number += 1
            fds[client_name(number)] = client.fd
            records += _client_records(number, name, client)
        records.append(client_records.ids(name, server.next_id))
    number = 0
    for directory, resources in state.spaces.items():
        space = Lockspace(directory)
        for each in resources:
            number += 1
            fds[lock_name(number)] = each.fd
            records.append(
                lock_records.lock(_resource(space, each, number, state, holders).record())
            )
    for fd in fds.values():
        os.set_inheritable(fd, False)
    journal = Journal.create(1)
    for text in records:
        journal.append(text)
    return Inheritance(fds, journal)


def service_manager(address: str) -> str:
    """The address of the service manager that started virtlockd: the one that virtlockd was told,
    or systemd's. Empty if systemd started it and keeps no descriptors for this process."""
    if not os.path.isdir("/run/systemd/system"):
        return address
    import subprocess

    question = ("systemctl", "show", "virtlockd.service", "--property")
    try:
        answer = subprocess.run(
            [*question, "MainPID,NotifyAccess,FileDescriptorStoreMax"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            text=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    told = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    is_kept = (
        told.get("MainPID") == str(os.getpid())
        and told.get("NotifyAccess") in ("main", "exec", "all")
        and told.get("FileDescriptorStoreMax", "0") not in ("", "0")
    )
    return (address or _SYSTEMD) if is_kept else ""


def command_line() -> list[str]:
    """The command that starts this program again. The process was started from virtlockd's place,
    which may have virtlockd in it by then."""
    return [sys.executable, "-I", "-m", "lockd", *sys.argv[1:]]


def go_on(aside: str, arguments: list[str]) -> None:
    """Let virtlockd continue from its own file, because lockd cannot: the program that was put
    ``aside``, or the installed one. ``arguments`` are virtlockd's own, with its path. Returns only
    by raising OSError."""
    take_signals()
    found = next((each for each in (aside, *PLACES) if _is_program(each)), aside)
    os.execve(found, arguments, os.environ)


def _is_program(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_ELF)) == _ELF
    except OSError:
        return False


def _client_records(number: int, service: str, client: ConnectedClient) -> Iterator[str]:
    with socket.socket(fileno=os.dup(client.fd)) as connection:
        pid, uid, gid = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
    yield client_records.client(number, service, uid, gid, pid, client.since, client.id)
    if client.owner is not None:
        owner = Owner(*client.owner)
        started = process.start_time(pid) if owner.pid == pid else 0
        yield client_records.owner(number, owner.record(), started)
    if client.restricted:
        yield client_records.restricted(number)


def _resource(
    space: Lockspace, held: HeldResource, number: int, state: State, holders: Holders
) -> Resource:
    """The journal's record of a resource: a POSIX lock, unless something else is known."""
    lock = FileLock(held.fd, identity_of(os.fstat(held.fd)), posix=True)
    resource = Resource(space, held.name, lock, number=number, create=bool(held.flags & AUTOCREATE))
    resource.shared = bool(held.flags & SHARED)
    resource.owners.extend(_owner(pid, state, holders) for pid in held.owners)
    # virtlockd does not say since when: as long as the guest has been connected, or from now on.
    resource.since = min(
        [client.since for client in _connections(state, held.owners) if client.since],
        default=int(time.time()),
    )
    if space.directory and resource.owners:
        with suppress(OSError):
            resource.disk = holders.disk(resource.owners[0], held.name)
    return resource


def _owner(pid: int, state: State, holders: Holders) -> Owner:
    """The guest with that pid: as it has registered, or as libvirt describes it."""
    known = state.guest(pid)
    return Owner(*known) if known is not None else holders.owner(pid)


def _connections(state: State, pids: Sequence[int]) -> Iterator[ConnectedClient]:
    for client in state.servers[SERVERS[0]].clients:
        if client.owner is not None and client.owner[3] in pids:
            yield client


def lost(path: str) -> Iterator[str]:
    """Sentences about a file that was left for a process that has ended; the file is removed. None
    if no such file exists, or if the process still runs."""
    data = _read(path)
    if data is None or process.name(_pid_in(data)).startswith(_DAEMONS):
        return
    try:
        state = restart_file.read(data)
    except RestartFileError as error:
        yield f"{path}: a process that should have taken over ended before it did: {error}"
        return
    for resources in state.spaces.values():
        for resource in resources:
            who = " and ".join(
                dict.fromkeys(
                    f"guest '{known[0]}' (pid {pid})"
                    if (known := state.guest(pid)) is not None
                    else f"the process {pid}"
                    for pid in resource.owners
                    if os.path.exists(f"/proc/{pid}")
                )
            )
            if who:
                yield (
                    f"DISK IN DANGER: the lock {resource.path} of {who} was lost with the process"
                    f" {state.pid}, which had it from another; 'lockd adopt' takes it again"
                )
    clear(path)


def clear(path: str) -> None:
    """Remove the file, which no process needs now."""
    try:
        os.unlink(path)
    except OSError:
        pass  # the file does not exist, or is not valid


# --- back to virtlockd


def state_of(services: Mapping[str, Service], spaces: Mapping[str, Lockspace], pid: int) -> State:
    """The state for virtlockd."""
    return State(
        pid,
        {
            name: Server(
                [service.fd] if service.fd >= 0 else [],
                [
                    ConnectedClient(
                        session.id,
                        session.socket.fileno(),
                        int(session.since),
                        (
                            None
                            if session.owner is None
                            else (
                                session.owner.name,
                                session.owner.uuid,
                                session.owner.id,
                                session.owner.pid,
                            )
                        ),
                        restricted=session.restricted,
                    )
                    for session in service.clients.values()
                ],
                max_clients=service.limits["nclients_max"],
                max_anonymous_clients=service.limits["nclients_unauth_max"],
                next_id=service.next_id,
            )
            for name, service in services.items()
        },
        {
            directory: [
                HeldResource(
                    resource.name,
                    resource.path,
                    resource.lock.fd,
                    (SHARED if resource.shared else 0) | (AUTOCREATE if resource.create else 0),
                    [owner.pid for owner in resource.owners],
                    is_held=True,
                )
                for resource in space.resources.values()
            ]
            for directory, space in spaces.items()
        },
    )


def write(path: str, state: State) -> None:
    """Leave the file, whole or not at all. Raises OSError."""
    draft = f"{path}.{os.urandom(16).hex()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(restart_file.write(state))
        os.replace(draft, path)
    except BaseException:
        clear(draft)
        raise


def become(program: str, arguments: Sequence[str], fds: Iterable[int]) -> None:
    """Replace this process by virtlockd, with those descriptors; returns only by raising OSError.

    What a process keeps beyond an exec is as virtlockd expects it, and as it was afterwards.
    """
    for fd in fds:
        os.set_inheritable(fd, True)
    ignored = {each: signal.signal(each, signal.SIG_DFL) for each in _IGNORED}
    before = os.umask(UMASK)
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("LOCKD_")}
    try:
        os.execve(program, [program, *arguments], environment)
    finally:
        os.umask(before)
        for number, handler in ignored.items():
            signal.signal(number, handler)


#: The signals that lockd, or Python, ignores.
_IGNORED: Final = (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
