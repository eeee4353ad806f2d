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
    no_descriptors,
    own_file_system,
    wait_for_agreement,
)
from tests.lockd.client import AUTOCREATE, SHARED
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What an engine does not do by itself: no answer may say this.
OWN_ERROR = "an error of its own"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """One whose lockspace is a file system of its own."""
    with own_file_system(tmp_path / "lockspace"), Engine(tmp_path) as engine:
        yield engine


#: The calls that acquire and release make, each with what it may fail with.
FAULTS = [
    ("openat", "EMFILE"),
    ("openat", "ENFILE"),
    ("openat", "EIO"),
    ("fcntl", "ENOLCK"),
    ("fcntl", "EIO"),
    ("fcntl", "EINTR"),
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


@pytest.mark.parametrize("when", ["1", "2", "3", "1+2", "1+"])
@pytest.mark.parametrize(("calls", "error"), FAULTS, ids=lambda each: each.replace(",", "+"))
def test_acquire_and_release(
    engine: Engine, tmp_path: Path, calls: str, error: str, when: str
) -> None:
    """Of locks that are new, idle and shared, with those calls failing."""
    held: set[str] = set()
    other = engine.client()
    other.register("other", 5000)
    client = engine.client()
    client.register("guest", 4242)
    client.acquire(engine.lockspace, "before")
    client.acquire(engine.lockspace, "kept")
    held |= {"before", "kept"}
    rule = f"{calls}:error={error}:when={when}"
    # Whether a fault hangs a client up or not: who is asked for afterwards is another one.
    with injected(engine.pid, tmp_path / "trace", rule):
        for _ in range(2):
            for name, flags in (("a", AUTOCREATE), ("b", AUTOCREATE | SHARED)):
                said = answer_of(client.acquire, engine.lockspace, name, flags)
                assert OWN_ERROR not in said
                if not said:
                    held.add(name)
            for name in ("before", "a"):
                said = answer_of(client.release, engine.lockspace, name)
                assert OWN_ERROR not in said
                if not said:
                    held.discard(name)
    wait_for_agreement(engine)
    assert {lock["resource"] for lock in engine.ask("locks")} == held
    for name in {"before", "a", "b", "new"} - held:
        assert answer_of(other.acquire, engine.lockspace, name) == ""
        assert answer_of(other.release, engine.lockspace, name) == ""
    assert "is locked by" in answer_of(other.acquire, engine.lockspace, "kept")


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
    """Of a guest that lives on: its locks are not let go as long as it does, and are afterwards."""
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
    wait_for(lambda: not engine.ask("locks"), "its lock is let go")
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
    other = engine.client()
    other.register("other", 5000)
    client = engine.client()
    client.register("guest", 4242)
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
        # Something has been mounted: what is known of the file systems is looked up anew.
        subprocess.run(
            ["nsenter", f"--target={engine.pid}", "--mount", "mount", "-t", "tmpfs", "x", "/media"],
            check=True,
        )
        for index in range(10):
            assert answer_of(client.release, engine.lockspace, f"disk-{index}") == ""
        process.kill()
        process.communicate()
        assert "Too many open files" in answer_of(client.acquire, engine.lockspace, "new")
    wait_for(lambda: len(engine.ask("locks")) == 10, "the guest's own is let go")
    wait_for_agreement(engine)
    for index in range(10):
        assert answer_of(other.acquire, engine.lockspace, f"disk-{index}") == ""
    assert answer_of(other.acquire, engine.lockspace, "own") == ""
    engine.crash()
    wait_for_agreement(engine)
