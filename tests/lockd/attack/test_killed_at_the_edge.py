"""The daemon is killed where it is between two states: while it sends an answer, and while it ends;
and its supervisor meets errors of the system when it is to start the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import (
    answer_of,
    held_by_the_kernel,
    injected,
    locks_of,
    own_file_system,
    wait_for_agreement,
)
from tests.lockd.attack.test_faults import NOBODY, STUBBORN
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from pathlib import Path


def test_while_it_sends_an_answer(tmp_path: Path) -> None:
    """The next process answers the calls that were done: no client waits without end, none is hung
    up, and a client that continues by itself gets no second answer."""
    with own_file_system(tmp_path / "lockspace"), Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", NOBODY)
        with injected(engine.pid, tmp_path / "trace", "sendto:signal=SIGKILL:when=1"):
            client.acquire(engine.lockspace, "a")
        assert [lock["resource"] for lock in locks_of(engine)] == ["a"]
        # It is killed when the answer has come: then there is no second one.
        daemon = engine.pid
        client.acquire(engine.lockspace, "b")
        os.kill(daemon, signal.SIGKILL)
        for _ in range(20):
            client.release(engine.lockspace, "b")
            client.acquire(engine.lockspace, "b")
        wait_for_agreement(engine)


def is_another(engine: Engine, daemon: int) -> bool:
    """Whether there is a daemon, and not that one."""
    return engine.pid not in (0, daemon)


@pytest.mark.parametrize("asked", ["supervisor", "daemon"])
def test_while_it_ends(tmp_path: Path, asked: str) -> None:
    """The next one goes on seeing the guests off: no lock is released before its guest has
    ended."""
    with own_file_system(tmp_path / "lockspace"), Engine(tmp_path) as engine:
        guest = subprocess.Popen(
            [sys.executable, "-c", STUBBORN, engine.socket, engine.lockspace, "disk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert guest.stdout is not None
        assert guest.stdout.readline() == b"holds\n"
        os.kill(engine.process.pid if asked == "supervisor" else engine.pid, signal.SIGTERM)
        for kills in range(3):
            wait_for(lambda: bool(engine.pid), "there is a daemon")
            if kills or asked == "daemon":
                wait_for(lambda: "closed its connection" in engine.log, "it is about to end")
            daemon = engine.pid
            os.kill(daemon, signal.SIGKILL)
            wait_for(partial(is_another, engine, daemon), "the next is started")
            # The guest ignores SIGTERM and is not killed before 1.6 s: its lock stays.
            if guest.poll() is None:
                assert held_by_the_kernel(engine.lockspace)
        while guest.poll() is None:
            locked = held_by_the_kernel(engine.lockspace)
            assert locked or guest.poll() is not None
            time.sleep(0.005)
        assert guest.wait() == -signal.SIGKILL
        guest.communicate()
        assert engine.process.wait(30) == 0
        assert not held_by_the_kernel(engine.lockspace)


@pytest.mark.parametrize(
    ("calls", "error", "when"),
    [
        ("clone,clone3,fork,vfork", "EAGAIN", "1+"),
        ("read", "EIO", "1"),
        ("poll", "ENOMEM", "1+"),
        ("wait4", "ECHILD", "1"),
        ("recvmsg", "ENOMEM", "1"),
        ("close", "EIO", "1+"),
        ("write", "ENOSPC", "1+"),
        ("kill", "EPERM", "1+"),
    ],
)
def test_faults_of_its_supervisor(tmp_path: Path, calls: str, error: str, when: str) -> None:
    """While there are any, there may be no daemon; afterwards there is, and all is as it was."""
    with own_file_system(tmp_path / "lockspace"), Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", NOBODY)
        client.acquire(engine.lockspace, "disk")
        daemon = engine.pid
        rule = f"{calls}:error={error}:when={when}"
        with injected(engine.process.pid, tmp_path / "trace", rule):
            os.kill(daemon, signal.SIGKILL)
            time.sleep(0.5)
            assert held_by_the_kernel(engine.lockspace)
        wait_for(partial(is_another, engine, daemon), "there is another daemon")
        wait_for_agreement(engine)
        assert len(locks_of(engine)) == 1
        other = engine.client()
        other.register("other", NOBODY + 1)
        assert "is locked by guest 'guest'" in answer_of(other.acquire, engine.lockspace, "disk")
        client.release(engine.lockspace, "disk")
        wait_for_agreement(engine)
