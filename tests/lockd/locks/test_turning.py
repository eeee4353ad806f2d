"""A lock changes its kind, and no other process gets it meanwhile."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lockd.kernel import filelock
from tests.real.moving_host import Thief, can_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Holds a lock of a kind until its input ends.
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, getattr(fcntl, sys.argv[2]) | fcntl.LOCK_NB, 1, 0)
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A lock file, open."""
    number = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


def lock(fd: int, how: int = fcntl.LOCK_EX) -> None:
    """As virtlockd does."""
    fcntl.lockf(fd, how | fcntl.LOCK_NB, 1, 0)


@pytest.mark.parametrize("shared", [False, True])
def test_there_and_back(tmp_path: Path, fd: int, shared: bool) -> None:
    lock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    with Thief(tmp_path) as thief:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert filelock.turn_into_own(fd, shared=shared) == "held"
            assert filelock.turn_into_posix(fd, shared=shared) == "held"
        got, tries = thief.end()
    assert not got
    assert tries


def test_what_it_is_afterwards(tmp_path: Path, fd: int) -> None:
    """A POSIX lock goes with any descriptor of the file, the other one does not."""
    lock(fd)
    assert filelock.turn_into_own(fd, shared=False) == "held"
    os.close(os.open(tmp_path / "lock", os.O_RDWR))
    assert not can_lock_elsewhere(tmp_path)
    assert filelock.turn_into_own(fd, shared=False) == "held"
    assert filelock.turn_into_posix(fd, shared=False) == "held"
    os.close(os.open(tmp_path / "lock", os.O_RDWR))
    assert can_lock_elsewhere(tmp_path)
    assert filelock.turn_into_own(fd, shared=False) == "regained"
    assert not can_lock_elsewhere(tmp_path)


def can_lock_elsewhere(directory: Path) -> bool:
    """Whether another process can lock the file; this one would lose its own by trying."""
    pid = os.fork()
    if not pid:
        os._exit(int(can_lock(directory / "lock")))
    return bool(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


@pytest.mark.parametrize("kind", ["LOCK_EX", "LOCK_SH"])
def test_another_has_it(tmp_path: Path, fd: int, kind: str) -> None:
    """That is said, and not believed to be held; and it is held when the other has let it go."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"holds\n"
        if kind == "LOCK_SH":
            lock(fd, fcntl.LOCK_SH)
        assert filelock.turn_into_own(fd, shared=False) == "taken"
        other.communicate()
    assert filelock.turn_into_own(fd, shared=False) in ("held", "regained")
    assert not can_lock_elsewhere(tmp_path)


def test_there_is_no_gap(tmp_path: Path, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes between two of its calls."""
    lock(fd)
    seen: list[bool] = []
    call = fcntl.fcntl

    def called(number: int, command: int, how: bytes) -> bytes:
        answer = call(number, command, how)
        seen.append(can_lock_elsewhere(tmp_path))
        return answer

    monkeypatch.setattr(fcntl, "fcntl", called)
    assert filelock.turn_into_own(fd, shared=False) == "held"
    there = len(seen)
    assert filelock.turn_into_posix(fd, shared=False) == "held"
    assert len(seen) > there > 4
    assert not any(seen)
