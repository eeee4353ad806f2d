"""File locks of the configuration tools. The only caller of :mod:`fcntl` in this package."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from struct import Struct

from lockcfg.errors import BusyError, WriteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: How long a writer waits for another one, in seconds.
PATIENCE: Final = 5.0

_PROBE: Final = ".lockcfg-probe"

#: ``struct flock`` where files have 64 bits.
_FLOCK: Final = Struct("hhqqi4x")


class DirectoryLock:
    """One writer at a time in a directory: an exclusive ``flock`` on the directory itself.

    It leaves no lock file behind and ends with the process, however that ends.
    """

    def __init__(self, directory: str, descriptor: int | None = None) -> None:
        """``directory`` is its path; if it is open already (O_PATH), ``descriptor`` counts."""
        self._directory = directory
        self._opened = descriptor
        self._fd = -1

    def acquire(self) -> None:
        """Wait for the lock. Raises :class:`BusyError` after :data:`PATIENCE` seconds,
        :class:`WriteError` where the directory cannot be locked."""
        try:
            path = self._directory if self._opened is None else "."
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            self._fd = os.open(path, flags, dir_fd=self._opened)
            deadline = time.monotonic() + PATIENCE
            while not self._try():
                if time.monotonic() > deadline:
                    raise BusyError(
                        self._directory,
                        "another lockcfg is writing here",
                        help="wait for it to end and try again",
                    )
                time.sleep(0.02)
        except FileNotFoundError as error:
            raise WriteError(
                self._directory, "there is no such directory", help="is libvirt installed here?"
            ) from error
        except OSError as error:
            self.release()
            raise WriteError(self._directory, f"cannot be locked: {error.strerror}") from error
        except BusyError:
            self.release()
            raise

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @property
    def fd(self) -> int:
        """The descriptor of the directory while the lock is held."""
        return self._fd

    def release(self) -> None:
        """Let the lock go, if it is held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def lock_on(path: str, start: int, length: int) -> tuple[bool, int] | None:
    """A lock of another process on some bytes of a file, which excludes an exclusive lock: whether
    it is shared, and the pid of its process (0 if the kernel does not say). None if there is no
    such lock. Nothing is locked; a file server is asked. Raises OSError."""
    # Not to be written: udev would look at a block device again when it is closed.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        # As a file that no process has open: a lock of this very process would count, too.
        told = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        told = fcntl.fcntl(fd, fcntl.F_GETLK, asked)
    finally:
        os.close(fd)
    kind, _, _, _, pid = _FLOCK.unpack(told)
    return None if kind == fcntl.F_UNLCK else (kind == fcntl.F_RDLCK, max(pid, 0))


def try_lock(directory: str) -> str | None:
    """Lock a scratch file in ``directory`` as the lock daemon would, and remove it.

    Returns None if that works, else why it does not. Whether another host would see the
    lock, it cannot tell.
    """
    path = os.path.join(directory, f"{_PROBE}-{os.urandom(8).hex()}")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        return f"no file can be created in it: {error.strerror}"
    try:
        # Byte 0, length 1: the very lock that virtlockd takes.
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return f"its file system has no locks: {error.strerror}"
        return f"no file in it can be locked: {error.strerror}"
    finally:
        os.close(fd)
        os.unlink(path)
    return None
