"""Locks on files. The only caller of :mod:`fcntl` here, and the only one that opens a resource.

A lock is on byte 0, one byte long, as virtlockd's are, so that the two exclude each other. It is
an *open-file-description* lock (fcntl(2)): it belongs to the descriptor and its copies, not to
the process. So it outlives this process wherever a copy is kept, and no close of another
descriptor of the same file can drop it, as it would a POSIX lock.

``lslocks`` of util-linux before 2.39 can name neither the process nor the file of such a lock. So
each lock file also gets a POSIX lock on byte 1, which excludes no process (virtlockd uses byte 0,
QEMU 100 to 203) and is listed with command, pid and path.

**Removed files.** A process that opens a lock file by its name and then locks it may have one that
was removed in between. So it looks at the file again with the lock held. If hosts share the file
system, this host's cache of it may be old: so lockd asks the server (:mod:`lockd.kernel.statx`),
and never removes a lock file at a release. ``docs/explanation/lockd.md`` has the figures.

**Generations.** On a file system that hosts share, the note that a holder leaves in its lock file
is the generation of the lock: a process that takes the lock takes away the note that it finds,
before it answers, and a holder takes away its own when it releases the lock. A holder that lost its
lock and has it again knows by its note that no other holder has had it meanwhile. virtlockd knows
no notes, but removes the file when it releases the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from _thread import allocate_lock
from contextlib import suppress
from struct import Struct

from lockd.kernel import statx
from lockd.kernel.named import PlantedError, check_kind, check_plain, close, identity_of
from lockd.kernel.note import LONGEST_NOTE, read_note, wipe_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    from lockd.kernel.named import Identity

    #: Whether the file system with that device number, which the path is on, may be shared with
    #: other hosts.
    MayBeShared = Callable[[int, str], bool]

    #: The state of a lock. ``held``: it is held. ``moved``: its name belongs to another file, or to
    #: none. ``regained``: the file system had lost it, and it is held again. ``taken``: another
    #: process has it.
    State = Literal["held", "moved", "regained", "taken"]

    #: The outcome of turning a lock into the other kind. ``held``: done, and it was held all the
    #: time. ``regained``: done, but it had not been held at all. ``taken``: another lock conflicts;
    #: a shared lock is held now, or none. ``impossible``: the file system has no locks of that
    #: kind, and nothing has changed.
    Turned = Literal["held", "regained", "taken", "impossible"]

_FLOCK: Final = Struct("hhqqi4x")
_EXCLUSIVE: Final = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
_SHARED: Final = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0)
_NONE: Final = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0)
_IS_FREE: Final = _NONE[:2]

_SET_LOCK: Final = fcntl.F_OFD_SETLK

#: The errors of a kernel or a file system without open-file-description locks.
_NO_SUCH_LOCKS: Final = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)

#: What a shared file system may answer for a file that another host has just removed or made.
_RETRIED: Final = (errno.ESTALE, errno.EEXIST)
_GONE: Final = (errno.ESTALE, errno.ENOENT)

#: How often one call tries again when the file it locked turns out not to be the one of that name.
_TRIES: Final = 50

#: How long a lock is known to be held, in seconds, after the server of its file system was asked
#: for it: no server gives the locks of a host up sooner.
SURE_FOR: Final = 5.0

#: The byte of the POSIX lock that is for people to look at.
_VISIBLE: Final = 1

_PAGE: Final = 4096


#: Held while it is decided which thread closes a descriptor: a second close would be of another
#: file that has got the number.
_closing: Final = allocate_lock()


class HeldError(Exception):
    """Another process holds the lock. ``identity`` is that of the file. ``note`` is the holder's
    note, or empty; it is not trusted. ``pid`` is that of the holder, 0 if unknown; on a file system
    that hosts share it may be a pid of another host."""

    def __init__(self, identity: Identity, note: bytes, pid: int) -> None:
        super().__init__()
        self.identity: Final = identity
        self.note: Final = note
        self.pid: Final = pid


class VanishedError(Exception):
    """The file at the name was another one each time it was looked at."""


class FileLock:
    """A lock that is held. ``posix`` tells that the file system has no better one; ``fd`` is the
    descriptor that it belongs to. While ``busy``, another thread uses the descriptor, and it stays
    open. ``remote`` tells whether other hosts may use the file system, None until that is known."""

    __slots__ = ("busy", "fd", "identity", "is_over", "posix", "remote")

    def __init__(self, fd: int, identity: Identity, posix: bool) -> None:
        self.fd: Final = fd
        self.identity: Final = identity
        self.posix: Final = posix
        self.busy = False
        self.is_over = False
        self.remote: bool | None = None


def take(
    path: str, *, shared: bool, create: bool, plain: bool, may_be_shared: MayBeShared
) -> FileLock:
    """Lock the file at ``path``, shared or exclusive; ``create`` it (0600) if it is missing. If
    ``plain``, refuse a file that is not a plain one.

    Raises :class:`HeldError`, :class:`VanishedError`, :class:`PlantedError`, and OSError with
    ``filename`` set if the file cannot be opened, unset if it cannot be locked.
    """
    # A FIFO or a terminal must not keep all clients waiting.
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    flags |= (os.O_CREAT if create else 0) | (os.O_NOFOLLOW if plain else 0)
    for attempt in range(_TRIES):
        if attempt:
            statx.look_up(path)
        try:
            if plain:
                check_plain(path)
            fd = os.open(path, flags, 0o600)
        except OSError as error:
            # A file that another host removed while it was looked up, or a link to nowhere.
            again = error.errno in _RETRIED or (
                create and error.errno == errno.ENOENT and os.path.isdir(os.path.dirname(path))
            )
            if again and attempt < _TRIES - 1:
                continue
            raise
        try:
            asked = time.monotonic()
            posix = _lock(fd, _SHARED if shared else _EXCLUSIVE)
            status = _status_if_there(fd, path, may_be_shared)
            if status is not None:
                if plain:
                    check_kind(path, status)
                has_server = may_be_shared(status.st_dev, path)
                if plain and has_server:
                    _end_generation(fd)
                # The server may have been away since, and have given the lock to another host.
                if not has_server or time.monotonic() - asked < SURE_FOR:
                    return FileLock(fd, identity_of(status), posix)
        except (HeldError, PlantedError):
            close(fd)
            raise
        except OSError as error:
            close(fd)
            # A file that was opened from a cache turns out to be gone only when it is locked.
            if error.errno not in _GONE:
                raise
            continue
        close(fd)
    raise VanishedError


def _lock(fd: int, how: bytes) -> bool:
    """Lock the open file; whether it is a POSIX lock. Raises :class:`HeldError`, OSError."""
    command, posix = _SET_LOCK, False
    while True:
        try:
            fcntl.fcntl(fd, command, how)
        except OSError as error:
            if error.errno in _NO_SUCH_LOCKS and not posix:
                command, posix = fcntl.F_SETLK, True
                continue
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise HeldError(
                    identity_of(os.fstat(fd)), read_note(fd), _holder(fd, posix=posix)
                ) from None
            raise
        return posix


def _holder(fd: int, *, posix: bool) -> int:
    """The pid of the process that keeps us from locking a file; 0 for a lock that is no
    process's."""
    try:
        found = fcntl.fcntl(fd, fcntl.F_GETLK if posix else fcntl.F_OFD_GETLK, _EXCLUSIVE)
    except OSError:
        return 0
    return max(0, int(_FLOCK.unpack(found)[4]))


def _status_if_there(fd: int, path: str, may_be_shared: MayBeShared) -> os.stat_result | None:
    """The status of the file that was just locked, if it is the one at ``path``, else None."""
    try:
        mine = os.fstat(fd)
        if not may_be_shared(mine.st_dev, path):
            # A process that removes a lock file has locked it, so the file is removed by now or
            # stays.
            return mine if mine.st_nlink else None
        # A disk may have much to write out, and is not a file that is removed at a release.
        if not statx.refresh(fd, path, flush=mine.st_size <= LONGEST_NOTE):
            return None
        named = os.stat(path)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    same = mine.st_ino == named.st_ino and mine.st_dev == named.st_dev
    return mine if same else None


def is_at(fd: int, path: str, may_be_shared: MayBeShared, *, plain: bool) -> bool:
    """Whether the open file is the one at ``path``; if ``plain``, not by a link. Raises OSError if
    the system does not tell."""
    status = _status_if_there(fd, path, may_be_shared)
    if status is None:
        return False
    try:
        return os.path.samestat(status, os.lstat(path) if plain else os.stat(path))
    except FileNotFoundError:
        return False


def lock_again(lock: FileLock, *, shared: bool) -> bool:
    """Lock the file of a lock that was unlocked, on a file system of this host alone. False if the
    file was removed meanwhile, or another process has locked it. Raises OSError if the outcome is
    unknown; the file may be locked then."""
    try:
        fcntl.fcntl(lock.fd, _SET_LOCK, _SHARED if shared else _EXCLUSIVE)
        if os.fstat(lock.fd).st_nlink:
            return True
    except OSError:
        pass  # locked by another, or gone with its file system
    unlock(lock)
    return False


def unlock(lock: FileLock) -> None:
    """Unlock, for all copies of the descriptor, and leave it open. Raises OSError if that
    fails: then it is still locked as long as a copy is open."""
    fcntl.fcntl(lock.fd, fcntl.F_SETLK if lock.posix else _SET_LOCK, _NONE)


def end(fd: int) -> None:
    """Unlock the file behind a descriptor of unknown use, and close it."""
    try:
        fcntl.fcntl(fd, _SET_LOCK, _NONE)
    except OSError:
        pass  # the lock still ends with the last copy of the descriptor
    close(fd)


def renew(lock: FileLock, *, shared: bool) -> bool:
    """Ask for a lock that should be held already. False if another process has it now.

    A lock that the file system has lost meanwhile is taken again, and a POSIX lock of the process
    before this one. Raises OSError.
    """
    command = fcntl.F_SETLK if lock.posix else _SET_LOCK
    try:
        fcntl.fcntl(lock.fd, command, _SHARED if shared else _EXCLUSIVE)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def turn_into_own(fd: int, *, shared: bool) -> Turned:
    """Turn the POSIX lock that this process has on an open file into an open-file-description lock
    of the descriptor, without a gap; a lock that already is of this kind stays as it is.

    The two kinds exclude each other, also in one process, but shared ones do not: so the lock is
    shared for a moment, in which other processes can lock the file shared only.
    """
    try:
        if _nobody_has(fd):
            _set(fd, _SET_LOCK, shared=shared)
            return "regained"
        return _turn(fd, fcntl.F_SETLK, _SET_LOCK, shared=shared)
    except OSError as error:
        if error.errno in _NO_SUCH_LOCKS:
            return "impossible"
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return "taken"
        raise


def turn_into_posix(fd: int, *, shared: bool) -> Turned:
    """The way back from :func:`turn_into_own`: the lock is this process's afterwards, and ends
    when that closes any descriptor of the file."""
    try:
        return _turn(fd, _SET_LOCK, fcntl.F_SETLK, shared=shared)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return "taken"
        raise


def _turn(fd: int, old: int, new: int, *, shared: bool) -> Turned:
    """Have a lock of the kind ``new`` in place of one of the kind ``old``. Raises OSError."""
    try:
        # There already, or both are shared.
        _set(fd, new, shared=shared)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        _set(fd, old, shared=True)
        _set(fd, new, shared=True)
        fcntl.fcntl(fd, old, _NONE)
        _set(fd, new, shared=shared)
        return "held"
    fcntl.fcntl(fd, old, _NONE)
    return "held"


def _set(fd: int, command: int, *, shared: bool) -> None:
    fcntl.fcntl(fd, command, _SHARED if shared else _EXCLUSIVE)


def _nobody_has(fd: int) -> bool:
    """Whether no process has a lock on the open file, not even this one or the descriptor: each
    query ignores the locks of its own owner. Raises OSError."""
    return all(
        fcntl.fcntl(fd, question, _EXCLUSIVE)[:2] == _IS_FREE
        for question in (fcntl.F_OFD_GETLK, fcntl.F_GETLK)
    )


def look_at(lock: FileLock, path: str, *, shared: bool, plain: bool) -> State:
    """The state of a lock on the file at ``path``, on a file system that other hosts share.

    If the file system has lost the lock and no other process has taken it, it is taken again.
    Raises OSError if the file system does not answer; that may take any time.
    """
    fd = lock.fd
    if not is_at(fd, path, _may_be_shared, plain=plain):
        return "moved"
    lost = _is_forgotten(fd)
    if _is_refused(fd):
        # The kernel believes that it still has the lock.
        unlock(lock)
        lost = True
    if not renew(lock, shared=shared):
        return "taken"
    return "regained" if lost else "held"


def _may_be_shared(_: int, __: str) -> bool:
    return True


def _is_forgotten(fd: int) -> bool:
    """Whether the file system knows of no lock on the open file, which should have one.

    A POSIX lock has another owner than ours, so ours is in its way. FUSE file systems ask their
    server, where GlusterFS forgets locks when a brick is restarted. NFS asks its own kernel.
    """
    return fcntl.fcntl(fd, fcntl.F_GETLK, _EXCLUSIVE)[:2] == _IS_FREE


def _is_refused(fd: int) -> bool:
    """Whether the open file cannot be read because its lock is missing.

    NFSv4 reads in the name of the lock, and answers EIO once that has gone with the lease; but not
    what is in the cache, nor an empty file. Raises OSError if it is not known whether it can.
    """
    is_disk = os.fstat(fd).st_size > LONGEST_NOTE
    try:
        if is_disk:
            # A disk: O_DIRECT would have all of it written out.
            os.posix_fadvise(fd, 0, _PAGE, os.POSIX_FADV_DONTNEED)
            os.pread(fd, 1, 0)
        else:
            _read_directly(fd)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def _read_directly(fd: int) -> None:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
    try:
        os.pread(fd, 1, 0)
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)


def let_go(lock: FileLock) -> None:
    """Unlock, for all copies of the descriptor, and close this one, now or when it is not busy.
    Raises OSError if that fails: nothing has changed then."""
    unlock(lock)
    drop(lock)


def drop(lock: FileLock) -> None:
    """Close the descriptor, now or when it is not busy, whether it is locked or not."""
    with _closing:
        lock.is_over = True
        is_busy = lock.busy
    if not is_busy:
        close(lock.fd)


def set_free(lock: FileLock) -> None:
    """Note that no other thread uses the lock."""
    with _closing:
        lock.busy = False
        is_over = lock.is_over
    if is_over:
        close(lock.fd)


def hold_whole_life(fd: int) -> None:
    """Lock a PID file, against virtlockd's own lock of it too, for as long as any process has this
    descriptor open. Raises OSError if another daemon has done so."""
    try:
        fcntl.fcntl(fd, _SET_LOCK, _EXCLUSIVE)
    except OSError as error:
        if error.errno not in _NO_SUCH_LOCKS:
            raise
        fcntl.fcntl(fd, fcntl.F_SETLK, _EXCLUSIVE)


def end_whole_life(fd: int) -> None:
    """Unlock a PID file, for all copies of the descriptor: another program has it from now on."""
    for command in (_SET_LOCK, fcntl.F_SETLK):
        with suppress(OSError):
            fcntl.fcntl(fd, command, _NONE)


def show(fd: int, *, shared: bool) -> None:
    """Make the lock visible to ``lslocks``. It costs nothing if that fails."""
    try:
        fcntl.lockf(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, _VISIBLE)
    except OSError:
        pass


def hide(fd: int) -> None:
    """Undo :func:`show`."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, _VISIBLE)
    except OSError:
        pass


def _end_generation(fd: int) -> None:
    """Remove the note of an earlier holder: the lock has a new one."""
    if read_note(fd):
        wipe_note(fd)
