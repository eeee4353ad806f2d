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

from lockcfg.conf.load import MAX_SIZE, read_spot
from lockcfg.errors import ChangedError, ReadError, UsageError, WriteError
from lockcfg.filelock import DirectoryLock
from lockcfg.frozen import Frozen
from lockcfg.rooted import Spot, below

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

#: Names that end so belong to the process that has locked the directory.
_NEW: Final = ".lockcfg-new"
_OLD: Final = ".lockcfg-old"

_ACL: Final = "system.posix_acl_access"


class Write(Frozen):
    """One file to write.

    ``old`` is the text that was read, None if the file is new; ``new`` the text to write;
    ``mode`` the permission bits of a file that is new; ``root`` the root of the host whose file it
    is, below which ``path`` is.
    """

    __slots__ = ("mode", "new", "old", "path", "root")

    def __init__(
        self, path: str, old: bytes | None, new: bytes, mode: int, *, root: str = "/"
    ) -> None:
        self.path: Final = path
        self.root: Final = root
        self.old: Final = old
        self.new: Final = new
        self.mode: Final = mode


def save(writes: Sequence[Write], *, backup: str | None = None) -> None:
    """Write all of ``writes``, in this order, or none.

    With ``backup``, a suffix such as ``.bak``, each old file stays under its name with that
    suffix, in place of a former one. A symbolic link stays a link: the file behind it is
    written. Raises :class:`WriteError`, :class:`ChangedError` if a file is no longer what
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
    with ExitStack() as stack:
        targets: list[_Target] = []
        for write in writes:
            targets.append(_Target(write))
            stack.callback(targets[-1].spot.close)
        # One lock for each directory, in an order that is the same for every writer.
        directories = {target.directory: target for target in targets}
        for _, first in sorted(directories.items()):
            lock = DirectoryLock(os.path.dirname(first.path), first.spot.directory)
            lock.acquire()
            stack.callback(lock.release)
            _sweep(lock.fd)
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
        for target in directories.values():
            target.sync_directory()
        for target in targets:
            target.read_back()


class _Target:
    """One file while it is being written. Its directory is opened once, so that all of it happens
    there, whatever the path leads to by then."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.path = write.path
        try:
            self.spot = Spot(write.root, below(write.root, write.path))
            self._fd = self.spot.directory
            status = os.fstat(self._fd)
        except FileNotFoundError as error:
            raise WriteError(
                os.path.dirname(write.path),
                "there is no such directory",
                help="is libvirt installed here?",
            ) from error
        except OSError as error:
            raise self._error(error) from error
        #: Which directory it is, by its numbers.
        self.directory = (status.st_dev, status.st_ino)
        name = self.spot.name
        # Unpredictable names, so that another user who may write here cannot put a file
        # in the way.
        tag = os.urandom(8).hex()
        self._new = f".{name}.{tag}{_NEW}"
        self._old = f".{name}.{tag}{_OLD}"
        self._check_links(status)

    def _check_links(self, directory: os.stat_result) -> None:
        """Refuse a link whose owner does not own the file that it leads to: it may be there to
        redirect the write."""
        try:
            owner = self.spot.status().st_uid
        except FileNotFoundError:
            owner = directory.st_uid
        except OSError as error:
            self.spot.close()
            raise self._error(error) from error
        strangers = self.spot.owners - {0, os.geteuid(), owner}
        if strangers:
            self.spot.close()
            raise WriteError(
                self.path,
                f"leads through a symbolic link of another user (uid {min(strangers)}) to"
                f" {self.spot.path}; nothing was written",
                help="name the file itself if it is meant",
            )

    def check_unchanged(self) -> None:
        now: bytes | None
        try:
            now = read_spot(self.spot, self.path)
        except ReadError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise WriteError(
                    self.write.path, f"cannot be read again: {error.reason}", help=error.help
                ) from error
            now = None
        if now != self.write.old:
            what = "was removed" if now is None else "was changed by another program"
            raise ChangedError(
                self.write.path,
                f"{what} in the meantime; nothing was written",
                help="check the new value and try again",
            )

    def prepare(self) -> None:
        """Write the new file beside the old one, complete and synced."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._new, flags, 0o600, dir_fd=self._fd)
            try:
                view = memoryview(self.write.new)
                while view:
                    view = view[os.write(fd, view) :]
                if self.write.old is None:
                    os.fchmod(fd, self.write.mode)
                else:
                    old = self.spot.open(os.O_RDONLY | os.O_NONBLOCK)
                    try:
                        _copy_attributes(old, fd)
                    finally:
                        os.close(old)
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
                    self._link_old()
                    self._back_up(self.spot.name + backup)
                if keep:
                    self._link_old()
            self._rename(self._new, self.spot.name)
        except OSError as error:
            raise self._error(error) from error

    def _link_old(self) -> None:
        os.link(
            self.spot.name,
            self._old,
            src_dir_fd=self._fd,
            dst_dir_fd=self._fd,
            follow_symlinks=False,
        )

    def _rename(self, name: str, to: str) -> None:
        os.rename(name, to, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def _back_up(self, name: str) -> None:
        try:
            self._rename(self._old, name)
        except OSError as error:
            kept = os.path.join(os.path.dirname(self.path), name)
            raise WriteError(self.path, f"cannot be kept as {kept}: {error.strerror}") from error
        self._remove(self._old)  # a rename onto the same file does nothing

    def put_back(self) -> None:
        """Undo :meth:`replace`. Best effort: the error that led here is the one to report."""
        with suppress(OSError):
            if self.write.old is None:
                os.unlink(self.spot.name, dir_fd=self._fd)
            else:
                self._rename(self._old, self.spot.name)

    def read_back(self) -> None:
        try:
            same = read_spot(self.spot, self.path) == self.write.new
        except ReadError as error:
            raise WriteError(self.write.path, f"cannot be read back: {error.reason}") from error
        if not same:
            raise WriteError(
                self.write.path,
                "does not hold what was just written to it",
                help="the disk may be failing, or another program writes here without a lock",
            )

    def clean_up(self) -> None:
        """Remove the temporary files. A file that stays behind does no harm."""
        for name in (self._new, self._old):
            with suppress(OSError):
                self._remove(name)

    def sync_directory(self) -> None:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            os.fsync(fd)
        except OSError as error:
            # Some network file systems cannot sync a directory, and need not.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                directory = os.path.dirname(self.path)
                raise WriteError(directory, f"cannot be synced: {error.strerror}") from error
        finally:
            os.close(fd)

    def _error(self, error: OSError) -> WriteError:
        return WriteError(
            self.write.path,
            f"cannot be written: {error.strerror or error}",
            help=_HELP.get(error.errno or 0, ""),
        )


def _copy_attributes(old: int, fd: int) -> None:
    """Give the file at ``fd`` the owner, mode and extended attributes of the one at ``old``.

    The access control list and the SELinux label are extended attributes. The owner comes first:
    changing it may clear bits of the mode. A list that the new file inherits from its directory
    would admit users that the old file did not, and the mode would only open it further.
    """
    status = os.fstat(old)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(fd, status.st_uid, status.st_gid)
    names = _attributes(old)
    if _ACL in _attributes(fd) and _ACL not in names:
        os.removexattr(fd, _ACL)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    for name in names:
        value = os.getxattr(old, name)
        try:
            os.setxattr(fd, name, value)
        except OSError:
            # This process may not set it. A label that the new file already has is no loss.
            if name not in _attributes(fd) or os.getxattr(fd, name) != value:
                raise


def _attributes(file: int) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP):
            return []  # a file system without them
        raise


def _sweep(directory: int) -> None:
    """Remove what killed writers left there: the lock tells that no writer is at work."""
    with suppress(OSError):
        for name in os.listdir(directory):
            if name.startswith(".") and name.endswith((_NEW, _OLD)):
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
