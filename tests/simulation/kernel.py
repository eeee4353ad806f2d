"""The calls of the system that the daemon makes, on a host in memory, for the process that runs.

The modules of lockd get objects from here in the place of ``os``, ``fcntl``, ``socket``, ``mmap``,
``signal`` and ``time``. What is not here raises AttributeError: no call reaches the real system.
"""

from __future__ import annotations

import errno
import fcntl as real_fcntl
import mmap as real_mmap
import os as real_os
import signal as real_signal
import socket as real_socket
import time as real_time
from array import array
from collections import deque
from select import EPOLLHUP, EPOLLIN, EPOLLOUT
from struct import Struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.simulation.files import OpenFile, View, failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tests.simulation.host import Turns

PAGE: Final = real_mmap.PAGESIZE
_FLOCK: Final = Struct("hhqqi4x")


class Killed(BaseException):
    """The process has been killed, and does nothing more."""


class Replaced(BaseException):
    """The process is another program now (execve)."""


# --- what a descriptor is of


class Thing:
    """What descriptors lead to, as long as one is left."""

    def __init__(self) -> None:
        self.count = 0

    def let_go(self) -> None:
        """One descriptor less."""
        self.count -= 1
        if not self.count:
            self.close()

    def close(self) -> None:
        """It is open in no process now."""

    def events(self) -> int:
        """What epoll(7) would tell of it."""
        return 0


class LockFile(Thing):
    """An open file of a file system."""

    def __init__(self, file: OpenFile) -> None:
        super().__init__()
        self.file: Final = file

    def close(self) -> None:
        self.file.close()


class Directory(Thing):
    """An open directory."""

    def __init__(self, view: View | None, path: str) -> None:
        super().__init__()
        self.view: Final = view
        self.path: Final = path


class Text(Thing):
    """A file of /proc."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.text: Final = text


class Memory(Thing):
    """What memfd_create(2) makes: a page, and what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.head: Final = Page(PAGE)
        self.rest: Final = Rest()
        self.size = 0


class Page(bytearray):
    """The first page of such memory, mapped."""

    def close(self) -> None:
        """It is no longer mapped."""


class Rest(bytearray):
    """What follows, mapped. It has a position, as a file."""

    position = 0

    def resize(self, size: int) -> None:
        """Be as long as that."""
        if size > len(self):
            self.extend(bytes(size - len(self)))

    def seek(self, position: int) -> None:
        """Go there."""
        self.position = position

    def tell(self) -> int:
        """Where it is."""
        return self.position

    def readline(self) -> bytes:
        """The line from there."""
        end = self.find(b"\n", self.position) + 1 or len(self)
        line, self.position = bytes(self[self.position : end]), end
        return line

    def close(self) -> None:
        """It is no longer mapped."""


class Stream(Thing):
    """One end of a connection; ``pid`` is the process at the other end."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid: Final = pid
        self.peer: Stream | None = None
        self.received = b""
        self.is_over = False

    def events(self) -> int:
        if self.is_over:
            return EPOLLHUP | EPOLLIN | EPOLLOUT
        return EPOLLIN | EPOLLOUT if self.received else EPOLLOUT

    def close(self) -> None:
        self.shut()

    def shut(self) -> None:
        """Neither end sends from now on."""
        self.is_over = True
        if self.peer is not None:
            self.peer.is_over = True


def connection(pid: int) -> tuple[Stream, Stream]:
    """A connection of that process: the daemon's end, and its own."""
    ours, theirs = Stream(pid), Stream(0)
    ours.peer, theirs.peer = theirs, ours
    return ours, theirs


class Listening(Thing):
    """A socket that clients connect to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Final[deque[Stream]] = deque()

    def events(self) -> int:
        return EPOLLIN if self.waiting else 0


class Queue(Thing):
    """One end of a pair of sockets; descriptors wait in the other until a process reads."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: Final[list[tuple[bytes, list[Thing]]]] = []
        self.peer: Queue | None = None

    def close(self) -> None:
        for _, things in self.messages:
            for thing in things:
                thing.let_go()
        self.messages.clear()


class Pipe(Thing):
    """One end of a pipe, through which nothing goes: what counts is whether the other is open."""

    def __init__(self, other: Pipe | None = None) -> None:
        super().__init__()
        self.other: Final = other


class ProcessFd(Thing):
    """What pidfd_open(2) makes."""

    def __init__(self, process: Any) -> None:
        super().__init__()
        self.process: Final = process

    def events(self) -> int:
        return EPOLLIN if self.process.has_ended else 0


# --- processes


class Process:
    """A process of the daemon, with its descriptors. ``on_step`` is called at each step."""

    def __init__(self, host: Any, pid: int, on_step: Callable[[Process, str], None]) -> None:
        self.host: Final = host
        self.pid: Final = pid
        self.fds: dict[int, Thing] = {}
        self.kept_open: set[int] = set()
        self.environment: dict[str, str] = {}
        self.reserve: Final[list[int]] = []
        self.is_over = False
        self.turns: Turns | None = None
        self._on_step: Final = on_step

    def step(self, name: str) -> None:
        """A step. Raises Killed, OSError."""
        if self.is_over:
            raise Killed
        self._on_step(self, name)
        if self.is_over:
            raise Killed

    def add(self, thing: Thing) -> int:
        """A descriptor of something: the lowest number that is free."""
        fd = 3
        while fd in self.fds:
            fd += 1
        thing.count += 1
        self.fds[fd] = thing
        return fd

    def thing(self, fd: int) -> Thing:
        """What a descriptor leads to. Raises OSError."""
        found = self.fds.get(fd)
        if found is None:
            raise failure(errno.EBADF)
        return found

    def close(self, fd: int) -> None:
        """Close a descriptor. Raises OSError."""
        self.thing(fd)
        self.fds.pop(fd).let_go()
        # Another file with that number is closed on execve(2).
        self.kept_open.discard(fd)

    def end(self) -> None:
        """It is over: its descriptors are closed."""
        if not self.is_over:
            self.is_over = True
            for thing in self.fds.values():
                thing.let_go()
            self.fds.clear()


class _Running:
    """Which process makes the calls."""

    process: Process


running: Final = _Running()


def _step(name: str) -> Process:
    process = running.process
    process.step(name)
    return process


def _file(fd: int) -> OpenFile:
    thing = running.process.thing(fd)
    assert isinstance(thing, LockFile), thing
    return thing.file


def _reach(path_or_view: str | View) -> View:
    """The file system that a path is on, once its server can be reached. Raises OSError."""
    host = running.process.host
    view = path_or_view if isinstance(path_or_view, View) else host.view_of(path_or_view)
    if view is None:
        raise failure(errno.ENOENT, str(path_or_view))
    if view.files.kind != "local":
        if running.process.turns is not None:
            running.process.turns.reach(view)
        host.wait_for_server()
    return view


def _lose(name: str, view: View) -> None:
    """The answer to what the server has just done may be lost. Raises OSError."""
    process = running.process
    process.host.cluster.on_answer(process, name, view)


class _Status:
    """What stat(2) tells."""

    st_size = 0
    st_mtime_ns = 0
    st_rdev = 0

    def __init__(self, device: int, inode: int, links: int, mode: int) -> None:
        self.st_dev = device
        self.st_ino = inode
        self.st_nlink = links
        self.st_mode = mode


_REGULAR: Final = 0o100600
_DIRECTORY: Final = 0o040700


def _status(view: View, inode: Any) -> _Status:
    return _Status(view.files.device, inode.number, view.links(inode), _REGULAR)


class Os:
    """In the place of ``os``."""

    def __init__(self) -> None:
        for name in dir(real_os):
            if name.isupper():
                setattr(self, name, getattr(real_os, name))
        self.strerror = real_os.strerror
        self.path = SimpleNamespace(
            dirname=real_os.path.dirname,
            abspath=real_os.path.abspath,
            basename=real_os.path.basename,
            join=real_os.path.join,
            realpath=lambda path: path,
            samestat=lambda a, b: (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
            isdir=self._is_directory,
            exists=self._exists,
            lexists=self._exists,
        )

    @property
    def environ(self) -> dict[str, str]:
        return running.process.environment

    def getpid(self) -> int:
        return running.process.pid

    def getppid(self) -> int:
        return 1

    def geteuid(self) -> int:
        return 0

    # --- files

    def open(self, path: str, flags: int, _mode: int = 0o600) -> int:
        process = _step("open")
        if path.startswith("/proc/"):
            return process.add(Text(self._proc(process, path)))
        if path == "/":
            return process.add(Directory(None, path))
        view = _reach(path)
        if flags & real_os.O_DIRECTORY:
            return process.add(Directory(view, path))
        file = view.open(path, create=bool(flags & real_os.O_CREAT))
        if flags & real_os.O_CREAT:
            try:
                _lose("open", view)
            except OSError:
                file.close()
                raise
        return process.add(LockFile(file))

    def _proc(self, process: Process, path: str) -> bytes:
        _, _, pid, what = path.split("/")
        guest = process.host.processes.get(int(pid))
        if what != "stat" or guest is None:
            raise failure(errno.ENOENT, path)
        return b"1 (x) " + b"0 " * 19 + b"%d 0\n" % guest.started

    def read(self, fd: int, _count: int) -> bytes:
        process = _step("read")
        thing = process.thing(fd)
        if isinstance(thing, Text):
            return thing.text
        assert isinstance(thing, Pipe)
        assert thing.other is not None
        if thing.other.count:
            raise failure(errno.EAGAIN)
        return b""

    def close(self, fd: int) -> None:
        # A descriptor is closed even where close(2) fails.
        process = running.process
        if process.is_over:
            raise Killed
        process.close(fd)
        process.step("close")

    def dup(self, fd: int) -> int:
        process = _step("dup")
        return process.add(process.thing(fd))

    def set_inheritable(self, fd: int, is_inheritable: bool) -> None:
        process = running.process
        process.thing(fd)
        (process.kept_open.add if is_inheritable else process.kept_open.discard)(fd)

    def stat(self, path: str) -> _Status:
        _step("stat")
        view = _reach(path)
        if path in view.files.directories:
            return _Status(view.files.device, 1, 2, _DIRECTORY)
        return _status(view, view.look_up(path))

    lstat = stat

    def fstat(self, fd: int) -> Any:
        process = _step("fstat")
        thing = process.thing(fd)
        if isinstance(thing, Memory):
            return SimpleNamespace(st_size=thing.size)
        file = _file(fd)
        return _status(file.view, file.inode)

    def statvfs(self, path: str) -> None:
        _step("statvfs")
        _reach(path)

    def unlink(self, path: str) -> None:
        _step("unlink")
        view = _reach(path)
        view.remove(path)
        _lose("unlink", view)

    def makedirs(self, path: str, _mode: int, *, exist_ok: bool) -> None:
        assert exist_ok
        _step("mkdir")
        _reach(path).files.directories.add(path)

    def _is_directory(self, path: str) -> bool:
        _step("stat")
        view = running.process.host.view_of(path)
        return view is not None and path in view.files.directories

    def _exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def readlink(self, path: str) -> str:
        raise failure(errno.EINVAL, path)

    def listdir(self, path: str) -> list[str]:
        raise failure(errno.ENOENT, path)

    def fsync(self, fd: int) -> None:
        _step("fsync")
        _reach(_file(fd).view)
        _file(fd).is_flushed = True

    # --- what is with a file

    def getxattr(self, which: int | str, _name: str) -> bytes:
        _step("getxattr")
        if isinstance(which, str):
            view = _reach(which)
            view.on_attribute_of(which)
            note = view.look_up(which).note
        else:
            _reach(_file(which).view)
            note = _file(which).inode.note
        if not note:
            raise failure(errno.ENODATA)
        return note

    def setxattr(self, fd: int, _name: str, value: bytes) -> None:
        _step("setxattr")
        _reach(_file(fd).view)
        _file(fd).inode.note = value
        _lose("setxattr", _file(fd).view)

    def removexattr(self, fd: int, _name: str) -> None:
        _step("removexattr")
        _reach(_file(fd).view)
        if not _file(fd).inode.note:
            raise failure(errno.ENODATA)
        _file(fd).inode.note = b""
        _lose("removexattr", _file(fd).view)

    def pread(self, fd: int, _count: int, _offset: int) -> bytes:
        _step("pread")
        file = _file(fd)
        _reach(file.view)
        if file.is_lost and file.view.files.kind == "nfs":
            raise failure(errno.EIO)
        return b""

    # --- the journal's memory

    def memfd_create(self, _name: str, _flags: int = 0) -> int:
        return _step("memfd_create").add(Memory())

    def ftruncate(self, fd: int, size: int) -> None:
        thing = _step("ftruncate").thing(fd)
        if isinstance(thing, Memory):
            thing.size = max(thing.size, size)
            thing.rest.resize(thing.size - PAGE)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        thing = _step("pwrite").thing(fd)
        if not isinstance(thing, Memory):
            # A note in the lock file itself: nothing here reads it again.
            _reach(_file(fd).view)
        elif offset < PAGE:
            thing.head[offset : offset + len(data)] = data
        else:
            thing.rest[offset - PAGE : offset - PAGE + len(data)] = data
        return len(data)

    # --- processes

    def pidfd_open(self, pid: int) -> int:
        process = _step("pidfd_open")
        guest = process.host.processes.get(pid)
        if guest is None:
            raise failure(errno.ESRCH)
        return process.add(ProcessFd(guest))

    def posix_spawn(self, _path: str, _command: list[str], _environment: object) -> int:
        """The program that is asked whether it can go on: it can."""
        return int(_step("posix_spawn").host.spawn())

    def kill(self, pid: int, _number: int) -> None:
        """It has ended by itself."""
        assert running.process.host.processes[pid].has_ended

    def waitpid(self, pid: int, _options: int) -> tuple[int, int]:
        return pid, 0

    def pipe2(self, _flags: int) -> tuple[int, int]:
        process = _step("pipe2")
        write = Pipe()
        return process.add(Pipe(write)), process.add(write)

    def execve(self, _path: str, _command: list[str], environment: dict[str, str]) -> None:
        process = _step("execve")
        for fd in [*process.fds]:
            if fd not in process.kept_open:
                process.close(fd)
        process.environment = dict(environment)
        raise Replaced

    def _exit(self, _status: int) -> None:
        running.process.host.end_daemon()
        raise Killed


class Fcntl:
    """In the place of ``fcntl``."""

    def __init__(self) -> None:
        for name in dir(real_fcntl):
            if name.isupper():
                setattr(self, name, getattr(real_fcntl, name))

    def fcntl(self, fd: int, command: int, argument: Any = 0) -> Any:
        if command in (real_fcntl.F_GETFL, real_fcntl.F_SETFL):
            return 0
        _step("fcntl")
        file = _file(fd)
        _reach(file.view)
        how = _FLOCK.unpack(argument)[0]
        if command == real_fcntl.F_OFD_SETLK:
            if how == real_fcntl.F_UNLCK:
                file.unlock()
            else:
                file.lock(shared=how == real_fcntl.F_RDLCK)
            _lose("unlock" if how == real_fcntl.F_UNLCK else "fcntl", file.view)
            return argument
        assert command in (real_fcntl.F_GETLK, real_fcntl.F_OFD_GETLK)
        # For one of a process the lock of the open file itself is in the way, too. NFS goes by what
        # its own kernel remembers.
        own = command == real_fcntl.F_GETLK and (
            file in file.inode.locks or (file.is_lost and file.view.files.kind == "nfs")
        )
        if own or file.blocking(shared=False):
            return argument
        return _FLOCK.pack(real_fcntl.F_UNLCK, 0, 0, 0, 0)

    def lockf(self, fd: int, *_: object) -> None:
        _step("lockf")
        _file(fd)


class _Socket:
    """A socket of the process that runs."""

    def __init__(self, *_: int, fileno: int | None = None) -> None:
        self._fd = fileno if fileno is not None else running.process.add(Thing())

    def __enter__(self) -> _Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._fd

    def setblocking(self, _blocking: bool) -> None:
        """Nothing blocks."""

    def setsockopt(self, *_: object) -> None:
        """There is room for all messages."""

    def getsockopt(self, *_: object) -> bytes:
        thing = running.process.thing(self._fd)
        assert isinstance(thing, Stream)
        return Struct("iII").pack(thing.pid, 0, 0)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            _os.close(fd)

    def shutdown(self, _how: int) -> None:
        thing = _step("shutdown").thing(self._fd)
        if not isinstance(thing, Stream):
            raise failure(errno.ENOTCONN)
        thing.shut()

    def accept(self) -> tuple[_Socket, str]:
        process = _step("accept")
        thing = process.thing(self._fd)
        assert isinstance(thing, Listening)
        if not thing.waiting:
            raise failure(errno.EAGAIN)
        return _Socket(fileno=process.add(thing.waiting.popleft())), ""

    def recv(self, count: int) -> bytes:
        thing = _step("recv").thing(self._fd)
        assert isinstance(thing, Stream)
        data, thing.received = thing.received[:count], thing.received[count:]
        if not data and not thing.is_over:
            raise failure(errno.EAGAIN)
        return data

    def send(self, data: bytes) -> int:
        process = _step("send")
        thing = process.thing(self._fd)
        assert isinstance(thing, Stream)
        if thing.is_over or thing.peer is None:
            raise failure(errno.EPIPE)
        room = process.host.room_for(len(data))
        thing.peer.received += data[:room]
        if not room:
            raise failure(errno.EAGAIN)
        return int(room)

    def sendmsg(
        self, data: tuple[bytes], rights: Any, _flags: int = 0, address: str | None = None
    ) -> int:
        process = _step("sendmsg")
        things = [process.thing(fd) for _, _, fds in rights for fd in fds]
        if address is not None:
            process.host.tell_manager(data[0], things)
            return len(data[0])
        thing = process.thing(self._fd)
        assert isinstance(thing, Queue)
        assert thing.peer is not None
        if not thing.peer.count:
            raise failure(errno.ECONNREFUSED)
        for each in things:
            each.count += 1
        thing.peer.messages.append((data[0], things))
        return len(data[0])

    #: How far it has looked into a queue.
    _peeked = 0

    def recvmsg(self, _count: int, _room: int, _flags: int) -> tuple[bytes, Any, int, None]:
        process = _step("recvmsg")
        thing = process.thing(self._fd)
        assert isinstance(thing, Queue)
        if self._peeked == len(thing.messages):
            raise failure(errno.EAGAIN)
        data, things = thing.messages[self._peeked]
        self._peeked += 1
        fds = array("i", [process.add(each) for each in things])
        return data, [(real_socket.SOL_SOCKET, real_socket.SCM_RIGHTS, fds.tobytes())], 0, None


def _socket_pair(_family: int, _kind: int) -> tuple[_Socket, _Socket]:
    process = _step("socketpair")
    one, two = Queue(), Queue()
    one.peer, two.peer = two, one
    return _Socket(fileno=process.add(one)), _Socket(fileno=process.add(two))


def _map(fd: int, _length: int, offset: int = 0) -> Page | Rest:
    thing = _step("mmap").thing(fd)
    assert isinstance(thing, Memory)
    return thing.rest if offset else thing.head


def _send_signal(fd: int, number: int) -> None:
    thing = _step("pidfd_send_signal").thing(fd)
    assert isinstance(thing, ProcessFd)
    if thing.process.has_ended:
        raise failure(errno.ESRCH)
    thing.process.on_signal(number)


def has_ended(fd: int) -> bool:
    """In the place of :func:`lockd.kernel.process.has_ended`."""
    thing = _step("poll").thing(fd)
    assert isinstance(thing, ProcessFd)
    return bool(thing.process.has_ended)


def links(fd: int) -> int:
    """In the place of what :mod:`lockd.kernel.statx` asks statx(2)."""
    thing = _step("statx").thing(fd)
    if isinstance(thing, Directory):
        assert thing.view is not None
        _reach(thing.view)
        thing.view.on_directory_synced(thing.path)
        return 2
    _reach(_file(fd).view)
    return _file(fd).links()


def _monotonic() -> float:
    return float(running.process.host.now)


def _time() -> float:
    return float(running.process.host.wall_clock)


def _constants(module: Any, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{name: getattr(module, name) for name in dir(module) if name.isupper()}, **more
    )


def _nothing(*_: object) -> None:
    """A call that has no effect here."""


_os: Final = Os()

#: What the modules of lockd get, by the name of what it is in the place of.
MODULES: Final[dict[str, Any]] = {
    "os": _os,
    "fcntl": Fcntl(),
    "socket": _constants(real_socket, socket=_Socket, socketpair=_socket_pair),
    "mmap": SimpleNamespace(PAGESIZE=PAGE, mmap=_map),
    "signal": _constants(
        real_signal,
        signal=_nothing,
        pthread_sigmask=_nothing,
        pidfd_send_signal=_send_signal,
        Signals=real_signal.Signals,
    ),
    "time": SimpleNamespace(
        monotonic=_monotonic,
        time=_time,
        sleep=_nothing,
        gmtime=real_time.gmtime,
        strftime=real_time.strftime,
        localtime=real_time.localtime,
    ),
}
REAL: Final[dict[str, Any]] = {
    "os": real_os,
    "fcntl": real_fcntl,
    "socket": real_socket,
    "mmap": real_mmap,
    "signal": real_signal,
    "time": real_time,
}
