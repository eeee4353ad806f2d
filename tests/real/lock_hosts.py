"""Hosts with a real lock daemon each, and what happens when two of them want one lock.

A host is a directory that is its ``/run``, so its daemon's socket is in there: made by
:class:`LockHost` on this machine, or by a test with hosts of other kinds. :func:`grants_both` asks
the daemons of any two.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from lockcfg.fleet.snapshots import collector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Final, Self

    from lockcfg.fleet.model.locks import Lock

_PROGRAM: Final = 0xEA7BEEF
_REGISTER, _ACQUIRE, _RELEASE, _CREATE_LOCKSPACE = 1, 6, 7, 8
_SHARED, _AUTOCREATE = 1, 2

#: libvirt's codes for a resource that another owner has, and for a call of the system that failed.
_BUSY: Final = 87
_SYSTEM: Final = 38

#: After how long a name of a file that another host has removed is looked up again, in seconds.
_STALE: Final = 1.1


class Client:
    """What libvirtd is to a lock daemon, for one guest, whose process is ``pid``.

    ``stale``: ask once more where the daemon fails, as virtlockd does where another host has
    removed a lock file whose name is still cached."""

    def __init__(self, run: Path, pid: int, *, stale: bool = False) -> None:
        self._stale = stale
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(20)
        # By way of a descriptor: the path of a socket may have 107 bytes and no more.
        directory = os.open(run / "libvirt", os.O_PATH)
        try:
            self._socket.connect(f"/proc/self/fd/{directory}/virtlockd-sock")
        finally:
            os.close(directory)
        self._serial = 0
        who = uuid.uuid4()
        assert self._call(_REGISTER, who.bytes + _string(str(who)) + _u32(1, pid, 0)) is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def acquire(self, lock: Lock) -> bool:
        """Take a lock as the lockd plugin would: whether it is granted."""
        if lock.space:
            assert self._call(_CREATE_LOCKSPACE, _string(lock.space)) is None
        flags = (_AUTOCREATE if lock.space else 0) | (_SHARED if lock.shared else 0)
        arguments = _string(lock.space) + _string(lock.name) + _u32(flags)
        error = self._call(_ACQUIRE, arguments)
        if error == _SYSTEM and self._stale:
            time.sleep(_STALE)
            error = self._call(_ACQUIRE, arguments)
        assert error in (None, _BUSY), error
        return error is None

    def release(self, lock: Lock) -> None:
        """Let it go."""
        arguments = _string(lock.space) + _string(lock.name) + _u32(0)
        assert self._call(_RELEASE, arguments) is None

    def _call(self, procedure: int, arguments: bytes) -> int | None:
        """Call, and return None or the code of the error."""
        self._serial += 1
        header = _u32(_PROGRAM, 1, procedure, 0, self._serial, 0)
        self._socket.sendall(_u32(len(header) + len(arguments) + 4) + header + arguments)
        (length,) = struct.unpack(">I", self._receive(4))
        reply = self._receive(length - 4)
        (status,) = struct.unpack_from(">I", reply, 20)
        return None if status == 0 else int(struct.unpack_from(">i", reply, 24)[0])

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self._socket.recv(length - len(data))
            assert piece, "the lock daemon closed the connection"
            data += piece
        return data


def _u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _string(text: str) -> bytes:
    data = text.encode()
    return _u32(len(data)) + data + b"\0" * (-len(data) % 4)


def grants_both(
    one: Path, other: Path, first: Lock | None, second: Lock | None, *, stale: bool = False
) -> bool:
    """Whether the lock daemons of two hosts, whose ``/run`` are the directories given, both grant
    what their guests ask for; None is a guest that asks for nothing. Nothing is left locked."""
    if first is None or second is None:
        return True
    pid = os.getppid()  # not the client's: the daemon kills no process when it hangs up
    with Client(one, pid, stale=stale) as client, Client(other, pid + 1, stale=stale) as rival:
        assert client.acquire(first), "nobody else had it"
        try:
            granted = rival.acquire(second)
            if granted:
                rival.release(second)
        finally:
            client.release(first)
    return granted


class LockHost:
    """A host on this machine: mount and network namespaces, a private ``/run``, and a real lock
    daemon. ``mounts`` are directories of this machine by where the host has them."""

    def __init__(
        self,
        directory: Path,
        mounts: Mapping[str, Path],
        program: Sequence[str] = ("virtlockd",),
    ) -> None:
        self.run = directory / "run"
        self.etc = directory / "etc"
        for path in (self.run, self.etc / "qemu"):
            path.mkdir(parents=True, exist_ok=True)
        binds = "".join(
            f'mkdir -p "{point}" && mount --bind "{source}" "{point}" && '
            for point, source in mounts.items()
        )
        # What is mounted below /mnt is this host's alone: /mnt is a file system of its own.
        script = f'mount -t tmpfs tmpfs /mnt && {binds}mount --bind "{self.run}" /run && exec "$@"'
        namespaces = ["unshare", "--mount", "--propagation", "private", "--net"]
        log = directory / "log"
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [*namespaces, "sh", "-c", script, "sh", *program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={"PATH": os.defpath + ":/usr/sbin:/sbin", "LC_ALL": "C"},
            )
        deadline = time.monotonic() + 20
        while not (self.run / "libvirt/virtlockd-sock").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"no lock daemon: {log.read_text()}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """The process id of its daemon."""
        return self._process.pid

    def stop(self) -> None:
        """End the daemon; the namespaces go with it."""
        self._process.terminate()  # killed, lockd would leave its keeper behind
        self._process.wait(20)

    def inside(self, *command: str | Path) -> str:
        """What a command prints that is run on this host."""
        namespaces = ["nsenter", "--target", str(self._process.pid), "--mount", "--net"]
        result = subprocess.run(
            [*namespaces, *command], check=True, capture_output=True, text=True, timeout=60
        )
        return result.stdout

    def collect(self, name: str, *options: str) -> dict[str, Any]:
        """The snapshot that the collector takes on this host, run as it is on any."""
        text = self.inside(
            *(sys.executable, "-I", str(collector.__file__), "--name", name),
            *("--etc", str(self.etc), "--run", str(self.run / "libvirt"), *options),
        )
        snapshot: dict[str, Any] = json.loads(text)
        return snapshot


def guest_xml(name: str, disks: Sequence[str], *, lease: str = "") -> str:
    """The description of a guest: ``disks`` are <disk> elements."""
    return (
        f"<domain type='qemu'><name>{name}</name><uuid>{uuid.uuid5(uuid.NAMESPACE_DNS, name)}"
        f"</uuid><devices>{''.join(disks)}{lease}</devices></domain>"
    )


def disk_xml(path: str, *, shareable: bool = False, readonly: bool = False) -> str:
    """A <disk> with an image file or a block device."""
    kind, attribute = ("block", "dev") if path.startswith("/dev") else ("file", "file")
    return (
        f"<disk type='{kind}' device='disk'><source {attribute}='{path}'/>"
        f"{'<shareable/>' * shareable}{'<readonly/>' * readonly}</disk>"
    )
