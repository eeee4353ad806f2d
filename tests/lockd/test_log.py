"""What lockd tells in its log, by how much of it is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import SHARED, CallRefusedError
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("conf", "arguments", "locks", "clients"),
    [
        ("", (), False, False),
        ("", ("-v",), True, False),
        ("log_level = 1\n", (), True, True),
        ('log_filters = "2:virlockspace"\nlog_outputs = "1:stderr"\n', (), True, False),
    ],
)
def test_levels(
    tmp_path: Path, conf: str, arguments: tuple[str, ...], locks: bool, clients: bool
) -> None:
    """Locks as they are granted and released are of level info, clients that come and go of level
    debug; what is refused is always told, and to whom."""
    with Engine(tmp_path, *arguments, files={"virtlockd.conf": conf}) as engine:
        client = engine.client()
        client.register("web", 5004242)
        client.acquire(engine.lockspace, "disk", SHARED | 2)
        client.release(engine.lockspace, "disk")
        with pytest.raises(CallRefusedError):
            client.release(engine.lockspace, "disk")
        client.close()
        refused = "resource busy: Lockspace resource 'disk' is not locked"
        wait_for(lambda: refused in engine.log, "the error is told")
        guest = "guest 'web' (uuid 00000000-0000-0000-0000-000000000000, pid 5004242)"
        lock = f"info : util.virlockspace : {engine.lockspace}/disk: shared lock"
        assert (f"{lock} granted to {guest}" in engine.log) == locks
        assert (f"{lock} released by {guest}" in engine.log) == locks
        # The first two were the ones that saw to it that it was up.
        line = f"rpc.netserver : client 3 of virtlockd (pid {os.getpid()})"
        assert f"error : {line}: {refused}" in engine.log
        if clients:
            wait_for(lambda: f"debug : {line}: gone" in engine.log, "its end is told")
        assert (f"debug : {line}: connected" in engine.log) == clients
