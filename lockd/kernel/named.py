"""Files by their names: looks at them, makes and removes them. Nothing here locks.

**Planted files.** A lock file in a lockspace directory is *plain*: a regular file, and not a link.
Anything else there is planted, and lockd leaves it alone: opening a device can do something to it,
and a link can lead anywhere. In the default lockspace the files are the disks themselves, which may
be devices, and links may lead to them.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from lockd.kernel import statx

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    #: What a file is known by, whatever its name: device and inode, or (-1, number of the device)
    #: for a block device, which may have several nodes.
    Identity = tuple[int, int]


#: What GlusterFS may answer while another host makes the same directory. The host does not see the
#: directory after that, however long it waits, until it tries to make it once more.
_MADE_ELSEWHERE: Final = (errno.ESTALE, errno.ENOENT, errno.EEXIST)
#: How long to wait before that, in seconds, each time.
_BETWEEN_MAKING: Final = (0.0, 0.001, 0.01)


class PlantedError(Exception):
    """Something else has the name of a lock file; the text says what it is."""


_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


def check_plain(path: str) -> None:
    """Raise :class:`PlantedError` if something other than a regular file is at ``path``, and
    OSError if the system does not tell. A directory passes: opening it fails with an error that
    says so."""
    try:
        check_kind(path, os.lstat(path))
    except FileNotFoundError:
        pass


def check_kind(path: str, status: os.stat_result) -> None:
    """Raise :class:`PlantedError` if ``status``, that of ``path``, is not of a regular file."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise PlantedError(f"{path} is {kind}, no lock file")


def create(path: str, *, plain: bool) -> None:
    """Make an empty file if ``path`` does not exist; if ``plain``, not through a link. Raises
    :class:`PlantedError`, OSError."""
    # Opening a FIFO without a reader would never return.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    if plain:
        check_plain(path)
        flags |= os.O_NOFOLLOW
    close(os.open(path, flags, 0o600))


def identity_of(status: os.stat_result) -> Identity:
    """What the file with that status is known by."""
    if stat.S_ISBLK(status.st_mode):
        return -1, status.st_rdev
    return status.st_dev, status.st_ino


#: The errors that mean that no process could lock a file at a path.
_NO_FILE: Final = (
    *(errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.EINVAL),
)


def identity_at(path: str) -> Identity | None:
    """What the file at ``path`` is known by; None if there is none. Raises OSError if the system
    does not tell."""
    try:
        return identity_of(os.stat(path))
    except ValueError:  # no path at all
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise


def born_at(path: str) -> int:
    """When the file at ``path`` was made, by the clock of its file system; 0 if that does not tell,
    or there is none."""
    try:
        return statx.born_at(path)
    except (OSError, ValueError):
        return 0


def remove(path: str) -> None:
    """Remove a file. Raises OSError."""
    os.unlink(path)


def make_directory(path: str) -> None:
    """Make a directory (0700) and its parents if they are missing. Raises OSError."""
    for pause in _BETWEEN_MAKING:
        try:
            return os.makedirs(path, 0o700, exist_ok=True)
        except OSError as error:
            if error.errno not in _MADE_ELSEWHERE or os.path.lexists(path):
                break
        time.sleep(pause)
    return os.makedirs(path, 0o700, exist_ok=True)


def is_directory(path: str) -> bool:
    """Whether there is a directory of that name."""
    return os.path.isdir(path)


def exists(path: str) -> bool:
    """Whether there is something of that name, and not only a link to nothing."""
    return os.path.exists(path)


def exists_at_all(path: str) -> bool:
    """Whether there is something of that name, even a link to nothing."""
    return os.path.lexists(path)


def close(fd: int) -> None:
    """Close a descriptor. It is closed even if the system reports an error."""
    try:
        os.close(fd)
    except OSError:
        pass
