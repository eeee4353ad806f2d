"""``lockd run``: run QEMU without libvirt, under the locks that its disks should have by the host's
configuration.

This process takes the locks, as a guest of libvirt does, by a connection of its own. Then it
becomes the command, which inherits the connection. So the locks are released when the command has
ended, and not before; signals reach the command, and the exit status is the command's.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import stat
import sys
import uuid

import lockcfg
from lockd.escape import escaped
from lockd.programs.lock import PROGRAM, VERSION
from lockd.programs.lock.acquire_resource import AUTOCREATE, SHARED
from lockd.qemu import HEAD, QCOW2, CommandError, QemuCommand, data_file
from lockd.wire.fault import message_in
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, ERROR, HEADER_SIZE, OK, Header, pack_message, read_header
from lockd.wire.xdr import DecodeError, pack_string, pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final, NoReturn

    from lockcfg import GuestDisk
    from lockd.qemu import QemuDisk

_REGISTER: Final = 1
_ACQUIRE: Final = 6
_RELEASE: Final = 7
_CREATE_LOCKSPACE: Final = 8

_MAX_ANSWER: Final = 1 << 20

#: How QEMU names the descriptors that it is given.
_FD_SET: Final = "/dev/fdset/"
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/(?:self|thread-self))/fd/(\d+)")

#: The longest line that is shown, in characters.
_LONGEST: Final = 4096

#: Exit statuses: another owner holds a lock; wrong usage; failure; and, as of other programs that
#: run a command, the command cannot be executed, or does not exist.
_REFUSED: Final = 1
_USAGE: Final = 2
_FAILED: Final = 3
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127


class _RunError(Exception):
    """The command does not run; ``status`` is the exit status."""

    def __init__(self, why: str, status: int = _FAILED) -> None:
        super().__init__(why)
        self.status: Final = status


def main(arguments: Sequence[str], address: str) -> int:
    """Run the command. Returns an exit status only if it does not run."""
    parser = argparse.ArgumentParser(
        prog="lockd run",
        usage="lockd run [--lock PATH]... [--dry-run] [--socket PATH] -- COMMAND [ARGUMENT...]",
        description="Run QEMU without libvirt, under the locks that the disks of its command line"
        " should have by the configuration of this host. If another guest holds one"
        " of them, QEMU does not start. Exit status: the command's; else 1 a lock is"
        " refused, 2 wrong usage, 3 the command failed, 126 and 127 the command"
        " cannot be executed or found.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--lock",
        action="append",
        default=[],
        metavar="PATH",
        help="lock this disk too; then the command need not be QEMU",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be locked")
    parser.add_argument("--socket", default=address, help=f"the lock daemon's ({address})")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments[1:])
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("say which command, behind --")
    try:
        return _run(command, options)
    except _RunError as error:
        sys.stderr.write(f"lockd run: {error}\n")
        return error.status
    except lockcfg.LockcfgError as error:
        sys.stderr.write(f"lockd run: {error.message}{f' ({error.help})' if error.help else ''}\n")
        return _FAILED


def _run(command: list[str], options: argparse.Namespace) -> int:
    guest = _guest(command, options.lock)
    configuration = lockcfg.load_host(lockcfg.Host(session=os.geteuid() != 0))
    if configuration.lock_manager != "lockd":
        raise _RunError(f"lock_manager is {configuration.lock_manager}: no disk is locked here")
    meant = lockcfg.locks_meant(configuration, guest)
    for each in meant:
        if each.unknown:
            raise _RunError(f"{each.what}: its lock is unknown: {each.why}")
    locks = [each.lock for each in meant if each.lock is not None]
    if not locks and configuration.require_lease_for_disks and _writes(guest):
        raise _RunError("disks are written, and require_lease_for_disks is 1", _REFUSED)
    if options.dry_run:
        for each in meant:
            what = each.lock.path if each.lock else f"no lock: {each.why}"
            sys.stdout.write(escaped(f"{each.what}: {what}", _LONGEST) + "\n")
        return 0
    with _connected(options.socket) as connection:
        client = _Client(connection)
        client.register(guest)
        try:
            for lock in locks:
                client.acquire(lock)
            connection.set_inheritable(True)
            _become(command)
        finally:
            # Otherwise the daemon would end this process when it closes its connection with locks
            # held.
            client.release_all()


def _become(command: list[str]) -> NoReturn:
    try:
        os.execvp(command[0], command)
    except FileNotFoundError as error:
        raise _RunError(f"{command[0]}: {error.strerror}", _NOT_FOUND) from error
    except OSError as error:
        raise _RunError(f"{command[0]}: {error.strerror}", _NOT_EXECUTABLE) from error


def _guest(command: Sequence[str], more: Sequence[str]) -> lockcfg.RunningGuest:
    """The guest that the command will be, with its disks and ``more``. Raises :class:`_RunError`,
    ReadError."""
    try:
        qemu = QemuCommand([] if more and not _is_qemu(command[0]) else command[1:])
        who = uuid.UUID(qemu.uuid) if qemu.uuid else uuid.uuid4()
    except CommandError as error:
        raise _RunError(str(error), _USAGE) from error
    except ValueError:
        raise _RunError(f"-uuid {qemu.uuid}: it is not a UUID", _USAGE) from None
    if not more and not _is_qemu(command[0]):
        raise _RunError(
            f"{command[0]} is not a known name of QEMU: name its disks with --lock", _USAGE
        )
    for word in qemu.hiding:
        raise _RunError(
            f"{word}: lockd run does not see what this option does to the disks: leave it out",
            _USAGE,
        )
    disks = [disk for each in qemu.disks for disk in _disks_of(each, qemu.fd_sets)]
    disks += [_disk(path, readonly=False, shareable=False) for path in more]
    if not disks:
        raise _RunError("the command line names no disk: name one with --lock", _USAGE)
    pid = os.getpid()
    name = qemu.name or os.path.basename(command[0])
    named = lockcfg.named_disks(disks)
    return lockcfg.RunningGuest(name, str(who), pid, pid, "running", named)


def _disks_of(disk: QemuDisk, fd_sets: Mapping[str, Sequence[str]]) -> Iterator[GuestDisk]:
    """A disk of the command line, and the file that has its data, if that is another one. Raises
    :class:`_RunError`."""
    for path in _paths(disk.path, fd_sets):
        head = _head(path) if disk.may_be_qcow2 else b""
        # QEMU lets no other write the image, whatever its device allows.
        shareable = disk.shareable and not head.startswith(QCOW2)
        yield _disk(path, readonly=disk.readonly, shareable=shareable)
        try:
            name = data_file(head)
            named = QemuCommand(["-hda", name]).disks if name else []
        except CommandError as error:
            raise _RunError(f"{path}: {error}; name it with data-file", _USAGE) from error
        for each in named:
            data = os.path.join(os.path.dirname(path), each.path)
            yield _disk(data, readonly=disk.readonly, shareable=shareable)


def _paths(path: str, fd_sets: Mapping[str, Sequence[str]]) -> list[str]:
    """What a path stands for: that of a descriptor names a file only in this process. Raises
    :class:`_RunError`."""
    if path.startswith(_FD_SET):
        numbers = fd_sets.get(path.removeprefix(_FD_SET), ())
    elif match := _DESCRIPTOR.fullmatch(path):
        numbers = [match[1]]
    else:
        return [path]
    found = []
    for number in numbers:
        try:
            name = os.readlink(f"/proc/self/fd/{int(number)}")
            is_named = os.path.samestat(os.stat(name), os.fstat(int(number)))
        except (OSError, ValueError):
            is_named = False
        if not is_named:
            raise _RunError(
                f"{path}: its descriptor {number} is not a file that has a name", _USAGE
            )
        found.append(name)
    return found


def _head(path: str) -> bytes:
    """The beginning of an image; empty if it is not a file. Raises :class:`_RunError`."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as image:
            return image.read(HEAD)
    except FileNotFoundError:
        return b""  # QEMU will say so
    except OSError as error:
        raise _RunError(f"{path}: it cannot be read: {error.strerror}") from error


def _is_qemu(program: str) -> bool:
    return os.path.basename(program).startswith(("qemu-system-", "qemu-kvm", "kvm"))


def _disk(path: str, *, readonly: bool, shareable: bool) -> lockcfg.GuestDisk:
    path = os.path.abspath(path)
    kind = "block" if path.startswith("/dev/") else "file"
    return lockcfg.GuestDisk(kind, path, readonly=readonly, shareable=shareable)


def _writes(guest: lockcfg.RunningGuest) -> bool:
    return any(not disk.readonly and not disk.shareable for disk in guest.disks)


def _connected(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
    except OSError as error:
        connection.close()
        raise _RunError(f"no lock daemon answers at {address}: {error.strerror}") from error
    return connection


def _resource(lock: lockcfg.MeantLock, flags: int) -> bytes:
    return pack_string(lock.space) + pack_string(lock.name) + pack_uint(flags)


class _Client:
    """Speaks libvirt's protocol with lockd or virtlockd."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection: Final = connection
        self._serial = 0
        self._held: Final[list[lockcfg.MeantLock]] = []

    def register(self, guest: lockcfg.RunningGuest) -> None:
        """Register as the guest."""
        who = uuid.UUID(guest.uuid).bytes + pack_string(guest.name)
        self._call(_REGISTER, who + pack_uint(guest.id) + pack_uint(guest.pid) + pack_uint(0))

    def acquire(self, lock: lockcfg.MeantLock) -> None:
        """Take a lock, in a lockspace that is made if it does not exist yet."""
        if lock.space:
            self._call(_CREATE_LOCKSPACE, pack_string(lock.space))
        flags = (SHARED if lock.shared else 0) | (AUTOCREATE if lock.create else 0)
        self._call(_ACQUIRE, _resource(lock, flags))
        self._held.append(lock)

    def release_all(self) -> None:
        """Release what was taken."""
        while self._held:
            self._call(_RELEASE, _resource(self._held.pop(), 0))

    def _call(self, procedure: int, arguments: bytes) -> None:
        self._serial += 1
        header = Header(0, PROGRAM, VERSION, procedure, CALL, self._serial, OK)
        try:
            self._connection.sendall(pack_message(header, arguments))
            reply = self._receive()
            if read_header(reply).status == ERROR:
                raise _RunError(message_in(reply[HEADER_SIZE:]), _REFUSED)
        except OSError as error:
            raise _RunError(f"the lock daemon is gone: {error.strerror}") from error
        except DecodeError as error:
            raise _RunError(f"the answer of the lock daemon is invalid: {error}") from error

    def _receive(self) -> bytes:
        inbox = Inbox(kept=_MAX_ANSWER)
        while data := self._connection.recv(65536):
            for message in inbox.feed(data):
                return message
        raise _RunError("the lock daemon has closed the connection")
