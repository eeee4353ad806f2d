"""Reading configuration files from disk.

A path is untrusted: it may be a directory, a device that never ends, a pipe without a writer, or
larger than memory. None of these is read.
"""

from __future__ import annotations

import errno
import os
import stat

from lockcfg.conf.document import Document
from lockcfg.conf.files import KINDS, kind_named
from lockcfg.errors import ReadError
from lockcfg.rooted import Spot, below, open_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.files import FileKind

#: libvirt's own limit for a configuration file, in bytes.
MAX_SIZE: Final = 10 * 1024 * 1024

#: O_NONBLOCK: the open of a pipe must not wait for its writer.
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_HELP: Final = {
    errno.EACCES: "run it as root, or as the user whose file it is",
    errno.EPERM: "run it as root, or as the user whose file it is",
    errno.ELOOP: "the path leads through a loop of symbolic links",
}


def parse(text: bytes, kind: FileKind, path: str) -> Document:
    """The document of ``text``; ``path`` is for messages. Raises ConfSyntaxError."""
    from lockcfg.conf.tree import read_entries  # an audit of a fleet store parses no text

    return Document(kind, path, text, read_entries(text, kind, path))


def load_file(
    path: str | os.PathLike[str], kind: FileKind | None = None, *, root: str = "/"
) -> Document:
    """The file at ``path``, read as ``kind``, else as what its name says. Where ``path`` is below
    the ``root`` of a host, links are followed as that host does.

    Raises :class:`ReadError` (missing, not a regular file, over :data:`MAX_SIZE`, no
    permission), :class:`ConfSyntaxError`, and :class:`UsageError` where the name says nothing.
    """
    path = os.fspath(path)
    kind = kind or kind_named(path)
    return parse(read_bytes(path, root=root), kind, path)


def load_if_there(path: str, kind: FileKind, *, root: str = "/") -> Document:
    """The file at ``path``, or an empty document, which does not exist, if no file exists there.

    A symbolic link that leads nowhere is an error: libvirt ignores it, its owner means it.
    """
    try:
        return load_file(path, kind, root=root)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not _is_link(root, path):
            return Document(kind, path, None, ())
        raise


def load_directory(directory: str | os.PathLike[str]) -> dict[str, Document]:
    """The configuration files in ``directory`` (one host's ``/etc/libvirt``), by base name.

    Other files are left alone. Raises as :func:`load_file` does, and :class:`ReadError` where
    ``directory`` cannot be listed.
    """
    directory = os.fspath(directory)
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise read_error(directory, error) from error
    return {
        name: load_file(os.path.join(directory, name), kind)
        for name, kind in sorted(KINDS.items())
        if name in names
    }


def read_bytes(path: str, limit: int = MAX_SIZE, *, root: str = "/") -> bytes:
    """The bytes of the regular file at ``path``, which is below ``root``. Raises
    :class:`ReadError`, as well for more than ``limit`` bytes."""
    try:
        fd = os.open(path, _READ) if root == "/" else open_in(root, below(root, path), _READ)
    except OSError as error:
        raise read_error(path, error, root=root) from error
    except ValueError:
        raise ReadError(path.replace("\0", "\\0"), "no path has a NUL in it") from None
    return read_descriptor(fd, path, limit)


def read_spot(spot: Spot, path: str) -> bytes:
    """The bytes of the regular file there, which messages call ``path``. Raises
    :class:`ReadError`."""
    try:
        fd = spot.open(_READ)
    except OSError as error:
        raise read_error(path, error) from error
    return read_descriptor(fd, path)


def read_descriptor(fd: int, path: str, limit: int = MAX_SIZE) -> bytes:
    """The same for an open file, which this function closes."""
    try:
        status = os.fstat(fd)
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            raise ReadError(path, f"is {_what(mode)}, not a regular file")
        pieces: list[bytes] = []
        left = limit + 1
        # One byte more than there should be: a read that falls short by it has seen the end.
        wanted = min(status.st_size + 1, left)
        while left > 0:
            piece = os.read(fd, min(left, wanted))
            pieces.append(piece)
            left -= len(piece)
            whole = limit + 1 - left == status.st_size and len(piece) < wanted
            if whole or not piece:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except OSError as error:
        raise read_error(path, error) from error
    finally:
        os.close(fd)
    why = f"is larger than {limit // 1024 // 1024} MiB"
    if limit == MAX_SIZE:
        why += ", and libvirt would not read it either"
    raise ReadError(path, why)


def read_error(path: str, error: OSError, *, root: str = "/") -> ReadError:
    """The system's ``error`` for ``path`` as a lockcfg error."""
    reason = error.strerror or str(error)
    advice = _HELP.get(error.errno or 0, "")
    if isinstance(error, FileNotFoundError) and _is_link(root, path):
        reason = f"is a symbolic link to {_target(root, path)}, which is not there"
        advice = "repair or remove the link"
    elif error.errno == errno.ENXIO:
        # The open of a socket, or of a device without a driver.
        reason = "is a socket or a device, not a regular file"
    return ReadError(path, reason, help=advice)


def _is_link(root: str, path: str) -> bool:
    if root == "/":
        return os.path.islink(path)
    try:
        with Spot(root, below(root, path), follow=False) as spot:
            return stat.S_ISLNK(spot.status().st_mode)
    except OSError:
        return False


def _target(root: str, path: str) -> str:
    if root == "/":
        return os.readlink(path)
    with Spot(root, below(root, path), follow=False) as spot:
        return os.readlink(spot.name, dir_fd=spot.directory)


def _what(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket"
