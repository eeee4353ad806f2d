"""Writing configuration files so that each is the old one or the new one, whatever happens.

The order of one save, and why:

1. lock the directories, so that two writers take turns;
2. read the files again: what was read before may be old by now;
3. write every new file, complete, under a name of its own beside the old one, with the old
   one's mode, owner and extended attributes, and sync it. All that usually fails (no space, no
   permission) fails here, and nothing has happened yet;
4. rename each over the old one, in the order given; a rename is all or nothing;
5. sync the directories and read everything back.

Where step 4 fails half-way, the files renamed before are put back. A process that is killed
there leaves each file whole, the first ones new and the others old; the caller orders them so
that this is harmless. What a killed process left behind in a directory is removed by the next
save there.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, suppress

from lockcfg.conf.load import MAX_SIZE, read_bytes
from lockcfg.errors import ChangedError, ReadError, UsageError, WriteError
from lockcfg.filelock import DirectoryLock
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_HELP: Final = {
    errno.EACCES: "run it as root, or as the user whose file it is",
    errno.EPERM: "run it as root; if you are, the file or directory may be immutable (lsattr)",
    errno.EROFS: "the file system is mounted read-only",
    errno.ENOSPC: "the disk is full; the old file is untouched",
    errno.EDQUOT: "the quota is used up; the old file is untouched",
    errno.ENOENT: "the directory is not there: is libvirt installed?",
    errno.EBUSY: "it is mounted there by itself: write the file that it is mounted from",
    errno.EXDEV: "it is mounted there by itself: write the file that it is mounted from",
}

#: Under the directory's lock nobody else uses names that end so.
_NEW: Final = ".lockcfg-new"
_OLD: Final = ".lockcfg-old"

_ACL: Final = "system.posix_acl_access"


class Write(Frozen):
    """One file to write.

    ``old`` is what was read there, None where there was no file; ``new`` what shall be there;
    ``mode`` the permission bits of a file that is new.
    """

    __slots__ = ("mode", "new", "old", "path")

    def __init__(self, path: str, old: bytes | None, new: bytes, mode: int) -> None:
        self.path: Final = path
        self.old: Final = old
        self.new: Final = new
        self.mode: Final = mode


def save(writes: Sequence[Write], *, backup: str | None = None) -> None:
    """Write all of ``writes``, in this order, or none.

    With ``backup``, a suffix such as ``.bak``, each old file stays under its name with that
    suffix, in place of a former one. A symbolic link stays a link: the file behind it is
    written. Raises :class:`WriteError`, :class:`ChangedError` where a file is no longer what
    was read, :class:`BusyError` where another writer does not finish, :class:`UsageError` for
    a suffix that makes no other name in the same directory.
    """
    if backup is not None and (not backup or os.sep in backup):
        raise UsageError(
            f"'{backup}' cannot be the suffix of a backup", help="say, for example, .bak"
        )
    for write in writes:
        if len(write.new) > MAX_SIZE:
            raise WriteError(
                write.path,
                f"would be larger than {MAX_SIZE // 1024 // 1024} MiB,"
                " and libvirt would no longer read it; nothing was written",
            )
    targets = [_Target(write) for write in writes]
    with ExitStack() as stack:
        for directory in sorted({target.directory for target in targets}):
            lock = DirectoryLock(directory)
            lock.acquire()
            stack.callback(lock.release)
            _sweep(directory)
        for target in targets:
            stack.callback(target.clean_up)
            target.check_unchanged()
        for target in targets:
            target.prepare()
        done: list[_Target] = []
        try:
            for target in targets:
                target.replace(backup, keep=len(targets) > 1)
                done.append(target)
        except BaseException:
            for target in reversed(done):
                target.put_back()
            raise
        for directory in sorted({target.directory for target in targets}):
            _sync_directory(directory)
        for target in targets:
            target.read_back()


class _Target:
    """One file while it is being written."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.path = os.path.realpath(write.path)
        self.directory, name = os.path.split(self.path)
        self._new = os.path.join(self.directory, f".{name}{_NEW}")
        self._old = os.path.join(self.directory, f".{name}{_OLD}")

    def check_unchanged(self) -> None:
        now: bytes | None
        try:
            now = read_bytes(self.path)
        except ReadError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise WriteError(
                    self.write.path, f"cannot be read again: {error.reason}", help=error.help
                ) from error
            now = None
        if now != self.write.old:
            what = "was removed" if now is None else "was changed by somebody else"
            raise ChangedError(
                self.write.path,
                f"{what} in the meantime; nothing was written",
                help="look at it and try again",
            )

    def prepare(self) -> None:
        """Write the new file beside the old one, complete and synced."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._new, flags, 0o600)
            try:
                view = memoryview(self.write.new)
                while view:
                    view = view[os.write(fd, view) :]
                if self.write.old is None:
                    os.fchmod(fd, self.write.mode)
                else:
                    _copy_attributes(self.path, fd)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._error(error) from error

    def replace(self, backup: str | None, *, keep: bool) -> None:
        """Put the new file in the old one's place; ``keep`` the old one for :meth:`put_back`."""
        try:
            if self.write.old is not None:
                # A second name keeps the old file itself, with all that belongs to it.
                if backup is not None:
                    os.link(self.path, self._old)
                    self._back_up(self.path + backup)
                if keep:
                    os.link(self.path, self._old)
            os.rename(self._new, self.path)
        except OSError as error:
            raise self._error(error) from error

    def _back_up(self, path: str) -> None:
        try:
            os.rename(self._old, path)
        except OSError as error:
            raise WriteError(
                self.write.path, f"cannot be kept as {path}: {error.strerror}"
            ) from error
        _remove(self._old)  # a rename onto the same file does nothing

    def put_back(self) -> None:
        """Undo :meth:`replace`. Best effort: the error that led here is the one to report."""
        with suppress(OSError):
            if self.write.old is None:
                os.unlink(self.path)
            elif os.path.exists(self._old):
                os.rename(self._old, self.path)

    def read_back(self) -> None:
        try:
            same = read_bytes(self.path) == self.write.new
        except ReadError as error:
            raise WriteError(self.write.path, f"cannot be read back: {error.reason}") from error
        if not same:
            raise WriteError(
                self.write.path,
                "does not hold what was just written to it",
                help="the disk may be failing, or somebody else writes here without a lock",
            )

    def clean_up(self) -> None:
        """Remove what is left of the work. What stays behind does no harm."""
        for path in (self._new, self._old):
            with suppress(OSError):
                _remove(path)

    def _error(self, error: OSError) -> WriteError:
        return WriteError(
            self.write.path,
            f"cannot be written: {error.strerror}",
            help=_HELP.get(error.errno or 0, ""),
        )


def _copy_attributes(path: str, fd: int) -> None:
    """Give the file at ``fd`` the owner, mode and extended attributes of the one at ``path``.

    The access control list and the SELinux label are extended attributes. The owner comes
    first: changing it may clear bits of the mode. A list that the new file has from its
    directory would let in whom the old file did not, and the mode would only open it further.
    """
    status = os.stat(path)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(fd, status.st_uid, status.st_gid)
    names = _attributes(path)
    if _ACL in _attributes(fd) and _ACL not in names:
        os.removexattr(fd, _ACL)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    for name in names:
        value = os.getxattr(path, name)
        try:
            os.setxattr(fd, name, value)
        except OSError:
            # Not ours to set; a label that the new file has already is no loss.
            if name not in _attributes(fd) or os.getxattr(fd, name) != value:
                raise


def _attributes(file: str | int) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP):
            return []  # a file system without them
        raise


def _sweep(directory: str) -> None:
    """Remove what killed writers left there: that none is at work, the lock says."""
    with suppress(OSError):
        for name in os.listdir(directory):
            if name.startswith(".") and name.endswith((_NEW, _OLD)):
                with suppress(OSError):
                    os.unlink(os.path.join(directory, name))


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _sync_directory(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems cannot sync a directory, and need not.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise WriteError(directory, f"cannot be synced: {error.strerror}") from error
    finally:
        os.close(fd)
