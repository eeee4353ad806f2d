"""Whatever call of the system fails, at whatever step: what the engine knows and what the kernel
holds agree afterwards, and who asked was told how it is."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import (
    answer_of,
    held_by_the_kernel,
    injected,
    locks_of,
    no_descriptors,
    own_file_system,
    wait_for_agreement,
)
from tests.lockd.client import ACQUIRE, AUTOCREATE, RELEASE, SHARED, Client, resource
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A pid that no process has: the kernel gives out none as large.
NOBODY = 1 << 23

#: What an engine does not do by itself: no answer may say this.
OWN_ERROR = "an error of its own"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One whose lockspace is a file system of its own, and that goes through all of this."""
    directory = tmp_path_factory.mktemp("engine")
    with own_file_system(directory / "lockspace"), Engine(directory) as engine:
        yield engine


#: The calls that acquire and release make, each with what it may fail with.
FAULTS = [
    ("openat", "EMFILE"),
    ("openat", "ENFILE"),
    ("openat", "EIO"),
    ("fcntl", "ENOLCK"),
    ("fcntl", "EIO"),
    ("fcntl", "ENOMEM"),
    ("fstat,newfstatat,stat,lstat", "ENOMEM"),
    ("fstat,newfstatat,stat,lstat", "EIO"),
    ("sendmsg", "ENOBUFS"),
    ("sendmsg", "ETOOMANYREFS"),
    ("socketpair,pipe2", "EMFILE"),
    ("unlink,unlinkat", "EIO"),
    ("unlink,unlinkat", "EROFS"),
    ("setxattr,fsetxattr,fremovexattr", "EIO"),
    ("pread64,pwrite64,read,ftruncate", "EIO"),
    ("memfd_create", "EMFILE"),
    ("readlink,readlinkat", "ENOMEM"),
    ("mmap,mremap,brk", "ENOMEM"),
    ("epoll_ctl", "ENOMEM"),
    ("close", "EIO"),
]


#: At which of the calls: of more of them where that is asked for.
WHEN = ("1", "1+")
MORE = (*WHEN, "2", "3", "1+2")


@pytest.mark.parametrize(("calls", "error"), FAULTS, ids=lambda each: each.replace(",", "+"))
def test_acquire_and_release(
    engine: Engine, tmp_path: Path, pytestconfig: pytest.Config, calls: str, error: str
) -> None:
    """Of locks that are new, idle and shared, with those calls failing."""
    for when in MORE if pytestconfig.getoption("--exhaustive") else WHEN:
        with_faults(engine, tmp_path / "trace", f"{calls}:error={error}:when={when}")


def with_faults(engine: Engine, log: Path, rule: str) -> None:
    """Acquire and release while calls fail by a rule: whatever was answered is so."""
    client, other = Caller(engine, "guest", NOBODY), Caller(engine, "other", NOBODY + 1)
    for name in ("before", "kept"):
        assert client.acquire(name) == ""
    held = {"before", "kept"}
    with injected(engine.pid, log, rule):
        for _ in range(2):
            for name, flags in (("a", AUTOCREATE), ("b", AUTOCREATE | SHARED)):
                said = client.acquire(name, flags)
                assert OWN_ERROR not in said
                if not said:
                    held.add(name)
            for name in ("before", "a"):
                said = client.release(name)
                assert OWN_ERROR not in said
                if not said:
                    held.discard(name)
    wait_for_agreement(engine)
    known = {lock["resource"] for lock in locks_of(engine)}
    assert known - client.unsure == held - client.unsure
    for name in {"before", "a", "b", "new"} - held - client.unsure:
        assert other.acquire(name) == ""
        assert other.release(name) == ""
    assert "is locked by" in other.acquire("kept")
    for lock in locks_of(engine):
        for _ in lock["owners"]:
            assert client.release(lock["resource"]) == ""
    wait_for_agreement(engine)


class Caller:
    """One that acts for a guest, and connects again where it is disconnected. ``unsure`` are the
    names of calls to which it has had no answer."""

    def __init__(self, engine: Engine, name: str, pid: int) -> None:
        self._engine = engine
        self._guest = name, pid
        self._client: Client | None = None
        self.unsure: set[str] = set()

    def acquire(self, name: str, flags: int = AUTOCREATE) -> str:
        """What it is told."""
        return self._call(ACQUIRE, name, flags)

    def release(self, name: str) -> str:
        """What it is told."""
        return self._call(RELEASE, name, 0)

    def _call(self, procedure: int, name: str, flags: int) -> str:
        if self._client is None:
            self._client = self._engine.client()
            said = answer_of(self._client.register, *self._guest)
            if said:
                self._client = None
                return said
        said = answer_of(
            self._client.call, procedure, resource(self._engine.lockspace, name, flags)
        )
        if said == "hung up":
            self.unsure.add(name)
            self._client = None
        return said


GUEST = (sys.executable, "-m", "tests.lockd.guest")


@pytest.mark.parametrize(
    ("calls", "error", "when"),
    [
        ("pidfd_open", "EMFILE", "1+"),
        ("pidfd_open", "ENOMEM", "1+"),
        ("pidfd_open", "EMFILE", "1"),
        ("openat", "EMFILE", "1+"),
        ("openat", "ENFILE", "1"),
        ("openat", "EACCES", "1+"),
        ("pidfd_send_signal", "EPERM", "1+"),
        ("pidfd_send_signal", "EPERM", "1"),
        ("epoll_ctl", "ENOMEM", "1"),
        ("epoll_ctl", "ENOSPC", "2"),
        ("shutdown", "EIO", "1"),
        ("poll", "ENOMEM", "1"),
        ("read", "EIO", "1+"),
        ("fcntl", "EIO", "1+"),
        ("fcntl", "ENOLCK", "1"),
        ("close", "EIO", "1+"),
    ],
)
def test_hang_up(engine: Engine, tmp_path: Path, calls: str, error: str, when: str) -> None:
    """Of a guest that lives on: its locks are not released as long as it does, and are
    afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, engine.socket, engine.lockspace, "disk"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"holds\n"
    with injected(engine.pid, tmp_path / "trace", f"{calls}:error={error}:when={when}"):
        process.stdin.write(b"hang up\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"hung up\n"
        for _ in range(10):
            # It ignores SIGTERM: for now it is there, and so is its lock.
            if process.poll() is None:
                assert held_by_the_kernel(engine.lockspace)
    try:
        wait_for(lambda: process.poll() is not None, "the guest is made to end", 10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not locks_of(engine), "its lock is let go")
    wait_for_agreement(engine)


#: A guest that hangs up without ending, and does not end when it is asked to.
STUBBORN = """
import signal, sys
from tests.lockd.client import Client
signal.signal(signal.SIGTERM, signal.SIG_IGN)
client = Client(sys.argv[1], timeout=60)
client.register("guest")
client.acquire(*sys.argv[2:])
print("holds", flush=True)
sys.stdin.readline()
client.close()
print("hung up", flush=True)
signal.pause()
"""


def test_no_descriptor_at_all(engine: Engine) -> None:
    """Not one more than there are: releases, ends of guests and new journals go on, and afterwards
    everything does."""
    other, client = engine.client(), engine.client()
    other.register("other", NOBODY + 1)
    client.register("guest", NOBODY)
    for index in range(20):
        client.acquire(engine.lockspace, f"disk-{index}")
    process = subprocess.Popen(
        [*GUEST, engine.socket, engine.lockspace, "own"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"holds\n"
    with no_descriptors(engine.pid):
        # Something has been mounted: what is known of the file systems is looked up again.
        subprocess.run(
            ["nsenter", f"--target={engine.pid}", "--mount", "mount", "-t", "tmpfs", "x", "/media"],
            check=True,
        )
        for index in range(10):
            assert answer_of(client.release, engine.lockspace, f"disk-{index}") == ""
        process.kill()
        process.communicate()
        assert "Too many open files" in answer_of(client.acquire, engine.lockspace, "new")
    wait_for(lambda: len(locks_of(engine)) == 10, "the guest's own is let go")
    wait_for_agreement(engine)
    for index in range(10):
        assert answer_of(other.acquire, engine.lockspace, f"disk-{index}") == ""
    assert answer_of(other.acquire, engine.lockspace, "own") == ""
    engine.crash()
    wait_for_agreement(engine)
