"""A host dies with a guest's lock in its hands, and ``lockcfg release`` frees it; a living one's it
does not, whatever is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.lockd.client import CallRefusedError, Client
from tests.real.shared.daemons import LOCKD, lock_daemons
from tests.real.shared.silence import PATIENCE, guest, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from tests.real.shared.hosts import Host, Network

LOCKCFG: Final = Path(sys.executable).parent / "lockcfg"

_DISK: Final = "disk"

#: How often the hosts write that they live, in seconds.
_INTERVAL: Final = 1.0

#: A fence agent, as far as it is asked: the plug is off. It is told the truth of one host only.
_AGENT: Final = "#!/bin/sh\necho 'Status: OFF'\nexit 2\n"


class Death(NamedTuple):
    """What was seen. ``living`` is what the command said of the living host, with its exit status,
    by each proof; ``kept`` whether that host still had its lock then. ``before`` is whether another
    host got the lock of the dead one without the command; ``status`` and ``said`` what that gave,
    ``took`` how long it took from the command until the other host had the lock, without the
    ``start`` of the program itself, in seconds. ``files`` is whether the lock file was left, and
    ``asked`` what 'lockcfg who' answered on the server while the host lived."""

    living: dict[str, tuple[int, str]]
    kept: bool
    before: bool
    status: int
    said: dict[str, Any]
    start: float
    took: float
    files: bool
    record: list[dict[str, Any]]
    asked: dict[str, Any]


def a_host_dies(
    hosts: Network,
    lockspace: str,
    exported: str,
    *,
    cut: Callable[[], object],
    mend: Callable[[], object],
    more: tuple[str, ...] = (),
) -> Death:
    """Both hosts have ``lockspace``, which is ``exported`` on the server; ``cut`` the first one off
    for good, as far as others can tell, and ``mend`` that when all is over. ``more`` are arguments
    for the command."""
    one, two = hosts.clients
    with (
        lock_daemons(hosts.clients, (LOCKD, LOCKD), f"--heartbeat={_INTERVAL}"),
        guest(one, one.name, lockspace) as holder,
        guest(two, two.name, lockspace) as rival,
    ):
        holder.acquire(lockspace, _DISK)
        beat = hosts.server.path(f"{exported}/.hosts/{one.name}")
        wait_for(beat.exists, "the host writes that it lives")
        agent = "/run/fence_plug"
        hosts.server.path(agent).write_text(_AGENT)
        hosts.server.path(agent).chmod(0o755)
        fence = (*more, "--proof", "fence", "--", agent, "-o", "status")
        word = (*more, "--proof", "word", "--word", f"I have seen that {one.name} is off")
        living = {}
        for name, proof in (("fence", fence), ("word", word)):
            done = _release(hosts.server, one.name, exported, proof)
            living[name] = done.returncode, done.stdout
        kept = not _can_have(rival, lockspace)
        who = ("who", "--json", f"{exported}/{_DISK}", "--lockspace", exported)
        asked = json.loads(hosts.server.run(LOCKCFG, *who))
        begun = time.monotonic()
        hosts.server.run(LOCKCFG, "--version")
        start = time.monotonic() - begun
        cut()
        before = _can_have(rival, lockspace)
        begun = time.monotonic()
        done = _release(hosts.server, one.name, exported, fence)
        wait_for(lambda: _can_have(rival, lockspace), "the other host has the lock")
        took = time.monotonic() - begun - start
        files = hosts.server.path(f"{exported}/{_DISK}").exists()
        recorded = hosts.server.path("/run/record")
        lines = recorded.read_text().splitlines()
        recorded.unlink()
        mend()
        rival.release(lockspace, _DISK)
    said = json.loads(done.stdout)
    record = [json.loads(line) for line in lines]
    return Death(living, kept, before, done.returncode, said, start, took, files, record, asked)


def _release(
    server: Host, host: str, exported: str, proof: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    command = ("release", "--json", "--host", host, "--confirmed-dead")
    where = ("--lockspace", exported, "--audit-file", "/run/record")
    return subprocess.run(
        server.command(LOCKCFG, *command, *where, *proof),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )


def _can_have(guest: Client, lockspace: str) -> bool:
    """Whether a guest is granted the lock, which it then keeps."""
    try:
        guest.acquire(lockspace, _DISK)
    except CallRefusedError as refused:
        return "is locked by guest 'two'" in str(refused)
    return True
