"""Finds snapshots in files, directories, archives, standard input, and repositories of
configuration files, in which each host has a directory.

The content is untrusted. What cannot be read is passed on with the reason, and the rest is still
read.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from lockcfg.conf.load import read_bytes, read_error
from lockcfg.errors import ReadError, UsageError
from lockcfg.fleet.snapshots.format import FILES, MAX_SIZE, SANLOCK_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO, Final, Literal

    SourceKind = Literal["snapshot", "lines", "archive", "host", "store", "spooled"]

#: The compressions that are read: the ends of names, and the modules that read them.
_COMPRESSIONS: Final = {".gz": "gzip", ".xz": "lzma", ".bz2": "bz2"}

#: A compression that is not read; such a file is reported, and not passed over.
_NOT_READ: Final = ".zst"


def _and_compressed(*suffixes: str) -> tuple[str, ...]:
    ends = ("", *_COMPRESSIONS, _NOT_READ)
    return tuple(suffix + end for suffix in suffixes for end in ends)


SNAPSHOTS: Final = _and_compressed(".json")
_LINES: Final = _and_compressed(".jsonl", ".ndjson")
_ARCHIVES: Final = (*_and_compressed(".tar"), ".tgz", ".zip")

#: The beginning of a fleet store, as of any SQLite file.
MAGIC: Final = b"SQLite format 3\0"

#: How many bytes of a file may be something other than snapshots, and how many more for every
#: snapshot.
_MOST_PASSED: Final = 2 * MAX_SIZE
_ROOM: Final = 64 * 1024

#: Directories that contain nothing about hosts.
_PASSED_OVER: Final = frozenset((".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"))


class Source:
    """Something that has snapshots: a file with one (``snapshot``), a file with one on each line
    (``lines``), an ``archive`` of such files, the directory of a ``host`` with libvirt's files, a
    ``store``, or a file with one in a spool (``spooled``), which must not be a link."""

    __slots__ = ("kind", "path")

    def __init__(self, kind: SourceKind, path: str) -> None:
        self.kind: Final = kind
        self.path: Final = path


class SnapshotText:
    """The text of a snapshot from ``source``, or the reason why it could not be read. The reader
    notes in ``refused`` that it is none, before it asks for the next one."""

    __slots__ = ("data", "error", "refused", "source")

    def __init__(self, source: str, data: bytes, error: str = "") -> None:
        self.source: Final = source
        self.data: Final = data
        self.error: Final = error
        self.refused = False

    @property
    def is_one(self) -> bool:
        """Whether it began like a snapshot, and was not refused."""
        return not self.refused and self.data[:_ROOM].lstrip()[:1] == b"{"


def as_text(path: str) -> str:
    """A path as a fleet store has it: one whose bytes are not UTF-8 is told all the same."""
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode()


def sources_of(paths: Iterable[str]) -> Iterator[Source]:
    """The sources at and below ``paths``, in the order of their names; ``-`` is standard input.

    Raises :class:`ReadError` for a path that cannot be read at all.
    """
    for path in paths:
        if path == "-":
            yield Source("lines", path)
        elif os.path.isdir(path):
            yield from _below(path)
        elif not os.path.lexists(path):
            raise ReadError(path, "there is no such file or directory")
        else:
            yield _of_file(path)


def check_paths(paths: Sequence[str], *, standard_input: bool = False) -> None:
    """Raise :class:`UsageError` for a path that does not exist. With ``standard_input``, ``-``
    stands for standard input, which can be read once."""
    for path in paths:
        if not (standard_input and path == "-") and not os.path.lexists(path):
            raise UsageError(f"{path}: there is no such file or directory")
    if standard_input and paths.count("-") > 1:
        raise UsageError("standard input can be read once")


def _of_file(path: str) -> Source:
    if path.endswith(_LINES):
        return Source("lines", path)
    if path.endswith(_ARCHIVES):
        return Source("archive", path)
    if not path.endswith(SNAPSHOTS) and os.path.isfile(path) and is_store(path):
        return Source("store", path)
    return Source("snapshot", path)


def _below(top: str) -> Iterator[Source]:
    """The sources below a directory. Unknown kinds of files are ignored."""
    pending = [top]
    while pending:
        path = pending.pop()
        below: list[str] = []
        names: list[str] = []
        is_host = False
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if name.endswith((*SNAPSHOTS, *_LINES, *_ARCHIVES)):
                        names.append(name)
                    elif name in FILES:
                        is_host = True
                    elif entry.is_dir(follow_symlinks=False) and name not in _PASSED_OVER:
                        below.append(entry.path)
        except OSError as error:
            raise read_error(path, error) from error
        names.sort()
        prefix = os.path.join(path, "")
        if is_host:
            yield Source("host", path)
        for name in names:
            yield _of_file(prefix + name)
        pending += sorted(below, reverse=True)


def texts_of(source: Source) -> Iterator[SnapshotText]:
    """The snapshots of a source that has some, one at a time."""
    if source.path.endswith(_NOT_READ):
        yield SnapshotText(
            source.path, b"", "is compressed with zstd, which lockcfg does not read: use gzip or xz"
        )
    elif source.kind == "snapshot":
        yield _file(source.path)
    elif source.kind == "spooled":
        yield _spooled(source.path)
    elif source.kind == "lines":
        yield from _lines(source.path)
    elif source.path.endswith(".zip"):
        yield from _zip(source.path)
    else:
        yield from _tar(source.path)


def _file(path: str) -> SnapshotText:
    if path.endswith(tuple(_COMPRESSIONS)):
        return _compressed_file(path)
    try:
        return SnapshotText(path, read_bytes(path, MAX_SIZE))
    except ReadError as error:
        return SnapshotText(path, b"", f"cannot be read: {error.reason}")


def _spooled(path: str) -> SnapshotText:
    """A file of a spool: it is opened once, and no link leads anywhere."""
    try:
        with _plain(_regular(path, os.O_NOFOLLOW), os.path.splitext(path)[1]) as stream:
            data = stream.read(MAX_SIZE + 1)
    except _damages() as error:
        linked = isinstance(error, OSError) and error.errno == errno.ELOOP
        reason = "it is a link" if linked else _reason(error)
        return SnapshotText(path, b"", f"cannot be read: {reason}")
    return (
        SnapshotText(path, b"", _too_large()) if len(data) > MAX_SIZE else SnapshotText(path, data)
    )


def _compressed_file(path: str) -> SnapshotText:
    try:
        with _open(path) as stream:
            # A small file may become very large.
            data = stream.read(MAX_SIZE + 1)
    except _damages() as error:
        return SnapshotText(path, b"", f"cannot be read: {_reason(error)}")
    return (
        SnapshotText(path, b"", _too_large()) if len(data) > MAX_SIZE else SnapshotText(path, data)
    )


def _open(path: str) -> BinaryIO:
    """Open a file to read its uncompressed content. Raises OSError; both this and a later read
    raise the errors of :func:`_damages`."""
    if path == "-":
        return sys.stdin.buffer
    return _plain(_regular(path), os.path.splitext(path)[1])


def _regular(path: str, more: int = 0) -> BinaryIO:
    """Open a regular file to read. A pipe would make lockcfg wait, and a device may have no end.
    Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | more)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is not a regular file")
    return os.fdopen(fd, "rb")


def _plain(stream: BinaryIO, end: str) -> BinaryIO:
    """The uncompressed content of ``stream``; ``end``, the end of its name, tells the
    compression."""
    name = _COMPRESSIONS.get(end)
    if name is None:
        return stream
    from importlib import import_module

    plain: BinaryIO = import_module(name).open(stream, "rb")
    return plain


class _ExcessError(Exception):
    """The file has too many bytes that are not snapshots, so lockcfg stops reading it."""


class _Sifted:
    """A stream of snapshots. Everything else in it may take at most :data:`_MOST_PASSED` bytes, and
    a little more for every snapshot: a file of megabytes can become terabytes of nothing."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _MOST_PASSED
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Read like the stream itself, but once only at its end: tarfile passes a member that
        claims petabytes by reads that come to nothing. Raises :class:`_ExcessError` and
        :class:`EOFError`."""
        data = self._stream.read(size)
        if self._ended:
            raise EOFError("unexpected end of data")
        self._ended = not data
        self.passed(len(data))
        return data

    def passed(self, size: int) -> None:
        """Note that so many bytes were not a snapshot. Raises :class:`_ExcessError`."""
        if size > self._left:
            raise _ExcessError(
                f"is not read to its end: more than {_MOST_PASSED // 1024 // 1024} MiB of it are"
                " no snapshots"
            )
        self._left -= size

    def found(self, size: int) -> None:
        """Note that so many of the bytes were a snapshot."""
        self._left = min(_MOST_PASSED, self._left + size + _ROOM)


def _damages(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """The errors that damaged compressed content raises."""
    import zlib
    from lzma import LZMAError

    return OSError, EOFError, zlib.error, LZMAError, *others


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _lines(path: str) -> Iterator[SnapshotText]:
    label = "standard input" if path == "-" else path
    number = 0
    try:
        with _open(path) as stream:
            sifted = _Sifted(stream)
            while line := stream.readline(MAX_SIZE + 1):
                number += 1
                if len(line) > MAX_SIZE:
                    yield SnapshotText(f"{label}:{number}", b"", _too_large())
                    while line and not line.endswith(b"\n"):
                        sifted.passed(len(line))
                        line = stream.readline(1 << 20)
                else:
                    text = SnapshotText(f"{label}:{number}", line)
                    if line.strip():
                        yield text
                    if text.is_one:
                        sifted.found(len(line))
                    else:
                        sifted.passed(max(len(line), _ROOM // 16))
    except _ExcessError as error:
        yield SnapshotText(label, b"", str(error))
    except _damages() as error:
        yield SnapshotText(label, b"", f"cannot be read: {_reason(error)}")


#: The compressions, by how such a file begins.
_BEGINNINGS: Final = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"BZh": ".bz2"}


def _tar(path: str) -> Iterator[SnapshotText]:
    import tarfile

    try:
        with _regular(path) as file:
            beginning = file.read(6)
            file.seek(0)
            end = next((e for magic, e in _BEGINNINGS.items() if beginning.startswith(magic)), "")
            sifted = _Sifted(_plain(file, end))
            # A stream: nothing is kept of what was passed.
            with tarfile.open(fileobj=sifted, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    archive.members = []
                    if not member.isfile() or not member.name.endswith(".json"):
                        continue
                    label = f"{path}/{member.name}"
                    if member.size > MAX_SIZE:
                        yield SnapshotText(label, b"", _too_large())
                        continue
                    stream = archive.extractfile(member)
                    data = stream.read() if stream else b""
                    text = SnapshotText(label, data)
                    yield text
                    if text.is_one:
                        sifted.found(member.size)
                    else:
                        sifted.passed(_ROOM // 16)
    except _ExcessError as error:
        yield SnapshotText(path, b"", str(error))
    except _damages(tarfile.TarError) as error:
        yield SnapshotText(path, b"", f"is not a whole archive: {_reason(error)}")


def _zip(path: str) -> Iterator[SnapshotText]:
    import zipfile

    try:
        with _regular(path) as file, zipfile.ZipFile(file) as archive:
            sifted = _Sifted(file)
            for member in archive.infolist():
                if member.is_dir() or not member.filename.endswith(".json"):
                    continue
                label = f"{path}/{member.filename}"
                with archive.open(member) as stream:
                    # The size in the archive may be wrong.
                    data = stream.read(MAX_SIZE + 1)
                if len(data) > MAX_SIZE:
                    yield SnapshotText(label, b"", _too_large())
                    sifted.passed(len(data))
                    continue
                text = SnapshotText(label, data)
                yield text
                if text.is_one:
                    sifted.found(len(data))
                else:
                    sifted.passed(max(len(data), _ROOM // 16))
    except _ExcessError as error:
        yield SnapshotText(path, b"", str(error))
    except _damages(RuntimeError, zipfile.BadZipFile) as error:
        yield SnapshotText(path, b"", f"is not a whole archive: {_reason(error)}")


def _too_large() -> str:
    return f"is larger than {MAX_SIZE // 1024 // 1024} MiB"


def files_of(directory: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """Libvirt's files in a directory of a repository: their texts, and for each file that could not
    be read the reason."""
    texts: dict[str, bytes] = {}
    errors: dict[str, str] = {}
    for name in (*FILES, *SANLOCK_FILES):
        path = os.path.join(directory, name)
        if not os.path.lexists(path):
            continue
        try:
            texts[name] = read_bytes(path)
        except ReadError as error:
            errors[name] = error.reason
    return texts, errors


def is_store(path: str) -> bool:
    """Whether the file at ``path`` looks like a store."""
    try:
        with _regular(path) as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
