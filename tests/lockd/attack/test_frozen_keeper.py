"""The keeper of the descriptors does not answer, and no client waits for it."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import own_file_system, wait_for_agreement
from tests.lockd.client import CallRefusedError, Client
from tests.lockd.engine import Engine, Stopwatch, wait_for

if TYPE_CHECKING:
    from pathlib import Path

#: The longest that a call may take here, in seconds: these machines are noisy.
AT_ONCE = 0.5

LOST = "the locks would not outlive a crash"


def longest(client: Client, engine: Engine, pairs: int) -> float:
    """How long the longest of some calls takes, in seconds."""
    took = []
    for index in range(pairs):
        for call in (client.acquire, client.release):
            stopwatch = Stopwatch(engine.pid)
            call(engine.lockspace, f"busy-{index % 7}")
            took.append(stopwatch.seconds)
    return max(took)


def is_told(engine: Engine) -> bool:
    """Whether the status says that a crash would cost locks."""
    return engine.ask("status")["keeper"] not in ("ok", "none")


def test_frozen_supervisor(tmp_path: Path) -> None:
    """Calls go on, it is said, and when it is back it gets all that there is by then."""
    with own_file_system(tmp_path / "lockspace"), Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "before")
        os.kill(engine.process.pid, signal.SIGSTOP)
        try:
            deadline = time.monotonic() + 20
            while not is_told(engine):
                assert longest(client, engine, 50) < AT_ONCE
                assert time.monotonic() < deadline
            assert LOST in engine.log
            for index in range(1200):  # more than one queue takes
                client.acquire(engine.lockspace, f"meanwhile-{index}")
            assert longest(client, engine, 300) < AT_ONCE
            stopwatch = Stopwatch(engine.pid)
            with engine.client() as another:
                another.register("another", 5004343)
                another.acquire(engine.lockspace, "another")
            assert stopwatch.seconds < AT_ONCE
        finally:
            os.kill(engine.process.pid, signal.SIGCONT)
        wait_for(lambda: not is_told(engine), "it is back")
        assert "keeps all descriptors again" in engine.log
        for _ in range(2):
            engine.crash()
            assert len(engine.ask("locks")) == 1202
            with pytest.raises(CallRefusedError, match="is locked by guest 'guest'"):
                client.acquire(engine.lockspace, "meanwhile-1199")
        wait_for_agreement(engine)


def test_a_crash_while_the_supervisor_is_frozen(tmp_path: Path) -> None:
    """When it goes on, so does the next daemon: with all that was held."""
    with own_file_system(tmp_path / "lockspace"), Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        daemon = engine.pid
        os.kill(engine.process.pid, signal.SIGSTOP)
        try:
            for index in range(100):
                client.acquire(engine.lockspace, f"disk-{index}")
                client.acquire(engine.lockspace, "passing")
                client.release(engine.lockspace, "passing")
                time.sleep(0.03)
            os.kill(daemon, signal.SIGKILL)
        finally:
            os.kill(engine.process.pid, signal.SIGCONT)
        wait_for(lambda: "took over 100 locks" in engine.log, "the next one has taken over")
        wait_for_agreement(engine)
        with pytest.raises(CallRefusedError, match="is locked by guest 'guest'"):
            client.acquire(engine.lockspace, "disk-99")


def test_a_service_manager_whose_socket_is_full(tmp_path: Path) -> None:
    """From the start, as systemd's is when others flood it."""
    notify = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notify))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
            flood.setblocking(False)
            try:
                while True:
                    flood.sendto(b"X=1", str(notify))
            except BlockingIOError:
                pass
        begun = time.monotonic()
        with Engine(tmp_path, environment={"NOTIFY_SOCKET": str(notify)}) as engine:
            client = engine.client()
            client.register("guest", 5004242)
            assert longest(client, engine, 100) < AT_ONCE
            assert time.monotonic() - begun < 10
            wait_for(lambda: is_told(engine), "it is said")
            assert longest(client, engine, 100) < AT_ONCE
            client.acquire(engine.lockspace, "disk")
            said: list[bytes] = []
            fds: list[int] = []
            manager.settimeout(0.2)

            def read_all() -> bool:
                try:
                    while True:
                        data, received, _, _ = socket.recv_fds(manager, 4096, 8)
                        said.append(data)
                        if data.startswith(b"BARRIER"):
                            for fd in received:
                                os.close(fd)
                        else:
                            fds.extend(received)
                except TimeoutError:
                    pass
                return not is_told(engine)

            wait_for(read_all, "it is back")
            read_all()
            assert any(b"READY=1" in each for each in said)
            assert any(b"FDSTORE=1" in each for each in said)
            assert "keeps all descriptors again" in engine.log
            for fd in fds:
                os.close(fd)
