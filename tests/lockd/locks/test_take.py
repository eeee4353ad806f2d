"""What becomes of a file between its opening and its locking, on a real file system."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from contextlib import ExitStack
from struct import pack
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from lockd.kernel import filelock
from lockd.kernel.named import PlantedError, identity_of
from lockd.kernel.note import read_note, write_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def take(path: Path, *, is_shared: bool) -> filelock.FileLock:
    """The lock of a lock file; whether other hosts may share its file system."""
    return filelock.take(
        str(path), shared=False, create=True, plain=True, may_be_shared=lambda *_: is_shared
    )


def before_locking(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> list[int]:
    """Do something once, when a file is open and not locked yet; the descriptors that are
    locked."""
    lock = filelock._lock
    fds: list[int] = []

    def locked(fd: int, how: bytes) -> bool:
        if not fds:
            what()
        fds.append(fd)
        return lock(fd, how)

    monkeypatch.setattr(filelock, "_lock", locked)
    return fds


@pytest.mark.parametrize("is_shared", [False, True], ids=["local", "shared"])
def test_the_file_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """Another process that releases it removes it just then: the lock is on the new file."""
    path = tmp_path / "disk"
    path.touch()
    fds = before_locking(monkeypatch, path.unlink)
    lock = take(path, is_shared=is_shared)
    assert lock.identity == identity_of(path.stat()) == identity_of(os.fstat(lock.fd))
    assert len(fds) == 2
    filelock.let_go(lock)


def test_the_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has another name still, and so links."""
    path, other = tmp_path / "disk", tmp_path / "other"
    path.touch()

    def replace() -> None:
        path.rename(tmp_path / "old")
        other.touch()
        other.rename(path)

    before_locking(monkeypatch, replace)
    lock = take(path, is_shared=True)
    assert lock.identity == identity_of(path.stat()) == identity_of(os.fstat(lock.fd))
    filelock.let_go(lock)


@pytest.mark.parametrize("is_shared", [False, True], ids=["local", "shared"])
def test_it_takes_longer_than_a_server_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """A server may have given the lock to another host since: it is taken again. A local file
    system gives it to no other."""
    times = iter([0.0, filelock.SURE_FOR, 100.0, 100.1])
    monkeypatch.setattr(filelock, "time", SimpleNamespace(monotonic=lambda: next(times)))
    fds = before_locking(monkeypatch, lambda: None)
    lock = take(tmp_path / "disk", is_shared=is_shared)
    assert len(fds) == 1 + is_shared
    filelock.let_go(lock)


def test_a_file_that_is_gone_stays_unlocked(tmp_path: Path) -> None:
    """What keeps its descriptor would keep the lock as well."""
    path = tmp_path / "disk"
    lock = take(path, is_shared=False)
    filelock.unlock(lock)
    another = os.open(path, os.O_RDWR)
    path.unlink()
    assert not filelock.lock_again(lock, shared=False)
    fcntl.fcntl(another, fcntl.F_OFD_SETLK, pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0))
    os.close(another)
    filelock.drop(lock)


@pytest.mark.parametrize("is_shared", [False, True], ids=["local", "shared"])
def test_the_note_of_an_earlier_holder(tmp_path: Path, is_shared: bool) -> None:
    """Who takes the lock of a file that hosts share takes away the note, by which the earlier
    holder would know that no other has had it."""
    path = tmp_path / "disk"
    earlier = take(path, is_shared=is_shared)
    note = b'{"lockd": 1, "host": "one"}'
    write_note(earlier.fd, note)
    filelock.unlock(earlier)  # as a server does that has given it up
    lock = take(path, is_shared=is_shared)
    assert read_note(earlier.fd) == (b"" if is_shared else note)
    filelock.let_go(lock)
    filelock.drop(earlier)


def test_a_lock_that_another_process_has_leaves_nothing_open(tmp_path: Path) -> None:
    """However often it is asked for."""
    lock = take(tmp_path / "disk", is_shared=False)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(filelock.HeldError):
        take(tmp_path / "disk", is_shared=False)
    assert os.listdir("/proc/self/fd") == before
    filelock.let_go(lock)


def test_a_descriptor_that_a_thread_uses_stays_open(tmp_path: Path) -> None:
    """Another file would get its number."""
    lock = take(tmp_path / "disk", is_shared=False)
    lock.busy = True
    filelock.let_go(lock)
    os.fstat(lock.fd)
    filelock.set_free(lock)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lock.fd)


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_lock_that_the_file_system_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    """It is taken again, and that is told. A kernel that believes that it has the lock, and is
    refused by the server, has to give it up first."""
    path = tmp_path / "disk"
    lock = take(path, is_shared=True)
    monkeypatch.setattr(filelock, "_is_refused", lambda _: is_refused)
    unlocked: list[filelock.FileLock] = []
    with monkeypatch.context() as patch:
        patch.setattr(filelock, "unlock", unlocked.append)
        found = filelock.look_at(lock, str(path), shared=False, plain=True)
    assert (found, unlocked) == (("regained", [lock]) if is_refused else ("held", []))
    filelock.unlock(lock)
    assert filelock.look_at(lock, str(path), shared=False, plain=True) == "regained"
    with pytest.raises(filelock.HeldError):
        take(path, is_shared=True)
    filelock.let_go(lock)


def test_what_is_put_there_between_the_look_and_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lock file is anything but a plain file, and none is found by a link."""
    path = tmp_path / "disk"
    os.mkfifo(path)
    monkeypatch.setattr(filelock, "check_plain", lambda _: None)
    with pytest.raises(PlantedError):
        take(path, is_shared=False)
    path.unlink()
    lock = take(path, is_shared=False)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to("elsewhere")
    for plain in (True, False):
        found = filelock.is_at(lock.fd, str(path), lambda *_: False, plain=plain)
        assert found == (not plain)
    filelock.let_go(lock)


def test_it_waits_long_for_the_lock_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may have been away while it was asked for it."""
    now = [0.0]

    def wait() -> None:
        now[0] += filelock.SURE_FOR

    monkeypatch.setattr(filelock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    fds = before_locking(monkeypatch, wait)
    lock = take(tmp_path / "disk", is_shared=True)
    assert len(fds) == 2
    filelock.let_go(lock)


@pytest.mark.parametrize("size", [0, 1 << 20], ids=["a lock file", "a disk"])
def test_how_a_server_refuses_whom_it_has_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It answers EIO to who reads in the name of the lock; the file stays open as it was."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(size))
    lock = take(path, is_shared=True)
    flags = fcntl.fcntl(lock.fd, fcntl.F_GETFL)
    assert not filelock._is_refused(lock.fd)
    for number, is_refused in ((errno.EIO, True), (errno.EAGAIN, False)):

        def refuse(*_: object, number: int = number) -> bytes:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", refuse)
            assert filelock._is_refused(lock.fd) == is_refused
        assert fcntl.fcntl(lock.fd, fcntl.F_GETFL) == flags
    filelock.let_go(lock)


def unmount(point: Path) -> None:
    subprocess.run(["umount", point], check=True)


@pytest.fixture
def same_number(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two files on two file systems, with one inode number."""
    points = [tmp_path / "a", tmp_path / "b"]
    with ExitStack() as stack:
        for point in points:
            point.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", point], check=True)
            stack.callback(unmount, point)
            (point / "disk").touch()
        one, other = (point / "disk" for point in points)
        assert one.stat().st_ino == other.stat().st_ino
        yield one, other


def test_a_file_of_another_file_system_has_the_same_number(
    same_number: tuple[Path, Path],
) -> None:
    """It may be mounted over the other while that is locked."""
    one, other = same_number
    lock = take(one, is_shared=True)
    assert filelock._status_if_there(lock.fd, str(one), lambda *_: True) is not None
    assert filelock._status_if_there(lock.fd, str(other), lambda *_: True) is None
    filelock.let_go(lock)
