"""Bad input gets the right error, and other clients do not notice."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockd.programs import admin, lock
from lockd.wire.message import CALL, OK, Header, pack_message
from lockd.wire.parameters import UINT, Parameter, pack_parameters
from lockd.wire.xdr import pack_opaque, pack_string, pack_uint
from tests.lockd.client import (
    ACQUIRE,
    AUTOCREATE,
    CREATE,
    CREATE_LOCKSPACE,
    DELETE,
    NEW,
    REGISTER,
    RELEASE,
    RESTRICT,
    SHARED,
    CallRefusedError,
    Client,
    registration,
    resource,
)
from tests.lockd.engine import PROGRAM, Engine, Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, Self

#: What other clients may not have to wait, in seconds: these machines are noisy, and the real
#: virtlockd took 2.8 if a guest that held locks had died and was not reaped.
_NOTICED: Final = 0.5

#: The admin program's procedure, and what it sets.
_SET_CLIENT_LIMITS: Final = 13
_LIMITS: Final = ("nclients_max", "nclients_unauth_max")

#: A guest: it registers as itself, takes the locks that it is told, and waits. The shell in front
#: does not ask for its status when it dies.
_GUEST: Final = """
import signal, sys, time
from tests.lockd.client import Client
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
client = Client(sys.argv[2])
client.register("guest")
for name in sys.argv[4:]:
    client.acquire(sys.argv[3], name)
print("holds", flush=True)
if sys.argv[1] == "stubborn":
    sys.stdin.readline()
    client.close()
time.sleep(600)
"""

#: Starts a guest, tells its pid, and never asks for its status.
_PARENT: Final = """
import subprocess, sys
child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


class Bystander(threading.Thread):
    """Another client: it takes and releases a lock all the time. ``longest`` is what a call took at
    most, in seconds: less than ``patience``."""

    def __init__(self, engine: Engine, patience: float = _NOTICED) -> None:
        super().__init__()
        self._patience = patience
        self._daemon = engine.pid
        self._client = engine.client()
        self._client.register("bystander", 5004242)
        self._space = engine.lockspace
        self._told_to_stop = threading.Event()
        self.longest = 0.0
        self.calls = 0

    def run(self) -> None:
        """Call until told to stop."""
        while not self._told_to_stop.is_set():
            for call in (self._client.acquire, self._client.release):
                stopwatch = Stopwatch(self._daemon)
                call(self._space, "bystander")
                self.longest = max(self.longest, stopwatch.seconds)
                self.calls += 1
            time.sleep(0.001)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        wait_for(lambda: self.calls >= 10 or not self.is_alive(), "there were some calls")
        self._told_to_stop.set()
        self.join(60)
        print(f"bystander: {self.calls} calls, the longest {self.longest * 1000:.1f} ms")
        assert self.calls >= 10
        assert self.longest < self._patience


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One for all that does it no harm."""
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        yield running
        assert "Traceback" not in running.log
        assert "took over" not in running.log


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    """A client that has registered."""
    with Client(engine.socket) as connected:
        connected.register("guest", 5004242)
        yield connected


def refused(client: Client, procedure: int, arguments: bytes) -> tuple[int, int, str]:
    """The error that answers a call: code, domain, text."""
    with pytest.raises(CallRefusedError) as caught:
        client.call(procedure, arguments)
    return caught.value.refused[:3]


def answered(client: Client, **other: int) -> tuple[int, int, str]:
    """The error that answers a call whose header is another."""
    header = Header(0, lock.PROGRAM, lock.VERSION, REGISTER, CALL, 1, OK)._replace(**other)
    client.socket.sendall(pack_message(header, registration("guest", 5004242)))
    with pytest.raises(CallRefusedError) as caught:
        client.reply()
    return caught.value.refused[:3]


def memory(pid: int) -> int:
    """What a process has resident, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


# --- headers and arguments


def test_headers(client: Client) -> None:
    """Program, version, procedure and status; the connection goes on."""
    assert answered(client, program=7) == (39, 7, "Cannot find program 7 version 1")
    number = lock.PROGRAM
    assert answered(client, version=3) == (39, 7, f"Cannot find program {number} version 3")
    assert answered(client, procedure=99) == (39, 7, "unknown procedure: 99")
    assert answered(client, procedure=-1) == (39, 7, "unknown procedure: -1")
    assert answered(client, status=2) == (39, 7, "Unexpected message status 2")
    client.register("guest", 5004242)


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 6, 7, -1])
def test_messages_that_are_no_call(client: Client, kind: int) -> None:
    """They are not answered: what is answered next is the call behind it."""
    header = Header(0, lock.PROGRAM, lock.VERSION, REGISTER, kind, 99, OK)
    client.socket.sendall(pack_message(header, registration("guest", 5004242)))
    client.register("guest", 5004242)


def test_a_call_with_descriptors(engine: Engine) -> None:
    """Ends the connection."""
    with Client(engine.socket) as client:
        header = Header(0, lock.PROGRAM, lock.VERSION, REGISTER, 4, 1, OK)
        client.socket.sendall(pack_message(header, registration("guest", 5004242)))
        with pytest.raises(EOFError):
            client.receive()


@pytest.mark.parametrize("length", [0, 27, 33554437, 0x80000000, 0xFFFFFFFF])
def test_lengths_that_no_message_has(engine: Engine, length: int) -> None:
    """End the connection, as soon as they are there."""
    with Client(engine.socket) as client:
        client.register("guest", 5004242)
        client.socket.sendall(pack_uint(length))
        with pytest.raises(EOFError):
            client.receive()
    wait_for(lambda: f"a message of {length} bytes" in engine.log, "it is logged")


@pytest.mark.parametrize("size", [7, 65536, 65537, 0xFFFFFFFF])
def test_lengths_of_strings_that_lie(client: Client, size: int) -> None:
    """They are found before anything is done."""
    error = 39, 7, "Unable to decode message payload"
    assert refused(client, CREATE_LOCKSPACE, pack_uint(size) + b"/abc") == error
    assert refused(client, ACQUIRE, pack_string("/") + pack_uint(size) + b"abcd") == error
    assert refused(client, REGISTER, bytes(16) + pack_uint(size)) == error


def test_strings_with_a_nul(engine: Engine, client: Client) -> None:
    """Name nothing."""
    name = pack_uint(8) + pack_opaque(b"disk\0abc")
    error = 39, 7, "Unable to decode message payload"
    for procedure in (CREATE, DELETE, ACQUIRE, RELEASE):
        arguments = pack_string(str(engine.lockspace)) + name + pack_uint(0)
        assert refused(client, procedure, arguments) == error
    assert refused(client, CREATE_LOCKSPACE, pack_uint(4) + b"/a\0b") == error
    assert not (engine.lockspace / "disk").exists()


@pytest.mark.parametrize(
    ("procedure", "known", "function"),
    [
        (REGISTER, 0, "Register"),
        (RESTRICT, 0, "Restrict"),
        (NEW, 0, "New"),
        (CREATE, 0, "CreateResource"),
        (DELETE, 0, "DeleteResource"),
        (ACQUIRE, 3, "AcquireResource"),
        (RELEASE, 0, "ReleaseResource"),
    ],
)
def test_flags(client: Client, engine: Engine, procedure: int, known: int, function: str) -> None:
    """Those that a procedure does not know are named."""
    prefix = "virLockSpaceProtocolDispatch"
    for flags in (0x8, 0x80000000, 0xFFFFFFFF):
        arguments = {
            REGISTER: registration("guest", 5004242)[:-4] + pack_uint(flags),
            RESTRICT: pack_uint(flags),
            NEW: pack_string("/nowhere") + pack_uint(flags),
        }.get(procedure, resource(engine.lockspace, "disk", flags))
        assert refused(client, procedure, arguments) == (
            8,
            7,
            f"unsupported flags (0x{flags & ~known:x}) in function {prefix}{function}",
        )


# --- names and paths


@pytest.mark.parametrize("path", ["relative", "./x", "../x", "/a/../b", "/..", "/tmp/.."])
@pytest.mark.parametrize("procedure", [NEW, CREATE_LOCKSPACE])
def test_lockspaces_that_climb_out(client: Client, procedure: int, path: str) -> None:
    """They are none."""
    code, domain, text = refused(client, procedure, pack_string(path) + pack_uint(0))
    assert (code, domain) == (8, 51)
    assert f"lockspace '{path}' must be an absolute path without '..'" in text


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../climbs", "/absolute", "a/../b", "/"])
@pytest.mark.parametrize("procedure", [CREATE, DELETE, ACQUIRE])
def test_names_that_climb_out(engine: Engine, client: Client, procedure: int, name: str) -> None:
    """Of a lockspace that is a directory: nothing is made or removed."""
    flags = AUTOCREATE if procedure == ACQUIRE else 0
    beside = engine.lockspace.parent / "climbs"
    beside.touch()
    before = sorted(engine.lockspace.parent.iterdir())
    code, domain, text = refused(client, procedure, resource(engine.lockspace, name, flags))
    assert (code, domain) == (8, 51)
    assert f"resource '{name}' must be the name of a file in {engine.lockspace}" in text
    assert sorted(engine.lockspace.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["", "disk", "./disk", "../disk"])
def test_names_that_are_no_path(client: Client, name: str) -> None:
    """Of the lockspace that has no directory."""
    code, domain, text = refused(client, ACQUIRE, resource("", name, AUTOCREATE))
    assert (code, domain) == (8, 51)
    assert f"resource '{name}' must be an absolute path" in text


def test_names_of_all_bytes(engine: Engine, client: Client) -> None:
    """They are names of files, if no slash and no NUL is in them."""
    for byte in range(1, 256):
        if byte == ord("/") or byte == ord("."):
            continue
        name = os.fsdecode(bytes((byte,)))
        client.acquire(engine.lockspace, name)
        assert (engine.lockspace / name).exists()
        client.release(engine.lockspace, name)
    text = refused(client, ACQUIRE, resource(engine.lockspace, "x" * 256, AUTOCREATE))[2]
    assert text.endswith("File name too long")
    text = refused(client, ACQUIRE, resource(engine.lockspace, "x" * 65536, AUTOCREATE))[2]
    assert text.endswith("File name too long")


def test_a_lockspace_that_nobody_made(client: Client) -> None:
    """By its path."""
    for procedure in (CREATE, DELETE, ACQUIRE, RELEASE):
        error = refused(client, procedure, resource("/nowhere", "disk", 0))
        assert error == (1, 7, "internal error: Lockspace for path /nowhere does not exist")


@pytest.mark.parametrize("pid", [0, 1, 4194304, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_pids_of_nobody(engine: Engine, pid: int) -> None:
    """They are owners, whose locks stay when the connection is closed; lockd kills no process."""
    with Client(engine.socket) as client:
        client.register("ghost", pid)
        client.acquire(engine.lockspace, f"of-{pid}")
    with Client(engine.socket) as client:
        client.register("other", 5004343)
        text = refused(client, ACQUIRE, resource(engine.lockspace, f"of-{pid}", AUTOCREATE))[2]
        assert "is locked by guest 'ghost'" in text
        client.register("ghost", pid)
        client.release(engine.lockspace, f"of-{pid}")


# --- files that are none


def test_what_is_no_file(engine: Engine, client: Client) -> None:
    """A directory is refused, and in a lockspace all else but a regular file. As disks, a FIFO
    and a device can be locked, and keep no client waiting."""
    space = engine.lockspace
    (space / "directory").mkdir()
    os.mkfifo(space / "fifo")
    os.mknod(space / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (space / "loop").symlink_to("loop")
    (space / "dangling").symlink_to("/nowhere/at/all")
    with Bystander(engine), Client(engine.socket, timeout=5) as other:
        other.register("other", 5004343)
        text = refused(client, ACQUIRE, resource(space, "directory", AUTOCREATE))[2]
        assert text == f"Unable to open/create resource {space}/directory: Is a directory"
        for name in ("fifo", "device"):
            with pytest.raises(CallRefusedError, match=f"{name} is a .*, no lock file"):
                client.acquire(space, name, 0)
            client.acquire("", space / name, 0)
            with pytest.raises(CallRefusedError, match="is locked by guest 'guest'"):
                other.acquire("", space / name, 0)
            time.sleep(0.1)  # until it is made visible
            client.release("", space / name)
            other.acquire("", space / name, SHARED)
            other.release("", space / name)
        assert refused(client, CREATE, resource(space, "directory", 0))[0] == 38
        text = refused(client, DELETE, resource(space, "directory", 0))[2]
        assert text == f"Unable to delete lockspace resource {space}/directory: Is a directory"
        for name in ("loop", "dangling"):
            text = refused(client, ACQUIRE, resource(space, name, AUTOCREATE))[2]
            assert text == f"invalid argument: {space}/{name} is a symbolic link, no lock file"
            assert refused(client, ACQUIRE, resource("", space / name, AUTOCREATE))[0] == 38


def test_a_fifo_that_nobody_reads(engine: Engine, client: Client) -> None:
    """lockd does not wait for it when it makes it a resource."""
    os.mkfifo(engine.lockspace / "silent")
    with Bystander(engine):
        text = refused(client, CREATE, resource(engine.lockspace, "silent", 0))[2]
        assert text.endswith("silent is a FIFO, no lock file")


def test_a_lockspace_that_is_a_file(engine: Engine, client: Client) -> None:
    """It is none, nor is one below a file."""
    file = engine.lockspace.parent / "file"
    file.touch()
    for procedure in (NEW, CREATE_LOCKSPACE):
        error = refused(client, procedure, pack_string(str(file)) + pack_uint(0))
        text = f"internal error: Lockspace location {file} exists, but is not a directory"
        assert error == (1, 51, text)
        code, _, text = refused(client, procedure, pack_string(f"{file}/below") + pack_uint(0))
        assert code == 38
        assert text == f"Unable to create lockspace {file}/below: Not a directory"


def test_a_lockspace_that_is_removed(engine: Engine, client: Client) -> None:
    """And made again: it is the same one."""
    space = engine.lockspace.parent / "comes-and-goes"
    client.create_lockspace(space)
    client.acquire(space, "before")
    client.release(space, "before")
    wait_for(lambda: not any(space.iterdir()), "the lock file is gone")
    space.rmdir()
    text = refused(client, ACQUIRE, resource(space, "disk", AUTOCREATE))[2]
    assert text == f"Unable to open/create resource {space}/disk: No such file or directory"
    client.create_lockspace(space)
    client.acquire(space, "disk")
    client.release(space, "disk")


# --- file systems that refuse

#: Mounts a file system of its own on the lockspace, and runs the daemon.
_MOUNT: Final = 'mount -t tmpfs -o "$1" lockspace "$2" && shift 2 && exec "$@"'


def on_a_file_system(directory: Path, options: str) -> Engine:
    """A daemon whose lockspace is on a file system in memory."""
    (directory / "lockspace").mkdir()
    space = directory / "lockspace"
    return Engine(directory, command=("sh", "-c", _MOUNT, "sh", options, space, PROGRAM))


def test_a_lockspace_that_cannot_be_written(tmp_path: Path) -> None:
    """As the system says it."""
    with on_a_file_system(tmp_path, "ro") as engine, engine.client() as client:
        client.register("guest", 5004242)
        for procedure, text in (
            (ACQUIRE, f"Unable to open/create resource {engine.lockspace}/disk"),
            (CREATE, f"cannot create file '{engine.lockspace}/disk'"),
        ):
            arguments = resource(engine.lockspace, "disk", AUTOCREATE * (procedure == ACQUIRE))
            code, _, found = refused(client, procedure, arguments)
            assert (code, found) == (38, f"{text}: Read-only file system")
        code, _, text = refused(client, NEW, pack_string(f"{engine.lockspace}/x") + pack_uint(0))
        place = f"{engine.lockspace}/x"
        assert (code, text) == (38, f"Unable to create lockspace {place}: Read-only file system")


def test_a_file_system_that_is_full(tmp_path: Path) -> None:
    """A lock that can be taken is, without a note; one that cannot is refused; and all goes on
    when there is room."""
    with on_a_file_system(tmp_path, "size=64k,nr_inodes=12") as engine, engine.client() as client:
        client.register("guest" * 300, 5004242)
        inside = Path(f"/proc/{engine.pid}/root{engine.lockspace}")
        with (inside / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        names = map("disk-{}".format, itertools.count())
        held = [
            *itertools.takewhile(lambda name: client.can_acquire(engine.lockspace, name), names)
        ]
        # Of twelve, the directory and the file above have one each, and a note takes one too.
        assert len(held) >= 4
        code, _, text = refused(client, ACQUIRE, resource(engine.lockspace, "more", AUTOCREATE))
        path = f"{engine.lockspace}/more"
        assert text == f"Unable to open/create resource {path}: No space left on device"
        assert code == 38
        text = "cannot be written: No space left on device"
        wait_for(lambda: text in engine.log, "a note could not be written")
        with engine.client() as other:
            other.register("other", 5004343)
            for name in held:
                with pytest.raises(CallRefusedError, match="is locked by guest 'guest"):
                    other.acquire(engine.lockspace, name)
        assert len(engine.ask("locks")) == len(held)
        (inside / "filler").unlink()
        client.acquire(engine.lockspace, "one-more")
        for name in [*held, "one-more"]:
            client.release(engine.lockspace, name)
        wait_for(lambda: not any(inside.iterdir()), "all lock files are gone")
        assert "Traceback" not in engine.log


# --- clients that misbehave


def test_half_a_message(engine: Engine) -> None:
    """A client that sends half a message and stays connected delays no other client, and gets an
    answer after the other half."""
    message = pack_message(
        Header(0, lock.PROGRAM, lock.VERSION, REGISTER, CALL, 1, OK), registration("slow", 5004242)
    )
    with contextlib.ExitStack() as stack, Bystander(engine):
        halves = [stack.enter_context(Client(engine.socket)) for _ in range(200)]
        for number, client in enumerate(halves):
            client.socket.sendall(message[: 1 + number % (len(message) - 1)])
        time.sleep(1)
        for number, client in enumerate(halves):
            client.socket.sendall(message[1 + number % (len(message) - 1) :])
            client.reply()


def test_the_longest_message(tmp_path: Path) -> None:
    """A message of 32 MiB, with locks held by others: it is answered, takes no memory, delays no
    other client, and the daemon can be killed in its midst."""
    arguments = registration("long", 5004242)
    size = 33554436
    with Engine(tmp_path) as engine:
        holder = engine.client()
        holder.register("holder", 5004343)
        for number in range(1000):
            holder.acquire(engine.lockspace, f"disk-{number}")
        client = engine.client()
        before = memory(engine.pid)
        header = Header(0, lock.PROGRAM, lock.VERSION, REGISTER, CALL, 1, OK)
        message = pack_uint(size) + pack_message(header, arguments)[4:]
        stopwatch = Stopwatch(engine.pid)
        with Bystander(engine):
            client.socket.sendall(message)
            left = size - len(message)
            piece = bytes(1 << 16)
            while left > len(piece):
                client.socket.sendall(piece)
                left -= len(piece)
            grown = memory(engine.pid) - before
        took = stopwatch.seconds
        print(f"{took:.2f} s for 32 MiB; memory grew by {grown >> 10} KiB")
        assert took < 5
        assert grown < 16 << 20
        wait_for(lambda: not pending(client.socket), "all of it is read")
        engine.crash()
        client.socket.sendall(bytes(left))
        client.reply()
        client.acquire(engine.lockspace, "disk")


def pending(connection: socket.socket) -> int:
    """How many bytes the other side has not read (SIOCOUTQ)."""
    import fcntl
    import termios
    from array import array

    number = array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, number)
    return number[0]


def test_a_client_that_does_not_read(engine: Engine) -> None:
    """It calls 100,000 times and never reads: its calls wait, the daemon's memory is bounded, and
    others are served. When it reads at last, each call that it could send is answered."""
    calls = 100_000
    message = pack_message(
        Header(0, lock.PROGRAM, lock.VERSION, RELEASE, CALL, 1, OK),
        resource(engine.lockspace, "nobody's", 0),
    )
    with Client(engine.socket) as client, Bystander(engine):
        client.register("deaf", 5004242)
        before = memory(engine.pid)
        client.socket.settimeout(2)
        left = memoryview(message * calls)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while left:
                size = client.socket.send(left[: 1 << 16])
                left = left[size:]
                sent += size
        assert left
        grown = memory(engine.pid) - before
        print(f"{sent // len(message)} of {calls} calls could be sent; memory {grown >> 10} KiB")
        assert grown < 8 << 20
        client.socket.settimeout(20)
        for _ in range(sent // len(message)):
            with pytest.raises(CallRefusedError, match="is not locked"):
                client.reply()


def test_a_client_that_does_not_read_and_dies(engine: Engine) -> None:
    """It is forgotten."""
    message = pack_message(
        Header(0, lock.PROGRAM, lock.VERSION, RELEASE, CALL, 1, OK),
        resource(engine.lockspace, "nobody's", 0),
    )
    connected = engine.ask("status")["clients"]["virtlockd"]["connected"]
    with Client(engine.socket) as client:
        client.register("deaf", 5004242)
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            client.socket.sendall(message * 100_000)
    wait_for(
        lambda: engine.ask("status")["clients"]["virtlockd"]["connected"] == connected,
        "it is forgotten",
    )


# --- many clients


def connect_silently(path: Path, number: int) -> list[socket.socket]:
    """Connections that say nothing."""
    found = []
    deadline = time.monotonic() + 60
    for _ in range(number):
        assert time.monotonic() < deadline
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(path))
        found.append(connection)
    return found


@pytest.mark.parametrize("limit", [None, 12000])
def test_ten_thousand_that_say_nothing(tmp_path: Path, limit: int | None) -> None:
    """Connected clients are served all the while. A new client is served too, or gets the error at
    once that there are too many."""
    files = {} if limit is None else {"virtlockd.conf": f"max_clients = {limit}\n"}
    with Engine(tmp_path, files=files) as engine, contextlib.ExitStack() as stack:
        with Bystander(engine):
            begun = time.monotonic()
            for each in connect_silently(engine.socket, 10_000):
                stack.callback(each.close)
            print(f"{time.monotonic() - begun:.2f} s to connect")
            stopwatch = Stopwatch(engine.pid)
            with Client(engine.socket) as client:
                if limit is None:
                    error = 39, 7, "Too many active clients: max_clients is 1024"
                    assert refused(client, REGISTER, registration("late", 5004343)) == error
                else:
                    client.register("late", 5004343)
                    client.acquire(engine.lockspace, "disk")
                    client.release(engine.lockspace, "disk")
            assert stopwatch.seconds < _NOTICED
            clients = engine.ask("status")["clients"]["virtlockd"]
            assert clients["connected"] == (1024 if limit is None else 10_001)
        assert ("Too many active clients: max_clients is 1024" in engine.log) == (limit is None)
        if limit is not None:
            engine.crash()
            with engine.client() as client:
                client.register("later", 5004343)
        assert "Traceback" not in engine.log


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_the_limit(tmp_path: Path, limit: int) -> None:
    """A client that is one too many is told, each time, and it is in the log; when one goes, there
    is room."""
    with Engine(tmp_path) as engine, contextlib.ExitStack() as stack:
        # A configuration cannot say 0, but virt-admin can.
        with Client(engine.admin_socket) as client:
            parameters = pack_parameters([Parameter(each, UINT, limit) for each in _LIMITS])
            arguments = pack_string("virtlockd") + parameters + pack_uint(0)
            client.call(1, pack_uint(0), program=admin.PROGRAM)
            client.call(_SET_CLIENT_LIMITS, arguments, program=admin.PROGRAM)
        wait_for(
            lambda: engine.ask("status")["clients"]["virtlockd"]["connected"] == 0,
            "nobody is there",
        )
        inside = [stack.enter_context(Client(engine.socket)) for _ in range(limit)]
        for client in inside:
            client.register("guest", 5004242)
        text = f"Too many active clients: max_clients is {limit}"
        for _ in range(3):
            with Client(engine.socket) as client:
                assert refused(client, REGISTER, registration("guest", 5004343)) == (39, 7, text)
                with pytest.raises(EOFError):
                    client.receive()
        assert text in engine.log
        # Those on the other socket are not too many.
        assert engine.ask("status")["clients"]["virtlockd"]["max"] == limit
        if inside:
            inside.pop().close()
            with Client(engine.socket) as client:
                client.register("guest", 5004343)


# --- guests that die badly


def start_guest(
    engine: Engine, stack: contextlib.ExitStack, kind: str, *names: str
) -> subprocess.Popen[bytes]:
    """A guest that holds locks."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", _GUEST, kind, engine.socket, engine.lockspace, *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"holds\n"
    return process


def state_of(pid: int) -> str:
    """The state of a process: Z if it has ended and its parent has not waited for it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def longest_call_while_a_guest_is_not_reaped(engine: Engine, client: Client) -> float:
    """What a call of another client took at most, in seconds, when a guest that holds 20 locks had
    died and was not reaped; the client has them then."""
    names = [f"dead-{number}" for number in range(20)]
    command = [sys.executable, "-c", _PARENT, "-c", _GUEST, "dead"]
    with contextlib.ExitStack() as stack:
        parent = stack.enter_context(
            subprocess.Popen(
                [*command, str(engine.socket), str(engine.lockspace), *names],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        stack.callback(parent.kill)
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        with Bystander(engine, patience=60) as bystander:
            assert not client.can_acquire(engine.lockspace, names[0])
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: state_of(pid) == "Z", "it is dead")
            wait_for(lambda: client.can_acquire(engine.lockspace, names[0]), "the locks are free")
            for name in names[1:]:
                client.acquire(engine.lockspace, name)
            time.sleep(0.5)
            assert state_of(pid) == "Z"
        return bystander.longest


def test_a_dead_guest_that_nobody_reaps(engine: Engine, client: Client, tmp_path: Path) -> None:
    """No client waits for it, while virtlockd answers no client for some seconds."""
    ours = longest_call_while_a_guest_is_not_reaped(engine, client)
    for number in range(20):
        client.release(engine.lockspace, f"dead-{number}")
    with Engine(tmp_path, command=("/usr/sbin/virtlockd",)) as other, other.client() as theirs:
        theirs.register("guest", 5004242)
        virtlockd = longest_call_while_a_guest_is_not_reaped(other, theirs)
    print(f"the longest call: {ours * 1000:.1f} ms, with virtlockd {virtlockd * 1000:.1f} ms")
    assert ours < _NOTICED
    assert virtlockd > 4 * _NOTICED


def test_a_guest_that_does_not_end_when_asked(engine: Engine, client: Client) -> None:
    """It hangs up, ignores SIGTERM, and is killed. Its lock is not free before it is dead, and
    no other client waits."""
    with contextlib.ExitStack() as stack:
        guest = start_guest(engine, stack, "stubborn", "stubborn")
        assert guest.stdin is not None
        with Bystander(engine):
            begun = time.monotonic()
            guest.stdin.write(b"\n")
            guest.stdin.flush()
            while not client.can_acquire(engine.lockspace, "stubborn"):
                assert time.monotonic() - begun < 10
                time.sleep(0.002)
            assert state_of(guest.pid) == "Z"
            took = time.monotonic() - begun
        print(f"killed after {took:.2f} s")
        assert guest.wait(10) == -signal.SIGKILL
        assert 1 < took < 4
        assert f"guest with pid {guest.pid} does not end when asked to" in engine.log
        client.release(engine.lockspace, "stubborn")


def test_a_limit_of_0_in_the_configuration(tmp_path: Path) -> None:
    """It is an error there, before there is a socket."""
    engine = Engine(tmp_path, files={"virtlockd.conf": "max_clients = 0\n"})
    assert engine.process.wait(30) == 78
    assert "virtlockd.conf:1:15: 'max_clients' is 0" in engine.log
    assert not engine.socket.exists()
