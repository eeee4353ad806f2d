"""What happens to the files that are locked, and who sees the locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from lockd.kernel import filelock
from tests.lockd.client import SHARED, CallRefusedError, Client
from tests.lockd.engine import PROGRAM, Engine, end, wait_for
from tests.lockd.locks.test_one_disk import is_locked

OFTEN = "--check-interval=0.1"


def with_a_removed_file(engine: Engine) -> tuple[Client, Path]:
    """A guest that holds a lock, and the file of the lock, which was removed."""
    client = engine.client()
    client.register("guest", 5004242)
    client.acquire(engine.lockspace, "disk")
    file = engine.lockspace / "disk"
    file.unlink()
    return client, file


def test_a_removed_lock_file_is_locked_anew(tmp_path: Path) -> None:
    """And the lock outlives a crash after that."""
    with Engine(tmp_path, OFTEN) as engine:
        client, file = with_a_removed_file(engine)
        wait_for(file.exists, "the file is there again")
        wait_for(lambda: "was removed while it was held: locked again" in engine.log, "it is said")
        assert is_locked(file)
        engine.crash()
        assert is_locked(file)
        client.release(engine.lockspace, "disk")
        wait_for(lambda: not file.exists(), "the file is removed")


def test_a_removed_lockspace(tmp_path: Path) -> None:
    """lockd reports it as what it is, and takes the locks in it again when it exists again."""
    with Engine(tmp_path, OFTEN) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        space = tmp_path / "space"
        client.create_lockspace(space)
        client.acquire(space, "disk")
        shutil.rmtree(space)
        wait_for(lambda: "DISK IN DANGER" in engine.log, "it is reported")
        assert f"its file was removed, and with it {space}" in engine.log
        client.create_lockspace(space)
        wait_for(lambda: "is safe again" in engine.log, "the danger is over")
        assert is_locked(space / "disk")


def test_a_replaced_lock_file_that_somebody_took(tmp_path: Path) -> None:
    """lockd reports it as a danger, and does not remove it at the release."""
    with Engine(tmp_path, OFTEN) as engine:
        client, file = with_a_removed_file(engine)
        with file.open("w") as other:
            fcntl.lockf(other, fcntl.LOCK_EX, 1, 0)
            wait_for(lambda: "DISK IN DANGER" in engine.log, "it is reported")
            assert "another process has locked the new one" in engine.log
            done = subprocess.run(
                [PROGRAM, "status", "--socket", engine.admin_socket],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 1
            assert f"DANGER: {file}: its file was replaced" in done.stdout
            time.sleep(0.3)
            assert engine.log.count("DISK IN DANGER") == 1
            client.release(engine.lockspace, "disk")
            time.sleep(0.4)
            assert file.exists()


def test_danger_that_is_over(tmp_path: Path) -> None:
    """lockd reports that too, and takes the lock again once the other process has released it."""
    with Engine(tmp_path, OFTEN) as engine:
        _, file = with_a_removed_file(engine)
        with file.open("w") as other:
            fcntl.lockf(other, fcntl.LOCK_EX, 1, 0)
            wait_for(lambda: "DISK IN DANGER" in engine.log, "it is reported")
        wait_for(lambda: "is safe again" in engine.log, "the danger is over")
        assert is_locked(file)
        assert engine.ask("status")["problems"] == []


def test_a_disk_that_is_replaced(tmp_path: Path) -> None:
    """It is reported; a disk is never made again."""
    disk = tmp_path / "disk"
    disk.touch()
    with Engine(tmp_path, OFTEN) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire("", disk, 0)
        disk.unlink()
        wait_for(lambda: f"the lock {disk} of guest 'guest'" in engine.log, "it is reported")
        time.sleep(0.3)
        assert not disk.exists()


def test_visible(tmp_path: Path) -> None:
    """lslocks shows command, pid and path of every lock, also after a crash and an upgrade."""
    disk = tmp_path / "disk"
    disk.touch()
    with Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire("", disk, 0)
        client.acquire(engine.lockspace, "exclusive")
        client.acquire(engine.lockspace, "shared", SHARED | 2)
        expected = {
            (str(disk), "WRITE"),
            (f"{engine.lockspace}/exclusive", "WRITE"),
            (f"{engine.lockspace}/shared", "READ"),
        }
        wait_for(lambda: visible(engine) == expected, "the locks are visible")
        engine.crash()
        wait_for(lambda: visible(engine) == expected, "they are after a crash")
        engine.upgrade()
        wait_for(lambda: visible(engine) == expected, "they are after an upgrade")


def visible(engine: Engine) -> set[tuple[str, str]]:
    """The locks that lslocks shows as the daemon's, with their modes."""
    done = subprocess.run(
        ["lslocks", "--json"], capture_output=True, check=True, encoding="utf-8", errors="replace"
    )
    return {
        (lock["path"], lock["mode"])
        for lock in json.loads(done.stdout)["locks"]
        if lock["command"] == "lockd" and lock["pid"] == engine.pid
    }


def test_locks_command(tmp_path: Path) -> None:
    """A note says what is held, by which guest, since when, and on which disk by the guests'
    descriptions."""
    import hashlib

    disk = "/images/web.qcow2"
    name = hashlib.sha256(disk.encode()).hexdigest()
    with Engine(tmp_path) as engine:
        (tmp_path / "etc/qemu").mkdir()
        (tmp_path / "etc/qemu/web.xml").write_text(
            f"<domain><devices><disk><source file='{disk}'/></disk></devices></domain>"
        )
        client, other = engine.client(), engine.client()
        client.register("web", 5004242)
        client.acquire(engine.lockspace, name)
        (lock,) = engine.ask("locks")
        assert (lock["disk"], lock["mode"], lock["problem"]) == (disk, "exclusive", "")
        assert lock["owners"][0] == {
            "guest": "web",
            "uuid": "00000000-0000-0000-0000-000000000000",
            "id": 1,
            "pid": 5004242,
        }
        assert abs(lock["since"] - time.time()) < 60
        table = subprocess.run(
            [PROGRAM, "locks", "--socket", engine.admin_socket],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        head = "LOCKSPACE RESOURCE DISK OWNER PID MODE SINCE STATE"
        assert " ".join(table[0].split()) == head
        assert table[1].split()[:6] == [
            *(str(engine.lockspace), name, disk, "web", "5004242", "exclusive")
        ]
        other.register("thief", 5004343)
        with pytest.raises(CallRefusedError) as caught:
            other.acquire(engine.lockspace, name)
        assert "by guest 'web' (uuid 00000000-" in str(caught.value)
        assert str(caught.value).endswith(f", for the disk {disk}")


def test_two_daemons(tmp_path: Path) -> None:
    """The second is told who holds the lock of the first, and on which host."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Engine(tmp_path / "a") as one, Engine(tmp_path / "b") as two:
        holder, thief = one.client(), two.client()
        holder.register("web", 5004242)
        holder.acquire(one.lockspace, "disk")
        thief.register("thief", 5004343)
        thief.create_lockspace(one.lockspace)

        def is_told() -> bool:
            with pytest.raises(CallRefusedError) as caught:
                thief.acquire(one.lockspace, "disk")
            return "is locked by guest 'web' (uuid" in str(caught.value)

        wait_for(is_told, "the note is there")
        one.crash()
        assert is_told()
        holder.release(one.lockspace, "disk")
        thief.acquire(one.lockspace, "disk")
        with pytest.raises(CallRefusedError, match="is locked by "):
            holder.acquire(one.lockspace, "disk")


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int refuse(int command) { return command == F_OFD_SETLK || command == F_OFD_SETLKW; }
#define FCNTL(name) \
    int name(int fd, int command, ...) { \
        va_list rest; va_start(rest, command); \
        void *argument = va_arg(rest, void *); va_end(rest); \
        if (refuse(command)) { errno = EINVAL; return -1; } \
        return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #name))(fd, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets the kernel have no open-file-description locks."""
    directory = tmp_path_factory.mktemp("shim")
    source, library = directory / "shim.c", directory / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def test_no_open_file_description_locks(tmp_path: Path, shim: Path) -> None:
    """Where the kernel refuses them there are POSIX locks, and a warning."""
    with Engine(tmp_path, environment={"LD_PRELOAD": str(shim)}) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        assert "has no open-file-description locks" in engine.log
        assert is_locked(engine.lockspace / "disk")
        (lock,) = engine.ask("locks")
        assert lock["kind"] == "posix"
        other = engine.lockspace / "other"
        other.hardlink_to(engine.lockspace / "disk")
        with pytest.raises(CallRefusedError, match="under its other name"):
            client.acquire("", other, 0)
        assert is_locked(other)
        other.unlink()
        client.release(engine.lockspace, "disk")
        assert not os.listdir(engine.lockspace)


def test_posix_locks_after_a_crash(tmp_path: Path, shim: Path) -> None:
    """They are lost with the daemon, and the next one takes them again; if another process was
    faster, that is reported."""
    with Engine(tmp_path, OFTEN, environment={"LD_PRELOAD": str(shim)}) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        engine.upgrade()
        assert is_locked(engine.lockspace / "disk")
        engine.crash()
        assert is_locked(engine.lockspace / "disk")
        assert "DANGER" not in engine.log
        engine.process.send_signal(signal.SIGSTOP)  # so that no new daemon comes up yet
        os.kill(engine.pid, signal.SIGKILL)
        wait_for(lambda: not is_locked(engine.lockspace / "disk"), "the lock is lost")
        with (engine.lockspace / "disk").open("r+b") as other:
            fcntl.lockf(other, fcntl.LOCK_EX, 1, 0)
            engine.process.send_signal(signal.SIGCONT)
            wait_for(lambda: "DISK IN DANGER" in engine.log, "it is reported")
            assert (
                "and another process has it now" in engine.ask("status")["problems"][0]["problem"]
            )
        wait_for(lambda: "is safe again" in engine.log, "the danger is over")
        assert is_locked(engine.lockspace / "disk")


def test_posix_locks_and_a_killed_supervisor(tmp_path: Path, shim: Path) -> None:
    """The daemon stays what it is, and keeps them, also when it is told to try again."""
    with Engine(tmp_path, environment={"LD_PRELOAD": str(shim)}) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        daemon = engine.pid
        engine.process.kill()
        engine.process.wait()
        refused = "no other supervisor: the POSIX locks would go with this process"

        def said(text: str, times: int) -> bool:
            return engine.log.count(text) == times

        for times in (1, 2):
            wait_for(partial(said, refused, times), "it says so")
            assert is_locked(engine.lockspace / "disk")
            if times == 1:
                os.kill(daemon, signal.SIGUSR1)
        end(daemon)


def test_a_disk_is_never_written(tmp_path: Path) -> None:
    """Not even one that looks like a lock file of ours."""
    disk = tmp_path / "disk"
    disk.write_bytes(b'{"lockd": 1, "host": "elsewhere"}')
    with Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        for _ in range(2):
            client.acquire("", disk, 0)
            wait_for(lambda: bool(visible(engine)), "the lock is visible")
            engine.crash()
            client.release("", disk)
        assert disk.read_bytes() == b'{"lockd": 1, "host": "elsewhere"}'
        assert "user.lockd" not in os.listxattr(disk)


@pytest.mark.parametrize("mode", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_a_program_that_has_locked_the_file(tmp_path: Path, mode: int) -> None:
    """The error names the holder's process if it is not a lock daemon that left a note."""
    disk = tmp_path / "disk"
    disk.touch()
    with Engine(tmp_path) as engine, disk.open("r+b") as file:
        fcntl.lockf(file, mode, 1, 0)
        client = engine.client()
        client.register("guest", 5004242)
        with pytest.raises(CallRefusedError) as caught:
            client.acquire("", disk, 0)
        program = Path("/proc/self/comm").read_text().strip()
        who = f"by '{program}' (pid {os.getpid()}) on this host"
        assert str(caught.value).endswith(f"'{disk}' is locked {who}")


def test_a_file_that_went_with_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unlocked file that is still open can turn out to be stale: then it is another that counts,
    and the daemon goes on."""
    lock = filelock.take(
        str(tmp_path / "disk"),
        shared=False,
        create=True,
        plain=True,
        may_be_shared=lambda *_: False,
    )
    filelock.unlock(lock)
    with monkeypatch.context() as patch:

        def fail(_: int) -> os.stat_result:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

        patch.setattr(os, "fstat", fail)
        assert not filelock.lock_again(lock, shared=False)
    assert not is_locked(tmp_path / "disk")
    filelock.let_go(lock)


def test_one_of_two_threads_closes_a_descriptor(tmp_path: Path) -> None:
    """While a lock is dropped, the thread that was asking about it has its answer: a second close
    would be of another file, which has got the number."""

    class Lock(filelock.FileLock):
        """The other thread has its turn when it matters most."""

        other: threading.Thread | None = None

        @property
        def busy(self) -> bool:
            if self.other is None:
                self.other = threading.Thread(target=filelock.set_free, args=(self,))
                self.other.start()
                self.other.join(0.3)
            return self._busy

        @busy.setter
        def busy(self, value: bool) -> None:
            self._busy = value

    fd = os.open(tmp_path / "disk", os.O_RDWR | os.O_CREAT)
    lock = Lock(fd, (1, 1), posix=False)
    lock.busy = True
    closed: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filelock, "close", closed.append)
        filelock.drop(lock)
        assert lock.other is not None
        lock.other.join()
    os.close(fd)
    assert closed == [fd]
