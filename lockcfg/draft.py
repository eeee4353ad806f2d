"""New files that a command is told to write: reports, policies, fleet stores.

The directory may be one where others may put what they like, such as /tmp. So nothing that is there
is ever opened: the content goes into a new file with an unpredictable name, which takes the
place of a file or a link of the name asked for when it is whole. Only libvirt's own files are
written otherwise (:mod:`lockcfg.conf.save`).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress

from lockcfg.errors import WriteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Final, TextIO

#: The names of what the process has open already, such as standard output.
_STREAM: Final = re.compile(r"/dev/std(out|err)|(?:/dev|/proc/self)/fd/(\d+)")


@contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """A stream whose content is the file at ``path`` when the block has ended well. Where it has
    not, all is as before.

    A file there keeps its permissions if it is ours, and a link is replaced, not followed. Raises
    :class:`WriteError`, as well for anything else that is in the way.
    """
    stream = _STREAM.fullmatch(path)
    try:
        if stream:
            number = {"out": 1, "err": 2}.get(stream[1]) or int(stream[2])
            with os.fdopen(os.dup(number), "wb") as opened:
                yield opened
            return
        above, name = os.path.split(path)
        directory = os.open(above or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _draft(directory, name) as opened:
                yield opened
        finally:
            os.close(directory)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from error


@contextmanager
def writing_text(path: str) -> Iterator[TextIO]:
    """The same for text. What cannot be encoded is written as an escape."""
    from io import TextIOWrapper

    with writing(path) as stream:
        text = TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace")
        yield text
        text.flush()
        text.detach()


@contextmanager
def _draft(directory: int, name: str) -> Iterator[BinaryIO]:
    mode = _mode_of(name, directory)
    draft = f".lockcfg-{os.urandom(16).hex()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o644, dir_fd=directory)
    try:
        with os.fdopen(fd, "wb") as stream:
            if mode is not None:
                os.fchmod(fd, mode)
            yield stream
            stream.flush()
            os.fsync(fd)
            os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
            now = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not os.path.samestat(now, os.fstat(fd)):
                raise OSError(errno.EBUSY, "another program has put another file there")
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=directory)
        raise


def _mode_of(name: str, directory: int) -> int | None:
    """The permissions that the file at that name keeps, if it is ours. Raises OSError
    if it is neither a file nor a link: a device or a pipe is not replaced."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise OSError(errno.EEXIST, "is not a regular file")
    ours = status.st_uid == os.geteuid() and status.st_nlink == 1
    return stat.S_IMODE(status.st_mode) if ours and stat.S_ISREG(status.st_mode) else None


def write_new(path: str, content: bytes) -> None:
    """Write a file that must not be there, nor a link of its name. Raises :class:`WriteError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o644)
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from error
