"""The end of an owner is the end of its locks, where no connection of its own tells of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import answer_of, injected
from tests.lockd.client import AUTOCREATE, SHARED
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A pid that no process has: the kernel gives out none as large.
NOBODY = 1 << 23


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """The process of a guest."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def free(engine: Engine, *names: str) -> None:
    """Wait until another client can have all of them."""
    wait_for(lambda: not engine.ask("locks"), "they are let go")
    with engine.client() as client:
        client.register("another", NOBODY)
        for name in names:
            client.acquire(engine.lockspace, name)


@pytest.mark.parametrize("how", ["", "crash", "upgrade", "crash meanwhile"])
@pytest.mark.parametrize("reaped", [True, False])
def test_it_ends(
    tmp_path: Path, process: subprocess.Popen[bytes], how: str, *, reaped: bool
) -> None:
    """And all that it held is free, also after the daemon has been replaced or was away, and if
    it has not been reaped yet."""
    with Engine(tmp_path) as engine:
        with engine.client() as client:
            client.register("guest", process.pid)
            client.acquire(engine.lockspace, "one")
            client.acquire(engine.lockspace, "two", AUTOCREATE | SHARED)
            client.acquire(engine.lockspace, "two", AUTOCREATE | SHARED)
        if how in ("crash", "upgrade"):
            getattr(engine, how)()
        if how == "crash meanwhile":
            engine.process.send_signal(signal.SIGSTOP)
            subprocess.run(["kill", "-9", str(engine.pid)], check=True)
        process.kill()
        if reaped:
            process.wait()
        if how == "crash meanwhile":
            engine.process.send_signal(signal.SIGCONT)
        free(engine, "one", "two")
        assert "guest 'guest' (uuid 00000000-0000-0000-0000-000000000000, pid" in engine.log
        assert "has ended and had no connection of its own" in engine.log


def test_it_lives(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    """And its locks stay, whichever process acted for it; so do those of an owner that never was a
    process of this host, as far as can be told."""
    with Engine(tmp_path) as engine:
        for pid, name in ((process.pid, "one"), (NOBODY, "two")):
            with engine.client() as client:
                client.register("guest", pid)
                client.acquire(engine.lockspace, name)
        engine.crash()
        with engine.client() as client:
            client.register("another", NOBODY + 1)
            for name in ("one", "two"):
                said = answer_of(client.acquire, engine.lockspace, name)
                assert "is locked by guest 'guest'" in said


def test_another_process_with_its_pid(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    """It is not taken for it: the journal has when the first one started."""
    with Engine(tmp_path) as engine:
        with engine.client() as client:
            client.register("guest", process.pid)
            client.acquire(engine.lockspace, "disk")
        # A process that started at another time, as far as the next daemon can see.
        daemon = engine.pid
        subprocess.run(["kill", "-STOP", str(engine.process.pid)], check=True)
        subprocess.run(["kill", "-9", str(daemon)], check=True)
        process.kill()
        process.wait()
        with subprocess.Popen(
            [sys.executable, "-c", SAME_PID, str(process.pid)], stdout=subprocess.PIPE
        ) as another:
            assert another.stdout is not None
            assert int(another.stdout.readline()) == process.pid
            subprocess.run(["kill", "-CONT", str(engine.process.pid)], check=True)
            free(engine, "disk")
            another.kill()
            subprocess.run(["kill", "-9", str(process.pid)], check=True)


#: A process with a pid that is asked for.
SAME_PID = """
import os, sys, time
wanted = int(sys.argv[1])
with open("/proc/sys/kernel/ns_last_pid", "w") as file:
    file.write(str(wanted - 1))
while True:
    pid = os.fork()
    if not pid:
        time.sleep(1000)
    if pid == wanted:
        print(pid, flush=True)
        time.sleep(1000)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(wanted - 1))
"""


@pytest.mark.parametrize("call", ["pidfd_open", "epoll_ctl"])
def test_it_cannot_be_watched(tmp_path: Path, process: subprocess.Popen[bytes], call: str) -> None:
    """For now: then it is later."""
    with Engine(tmp_path) as engine:
        with engine.client() as client:
            client.register("guest", process.pid)
            with injected(engine.pid, tmp_path / "trace", f"{call}:error=EMFILE") as trace:
                client.acquire(engine.lockspace, "disk")
                wait_for(lambda: bool(trace.count), "it is tried")
            process.kill()
            process.wait()
        free(engine, "disk")
