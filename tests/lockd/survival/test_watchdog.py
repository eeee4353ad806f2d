"""A daemon whose loop hangs is killed and started again, and loses no lock."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from lockd.survival.keeper import WATCHDOG_SECONDS
from tests.lockd.client import CallRefusedError
from tests.lockd.engine import Engine, wait_for
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from pathlib import Path


def test_a_loop_that_hangs(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        client = engine.client()
        client.register("web", os.getpid())
        client.acquire(engine.lockspace, "disk")
        hung = engine.pid
        os.kill(hung, signal.SIGSTOP)
        wait_for(lambda: "no sign of life" in engine.log, "it is seen", 3 * WATCHDOG_SECONDS)
        wait_for(lambda: "took over 1 lock" in engine.log, "the next one is there")
        assert engine.pid not in (0, hung)
        other = engine.client()
        other.register("other", 5004242)
        with pytest.raises(CallRefusedError, match="by guest 'web'"):
            other.acquire(engine.lockspace, "disk")
        client.release(engine.lockspace, "disk")


def test_a_program_that_takes_long_to_load(tmp_path: Path) -> None:
    """In an upgrade on a slow host: it is not killed for that, and watched afterwards."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        before = engine.pid
        first = "    hold_signals()\n    os.umask"
        sleep = f"    import time; time.sleep({WATCHDOG_SECONDS + 3})\n"
        copy.change("daemon/serving.py", first, sleep + first)
        engine.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "took over" in engine.log, "it goes on", 90)
        assert "no sign of life" not in engine.log
        assert engine.pid == before
        engine.ask("status")  # it serves again, so it has begun to give signs of life
        os.kill(before, signal.SIGSTOP)
        wait_for(lambda: "no sign of life" in engine.log, "it is seen", 3 * WATCHDOG_SECONDS)


def test_a_supervisor_that_has_slept(tmp_path: Path) -> None:
    """It kills no daemon whose signs of life it has not read yet."""
    with Engine(tmp_path) as engine:
        before = engine.pid
        engine.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: _is_stopped(engine.process.pid), "it sleeps")
            with pytest.raises(AssertionError):
                wait_for(lambda: engine.pid != before, "", WATCHDOG_SECONDS + 3)
        finally:
            engine.process.send_signal(signal.SIGCONT)
        with pytest.raises(AssertionError):
            wait_for(lambda: engine.pid != before, "", 2)
        assert "no sign of life" not in engine.log


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"
