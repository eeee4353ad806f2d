"""Files of lockd's own at a known name: the PID file and the log.

In a directory that others may write, an attacker may have put something there: a link to a file of
the victim, another name of such a file, a pipe without a reader, or a file that the attacker
reads.
"""

from __future__ import annotations

import errno
import os
import stat


def open_own(path: str, flags: int, mode: int) -> int:
    """Open a file, and make it with ``mode`` if it is missing. In a directory that every user may
    write, refuse it unless it is a file of this user with no other name. It never blocks, neither
    now nor when it is written. Raises OSError."""
    above = os.stat(os.path.dirname(os.path.abspath(path)))
    is_open_to_all = bool(above.st_mode & stat.S_IWOTH)
    flags |= os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags | (os.O_NOFOLLOW if is_open_to_all else 0), mode)
    status = os.fstat(fd)
    is_own = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if is_open_to_all and not (is_own and status.st_uid == os.geteuid()):
        os.close(fd)
        raise FileExistsError(errno.EEXIST, "Another user has put something there", path)
    return fd
