"""The note that a holder leaves with its lock file.

A note is JSON that begins with the key ``lockd``. Any user who can write the file can have written
it, so it counts only while the lock is held.
"""

from __future__ import annotations

import errno
import os

from lockd.kernel import statx

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


#: The extended attribute of a note, and the errors that mean that it cannot be set.
_ATTRIBUTE: Final = "user.lockd"
_NO_ATTRIBUTES: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOSPC, errno.EPERM)

#: What a note begins with, and how long one may be, in bytes.
_NOTE: Final = b'{"lockd": 1, '
LONGEST_NOTE: Final = 4096


def write_note(fd: int, note: bytes) -> None:
    """Leave a note on the holder with a lock file.

    ``note`` is JSON that begins with the key ``lockd``. It goes into an extended attribute, which
    other hosts see at once; if these are unavailable, into the file itself, if that is empty or
    holds a note. Raises OSError.
    """
    assert note.startswith(_NOTE)
    if len(note) > LONGEST_NOTE:
        return
    try:
        os.setxattr(fd, _ATTRIBUTE, note)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        if os.pread(fd, len(_NOTE), 0) in (b"", _NOTE):
            os.pwrite(fd, note, 0)
            os.ftruncate(fd, len(note))


def wipe_note(fd: int) -> None:
    """Remove the note: no process holds the lock."""
    try:
        os.removexattr(fd, _ATTRIBUTE)
    except OSError:
        # There is none. A note that stays misleads no holder: it counts only while the lock is
        # held.
        pass
    try:
        if os.pread(fd, len(_NOTE), 0) == _NOTE:
            os.ftruncate(fd, 0)
    except OSError:
        pass


def note_now(fd: int, path: str) -> bytes:
    """The note with a lock file that is locked, as the server has it. Raises OSError."""
    statx.refresh(fd, path, flush=False)
    return read_note(fd)


def read_note(fd: int) -> bytes:
    """The note with an open lock file, or nothing."""
    try:
        note = os.getxattr(fd, _ATTRIBUTE)
    except OSError:
        try:
            note = os.pread(fd, LONGEST_NOTE, 0)
        except OSError:
            return b""
    return note if note.startswith(_NOTE) else b""
