"""Reading and writing configuration files of a host: all of them are written, or none.

It does on a host what lockcfg does where it is installed, in the same order and under the same
locks, so that the two take turns:

1. lock the directories;
2. read the files again: they must be what the controller was told;
3. write every new file, complete, beside the old one, with its mode, owner and extended
   attributes, and sync it;
4. rename each over the old one, in the order given; if one fails, put back those before it;
5. sync the directories, and read everything back.

It needs Python 3.6.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import os
import stat
import time

#: libvirt reads no configuration file that is larger, in bytes.
MAX_SIZE = 10 * 1024 * 1024

#: How long another writer is waited for, in seconds.
PATIENCE = 5.0

#: How many links one path may lead through, as with the kernel.
MOST_LINKS = 40

#: Under a directory's lock no other process uses names that end so.
NEW = ".lockcfg-new"
OLD = ".lockcfg-old"

ACL = "system.posix_acl_access"

DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW


class FileError(Exception):
    """A file cannot be read or written. The text says why, and what was not done."""


class Spot(object):
    """Where a path leads on the host whose root is ``root``: a name in an open directory. Each name
    is looked up in the directory that was opened before, so no link leads out of the root."""

    def __init__(self, root, path):
        self.path = path
        #: The users whose links it led through.
        self.owners = set()
        self._open = [os.open(root, DIRECTORY & ~os.O_NOFOLLOW)]
        try:
            self.name = self._walk(path)
        except OSError:
            self.close()
            raise
        self.directory = self._open[-1]

    def _walk(self, path):
        pending = _names_in(path)
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                if len(self._open) > 1:
                    os.close(self._open.pop())
                continue
            above = self._open[-1]
            try:
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
            except FileNotFoundError:
                if pending:
                    raise
                return name
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                self.owners.add(status.st_uid)
                target = os.readlink(name, dir_fd=above)
                if target.startswith("/"):
                    while len(self._open) > 1:
                        os.close(self._open.pop())
                pending += _names_in(target)
            elif pending:
                self._open.append(os.open(name, DIRECTORY, dir_fd=above))
            else:
                return name
        return "."

    def read(self):
        """What is there, None if nothing is. Raises FileError."""
        try:
            descriptor = os.open(self.name, READ, dir_fd=self.directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError("{0}: cannot be read: {1}".format(self.path, error.strerror))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileError("{0}: is not a regular file".format(self.path))
            data = b""
            while len(data) <= MAX_SIZE:
                piece = os.read(descriptor, 1 << 20)
                if not piece:
                    return data
                data += piece
        except OSError as error:
            raise FileError("{0}: cannot be read: {1}".format(self.path, error.strerror))
        finally:
            os.close(descriptor)
        raise FileError("{0}: is larger than 10 MiB".format(self.path))

    def close(self):
        """Close the directories."""
        while self._open:
            os.close(self._open.pop())


def _names_in(path):
    """The names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def read(root, path):
    """The bytes of a file, None if there is none. A link that leads nowhere is an error, for its
    owner means it. Raises FileError."""
    try:
        spot = Spot(root, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError("{0}: cannot be read: {1}".format(path, error.strerror))
    try:
        data = spot.read()
        if data is None and spot.owners and os.path.islink(os.path.join(root, path.lstrip("/"))):
            raise FileError("{0}: is a symbolic link to what is not there".format(path))
        return data
    finally:
        spot.close()


class Target(object):
    """One file while it is being written."""

    def __init__(self, root, path, old, new, mode):
        self.path = path
        self.old = old
        self.new = new
        self.mode = mode
        try:
            self.spot = Spot(root, path)
        except FileNotFoundError:
            raise FileError("{0}: there is no such directory".format(os.path.dirname(path)))
        except OSError as error:
            raise self.error(error)
        self.at = self.spot.directory
        status = os.fstat(self.at)
        self.directory = (status.st_dev, status.st_ino)
        tag = "".join("{0:02x}".format(byte) for byte in bytearray(os.urandom(8)))
        self.draft = ".{0}.{1}{2}".format(self.spot.name, tag, NEW)
        self.kept = ".{0}.{1}{2}".format(self.spot.name, tag, OLD)
        self.check_links(status)

    def check_links(self, directory):
        """Refuse a link of a user who owns neither the file nor the system."""
        try:
            owner = os.stat(self.spot.name, dir_fd=self.at, follow_symlinks=False).st_uid
        except FileNotFoundError:
            owner = directory.st_uid
        strangers = self.spot.owners - set([0, os.geteuid(), owner])
        if strangers:
            self.spot.close()
            raise FileError(
                "{0}: leads through a symbolic link of another user (uid {1}); nothing was"
                " written".format(self.path, min(strangers))
            )

    def check_unchanged(self):
        """Raise FileError if it is no longer what the controller was told."""
        now = self.spot.read()
        if now != self.old:
            what = "was removed" if now is None else "was changed by another program"
            raise FileError("{0}: {1} in the meantime; nothing was written".format(self.path, what))

    def prepare(self):
        """Write the new file beside the old one, complete and synced."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self.draft, flags, 0o600, dir_fd=self.at)
            try:
                view = memoryview(self.new)
                while view:
                    written = os.write(descriptor, view)
                    view = view[written:]
                if self.old is None:
                    os.fchmod(descriptor, self.mode)
                else:
                    old = os.open(self.spot.name, READ, dir_fd=self.at)
                    try:
                        copy_attributes(old, descriptor)
                    finally:
                        os.close(old)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self.error(error)

    def replace(self, backup):
        """Put the new file in the old one's place, and keep the old one for put_back."""
        try:
            if self.old is not None:
                if backup:
                    self.link(self.kept)
                    os.rename(
                        self.kept, self.spot.name + backup, src_dir_fd=self.at, dst_dir_fd=self.at
                    )
                    self.remove(self.kept)
                self.link(self.kept)
            os.rename(self.draft, self.spot.name, src_dir_fd=self.at, dst_dir_fd=self.at)
        except OSError as error:
            raise self.error(error)

    def link(self, name):
        """Give the old file a second name, which keeps all that belongs to it."""
        os.link(self.spot.name, name, src_dir_fd=self.at, dst_dir_fd=self.at, follow_symlinks=False)

    def put_back(self):
        """Undo replace, as far as that can be."""
        try:
            if self.old is None:
                os.unlink(self.spot.name, dir_fd=self.at)
            else:
                os.rename(self.kept, self.spot.name, src_dir_fd=self.at, dst_dir_fd=self.at)
        except OSError:
            pass

    def read_back(self):
        """Raise FileError if it does not hold what was written."""
        if self.spot.read() != self.new:
            raise FileError("{0}: does not hold what was just written to it".format(self.path))

    def remove(self, name):
        """Remove a name, if it is there."""
        try:
            os.unlink(name, dir_fd=self.at)
        except OSError:
            pass

    def close(self):
        """Remove what is left of the work."""
        self.remove(self.draft)
        self.remove(self.kept)
        self.spot.close()

    def error(self, error):
        """An error of the system as one of ours."""
        return FileError("{0}: cannot be written: {1}".format(self.path, error.strerror))


def write(root, files, backup=None):
    """Write all files or none. Each is a path, its old bytes (None: no file), the new ones, and the
    mode of a new file. Raises FileError."""
    for path, _old, new, _mode in files:
        if len(new) > MAX_SIZE:
            raise FileError(
                "{0}: would be larger than 10 MiB, and libvirt would no longer read it; nothing was"
                " written".format(path)
            )
    targets = []
    locks = []
    try:
        for path, old, new, mode in files:
            targets.append(Target(root, path, old, new, mode))
        for _place, target in sorted(dict((each.directory, each) for each in targets).items()):
            locks.append(lock(target))
            sweep(locks[-1])
        for target in targets:
            target.check_unchanged()
        for target in targets:
            target.prepare()
        done = []
        try:
            for target in targets:
                target.replace(backup)
                done.append(target)
        except BaseException:
            for target in reversed(done):
                target.put_back()
            raise
        for descriptor in locks:
            try:
                os.fsync(descriptor)
            except OSError as error:
                # Some network file systems cannot sync a directory, and need not.
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise FileError("a directory cannot be synced: {0}".format(error.strerror))
        for target in targets:
            target.read_back()
    finally:
        for target in targets:
            target.close()
        for descriptor in locks:
            os.close(descriptor)


def lock(target):
    """A descriptor of the directory of a file, locked as lockcfg locks it. Raises FileError."""
    where = os.path.dirname(target.path)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(".", flags, dir_fd=target.at)
    except OSError as error:
        raise FileError("{0}: cannot be locked: {1}".format(where, error.strerror))
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise FileError("{0}: another lockcfg is writing there".format(where))
            time.sleep(0.02)
        except OSError as error:
            os.close(descriptor)
            raise FileError("{0}: cannot be locked: {1}".format(where, error.strerror))


def sweep(directory):
    """Remove what killed writers left in a directory: that none is at work, the lock says."""
    for name in os.listdir(directory):
        if name.startswith(".") and name.endswith((NEW, OLD)):
            try:
                os.unlink(name, dir_fd=directory)
            except OSError:
                pass


def copy_attributes(old, new):
    """Give a file the owner, mode, access control list and label of another. The owner comes first:
    changing it may clear bits of the mode."""
    status = os.fstat(old)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(new, status.st_uid, status.st_gid)
    names = attributes(old)
    if ACL in attributes(new) and ACL not in names:
        os.removexattr(new, ACL)
    os.fchmod(new, stat.S_IMODE(status.st_mode))
    for name in names:
        value = os.getxattr(old, name)
        try:
            os.setxattr(new, name, value)
        except OSError:
            # Not ours to set; a label that the new file has already is no loss.
            if name not in attributes(new) or os.getxattr(new, name) != value:
                raise


def attributes(descriptor):
    """The names of the extended attributes, none on a file system without them."""
    try:
        return os.listxattr(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP):
            return []
        raise
