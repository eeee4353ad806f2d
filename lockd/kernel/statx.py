"""statx(2): with AT_STATX_FORCE_SYNC what a server says of a file now, not what the cache says; and
when a file was made.

Python 3.11 has no ``os.statx``."""

from __future__ import annotations

import os
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_AT_EMPTY_PATH: Final = 0x1000
_FORCE_SYNC: Final = 0x2000
_BASIC_STATS: Final = 0x07FF

_BIRTH: Final = 0x0800
_AT_FDCWD: Final = -100

#: struct statx is 256 bytes; what is filled in of it is its first field, the number of links the
#: fourth; seconds and nanoseconds of the birth are further behind.
_SIZE: Final = 256
_FILLED: Final = Struct("=I")
_LINKS: Final = Struct("=IIQI")
_BORN: Final = Struct("=80xqI")


def _statx(fd: int, path: bytes, flags: int, wanted: int) -> bytes:
    """struct statx of a file. Raises OSError."""
    # Loaded where it is needed.
    import ctypes

    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_SIZE)
    if _libc.statx(fd, path, flags, wanted, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw


def _links(fd: int) -> int:
    """The number of links that an open file has on the server. Raises OSError."""
    status = _statx(fd, b"", _AT_EMPTY_PATH | _FORCE_SYNC, _BASIC_STATS)
    return int(_LINKS.unpack_from(status)[3])


def born_at(path: str) -> int:
    """When a file was made, in nanoseconds since the epoch, by the clock of its file system; 0
    if that does not tell. Raises OSError."""
    status = _statx(_AT_FDCWD, os.fsencode(path), 0, _BIRTH)
    if not _FILLED.unpack_from(status)[0] & _BIRTH:
        return 0
    seconds, nanoseconds = _BORN.unpack_from(status)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


_libc: Any = None


def refresh(fd: int, path: str, *, flush: bool) -> bool:
    """Ask the server whether an open file is still there, and have its name looked up again;
    ``flush`` it first, which makes GlusterFS's answer right.

    False if the file has been removed. Every step is against a cache that was seen to answer in
    place of the server: fsync(2) against GlusterFS's own cache of attributes, the attribute of the
    name against that of names, the status of the directory against NFS's cache of it. Raises
    OSError.
    """
    if flush:
        os.fsync(fd)
    if _links(fd) == 0:
        return False
    look_up(path)
    above = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _links(above)
    finally:
        os.close(above)
    return True


def look_up(path: str) -> None:
    """Make GlusterFS and the kernel look a name up again, whatever they remember of it."""
    try:
        os.getxattr(path, "user.lockd")
    except OSError:
        pass  # the result does not matter
