"""SIGUSR1: the daemon continues as another program, in the same process, and no client notices."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import lockd
from lockd.programs import lock
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, OK, Header, pack_message, read_header
from tests.lockd.client import ACQUIRE, AUTOCREATE, RELEASE, resource
from tests.lockd.engine import Engine, wait_for
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

_ROUNDS: Final = 5


def call(serial: int, procedure: int, arguments: bytes) -> bytes:
    """A call with a serial of our own."""
    return pack_message(
        Header(0, lock.PROGRAM, lock.VERSION, procedure, CALL, serial, OK), arguments
    )


class Caller(threading.Thread):
    """Calls all the time, several calls at once and cut at odd places, and keeps account of the
    serials that were answered, and whether well."""

    def __init__(self, engine: Engine, index: int) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.sent = 0
        self.answered: list[tuple[int, int]] = []
        self._index = index
        self._client = engine.client()
        self._client.register("guest", 1_000_000 + index)
        self._space = engine.lockspace

    def run(self) -> None:
        """Take and release a lock of one's own, until told to stop."""
        inbox = Inbox()
        name = f"disk-{self._index}"
        while not self.stop.is_set():
            batch = b""
            for procedure, flags in ((ACQUIRE, AUTOCREATE), (RELEASE, 0)) * 4:
                self.sent += 1
                batch += call(self.sent, procedure, resource(self._space, name, flags))
            cut = (self.sent * 37) % len(batch)
            self._client.socket.sendall(batch[:cut])
            if self.sent % 5 == 0:
                time.sleep(0.003)
            self._client.socket.sendall(batch[cut:])
            while len(self.answered) < self.sent:
                data = self._client.socket.recv(1 << 16)
                assert data, "hung up"
                for message in inbox.feed(data):
                    header = read_header(message)
                    self.answered.append((header.serial, header.status))


def test_under_load(tmp_path: Path) -> None:
    """No call is lost or answered twice, none is answered badly, and no lock is dropped."""
    with Engine(tmp_path) as engine:
        holder = engine.client()
        holder.register("holder", 5004242)
        holder.acquire(engine.lockspace, "held")
        pid = engine.pid
        callers = [Caller(engine, index) for index in range(6)]
        for caller in callers:
            caller.start()
        for _ in range(_ROUNDS):
            time.sleep(0.2)
            engine.upgrade()
        for caller in callers:
            caller.stop.set()
        for caller in callers:
            caller.join(30)
            assert not caller.is_alive()
            assert caller.sent > 8 * _ROUNDS
            assert caller.answered == [(serial, OK) for serial in range(1, caller.sent + 1)]
        assert engine.pid == pid
        assert [each["resource"] for each in engine.ask("locks")] == ["held"]


def test_to_another_version(tmp_path: Path) -> None:
    """What is installed now is what goes on."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        before = engine.ask("status")
        copy.change("__init__.py", f'"{lockd.__version__}"', '"99.0"')
        engine.upgrade()
        after = engine.ask("status")
        assert (before["version"], after["version"]) == (lockd.__version__, "99.0")
        assert (before["pid"], after["locks"]) == (after["pid"], 1)
        client.release(engine.lockspace, "disk")


def refused(engine: Engine, why: str) -> None:
    """An upgrade does not take place, for that reason, and nothing is lost."""
    os.kill(engine.process.pid, signal.SIGUSR1)
    wait_for(lambda: "continuing as before" in engine.log, "the upgrade has been refused")
    assert why in engine.log
    assert [each["resource"] for each in engine.ask("locks")] == ["disk"]
    assert "took over" not in engine.log


def test_a_version_that_does_not_know_the_format(tmp_path: Path) -> None:
    """It is refused before anything has happened."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        copy.change("survival/journal.py", "range(1, FORMAT + 1)", "range(0, 1)")
        refused(engine, "this version knows no journal of format 1")


def test_a_version_that_does_not_start(tmp_path: Path) -> None:
    """It is refused as well."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        copy.change("main.py", "def entry", "def def entry")
        refused(engine, "SyntaxError")


def test_a_configuration_that_has_gone_bad(tmp_path: Path) -> None:
    """Keeps the daemon as it is, and is told."""
    with Engine(tmp_path, files={"qemu.conf": 'lock_manager = "lockd"\n'}) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        (tmp_path / "etc/qemu.conf").write_text("lock_manager = lockd\n")
        refused(engine, "qemu.conf:1:16: expecting a value")


def test_other_settings(tmp_path: Path) -> None:
    """They are in force afterwards."""
    with Engine(tmp_path, files={"virtlockd.conf": "max_clients = 7\n"}) as engine:
        (tmp_path / "etc/virtlockd.conf").write_text("max_clients = 8\n")
        engine.upgrade()
        assert engine.ask("status")["clients"]["virtlockd"]["max"] == 8
