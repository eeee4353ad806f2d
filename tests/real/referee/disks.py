"""A file system with a few images, which tells of each write who makes it.

    python -m tests.real.referee.disks DIRECTORY RECORD NAME…

It is mounted on DIRECTORY until its standard input ends. The writes of all hosts come to this one
process, one after another, so the order in RECORD is the order in which they reach the disk. What
wrote is known by the process that has opened the image.
"""

# ruff: noqa: ARG002 - the library says what an operation gets

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfusepy import (  # type: ignore[import-untyped]
    FUSE,
    FuseOSError,
    Operations,
    fuse_get_context,
)

from tests.real.referee.record import Write

if TYPE_CHECKING:
    from typing import Final

#: How large an image is, in bytes.
SIZE: Final = 1 << 20


class Disks(Operations):  # type: ignore[misc]  # the library has no types
    """Images in memory. What a guest reads does not matter: it only writes."""

    use_ns = True

    def __init__(self, record: int, names: list[str]) -> None:
        self._record: Final = record
        self._images: Final = {f"/{name}": bytearray(SIZE) for name in names}
        self._opened: Final[dict[int, tuple[str, str]]] = {}
        self._next = 0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """The root, and images that everyone may write."""
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        self._image(path)
        return {"st_mode": stat.S_IFREG | 0o666, "st_nlink": 1, "st_size": SIZE}

    def readdir(self, path: str, fh: int) -> list[str]:
        """The images."""
        return [".", "..", *(name[1:] for name in self._images)]

    def open(self, path: str, flags: int) -> int:
        """Note which process it is."""
        self._image(path)
        _, _, pid = fuse_get_context()
        self._next += 1
        self._opened[self._next] = (_process(pid), _guest(pid))
        return self._next

    def release(self, path: str, fh: int) -> int:
        """Forget it."""
        self._opened.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """What has been written."""
        return bytes(self._image(path)[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write, and record it first."""
        process, guest = self._opened[fh]
        line = Write(time.monotonic_ns(), path[1:], guest, process, offset, data[:4].hex())
        os.write(self._record, line.line().encode())
        self._image(path)[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Images keep their size."""
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """libvirt may ask for it."""
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """libvirt may ask for it."""
        return 0

    def flush(self, path: str, fh: int) -> int:
        """There is nothing to wait for."""
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """There is nothing to wait for."""
        return 0

    def _image(self, path: str) -> bytearray:
        try:
            return self._images[path]
        except KeyError:
            raise FuseOSError(errno.ENOENT) from None


def _process(pid: int) -> str:
    """A process, by its pid and its start time."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return f"{pid}"
    return f"{pid}.{status.rpartition(')')[2].split()[19]}"


def _guest(pid: int) -> str:
    """The guest that a QEMU process is; "-" for any other process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return "-"
    names = [word[6:].partition(",")[0] for word in words if word.startswith("guest=")]
    return names[0] if names else "-"


def _end_with_input(directory: str) -> None:
    sys.stdin.buffer.read()
    subprocess.run(("umount", "--lazy", directory))


def main(directory: str, record: str, *names: str) -> None:
    """Serve until the input ends."""
    threading.Thread(target=_end_with_input, args=(directory,), daemon=True).start()
    fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    # One thread: writes are recorded in the order in which they are done. Nothing is cached.
    FUSE(
        Disks(fd, list(names)),
        directory,
        foreground=True,
        nothreads=True,
        direct_io=True,
        attr_timeout=0,
        fsname="referee",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
