"""lockd of one version after another, with guests that hold locks, and beside another."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import CallRefusedError
from tests.lockd.engine import Engine
from tests.skew.wheels import NOW, PAST, Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Final

#: Tries to lock each of the files all the time, and tells when it could.
_THIEF: Final = """
import fcntl, sys, time
files = [open(path, "r+b") for path in sys.argv[1:]]
print("trying", flush=True)
while True:
    for file in files:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except BlockingIOError:
            time.sleep(0.0001)
        else:
            raise SystemExit(f"got {file.name}")
"""


@pytest.mark.parametrize("past", PAST)
def test_upgraded_and_downgraded(
    versions: Mapping[str, Version], past: str, tmp_path: Path
) -> None:
    """There and back twice, with a crash in each version: no lock is free for a moment, owners and
    modes are known, and the connections that the guests have go on."""
    current = tmp_path / "current"
    current.symlink_to(versions[past].site)
    names = [f"disk{number}" for number in range(20)]
    with Engine(tmp_path, command=Version(current).command("lockd")) as engine:
        guest, other = engine.client(), engine.client()
        for each, name in ((guest, "guest"), (other, "other")):
            each.register(name, 5004242)
        for name in names:
            guest.acquire(engine.lockspace, name)
        files = [engine.lockspace / name for name in names]
        thief = subprocess.Popen(
            [sys.executable, "-c", _THIEF, *files], stdout=subprocess.PIPE, text=True
        )
        try:
            assert thief.stdout is not None
            assert thief.stdout.readline() == "trying\n"
            for version in (NOW, past, NOW, past):
                following = tmp_path / "following"
                following.symlink_to(versions[version].site)
                following.rename(current)
                engine.upgrade()
                for _ in range(2):
                    held = {each["resource"]: each for each in engine.ask("locks")}
                    assert sorted(held) == sorted(names)
                    assert {each["mode"] for each in held.values()} == {"exclusive"}
                    with pytest.raises(CallRefusedError, match="is locked by guest 'guest'"):
                        other.acquire(engine.lockspace, "disk0")
                    assert thief.poll() is None
                    engine.crash()
                other.acquire(engine.lockspace, f"{version} {past}")
                other.release(engine.lockspace, f"{version} {past}")
        finally:
            thief.kill()
            thief.communicate()
        for name in names:
            guest.release(engine.lockspace, name)
        other.acquire(engine.lockspace, "disk0")
        assert [each["resource"] for each in engine.ask("locks")] == ["disk0"]


@pytest.mark.parametrize("past", PAST)
def test_beside_each_other(versions: Mapping[str, Version], past: str, tmp_path: Path) -> None:
    """Two hosts of which one has another version, with one lockspace: what one has the other
    refuses, and what one has released the other grants."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    then = Engine(tmp_path / "one", command=versions[past].command("lockd"))
    now = Engine(tmp_path / "two", command=versions[NOW].command("lockd"))
    with then, now:
        lockspace = then.lockspace
        clients = (then.client(), now.client())
        clients[1].create_lockspace(lockspace)
        for client, name in zip(clients, ("then", "now"), strict=True):
            client.register(name, 5004242)
        for first, second in (clients, clients[::-1]):
            for number in range(20):
                first.acquire(lockspace, f"disk{number}")
            for number in range(20):
                with pytest.raises(CallRefusedError):
                    second.acquire(lockspace, f"disk{number}")
            for number in range(20):
                first.release(lockspace, f"disk{number}")
                second.acquire(lockspace, f"disk{number}")
                second.release(lockspace, f"disk{number}")
