"""From lockd back to virtlockd."""

from __future__ import annotations

import os
import subprocess
import time

from lockd.counted import counted
from lockd.daemon.virtlockd import PLACES
from lockd.kernel import process
from lockd.move.held import OWN_LOCK, check_held, locked_by
from lockd.move.refused import RefusedError
from lockd.move.running import virtlockd_process
from lockd.move.waiting import CALLS, LOOK, PATIENCE, runs
from lockd.programs.inspect import HAND_BACK, STATUS
from lockd.query import OtherDaemonError, QueryError, ask, call
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any, Final

#: How long lockd may take to start again if it has ended meanwhile, in seconds.
_STARTS_AGAIN: Final = 10.0


def hand_back(options: argparse.Namespace, address: str) -> str:
    """Do it, or say whether it would be done; returns what was done, in words. Raises RefusedError,
    QueryError."""
    try:
        status = ask(address, lambda connection: call(connection, STATUS))
    except OtherDaemonError:
        return "virtlockd holds the locks already"
    except QueryError:
        return "no lockd runs: nothing to hand back"
    program = options.program or next((each for each in PLACES if os.path.exists(each)), "")
    reasons = [*_against_virtlockd(os.path.realpath(program) if program else "")]
    if reasons:
        raise RefusedError("\n".join(reasons))
    program = os.path.realpath(program)
    what = f"{counted(status['locks'], 'lock')} of lockd (pid {status['pid']})"
    if options.dry_run:
        if status["problems"]:
            raise RefusedError(
                "\n".join(f"{each['path']}: {each['problem']}" for each in status["problems"])
            )
        return f"would hand back {what}"
    held = locked_by(status["pid"], OWN_LOCK)
    main_pid = _main_process(status["pid"])
    end = time.monotonic() + CALLS
    while why := _ask_tohand_back(program, address):
        if time.monotonic() > end:
            raise RefusedError(why)
        time.sleep(LOOK)
    end = time.monotonic() + PATIENCE
    while not _is_virtlockd(address):
        if why := _given_up(address, (status["pid"], main_pid)):
            raise RefusedError(why)
        if not runs(main_pid):
            # A process that was left behind starts lockd again.
            end = min(end, time.monotonic() + _STARTS_AGAIN)
        if time.monotonic() > end:
            raise QueryError("virtlockd has not continued: see lockd's log for the reason")
        time.sleep(LOOK)
    check_held(held, virtlockd_process())
    return f"handed back {what}: now held by virtlockd, and all guests run"


def _ask_tohand_back(program: str, address: str) -> str:
    answer: dict[str, Any] = ask(
        address,
        lambda connection: call(connection, HAND_BACK, pack_string(program)),
    )
    return str(answer["refused"])


def _given_up(address: str, asked: tuple[int, int]) -> str:
    """Why lockd has given up; empty if it has not, or does not answer now. ``asked`` are the
    processes that know what they were asked for."""
    try:
        status = ask(address, lambda connection: call(connection, STATUS))
    except QueryError:
        return ""
    if status["pid"] not in asked:
        return "lockd was killed meanwhile, and the next one holds all locks: try again"
    return str(status.get("not_handed_back", ""))


def _main_process(pid: int) -> int:
    """The process that becomes virtlockd: lockd's supervisor, or the daemon if it has none."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        parent = next(int(line[5:]) for line in file if line.startswith("PPid:"))
    return parent if process.name(parent) == "lockd" else pid


def _is_virtlockd(address: str) -> bool:
    try:
        ask(address, lambda connection: call(connection, STATUS))
    except OtherDaemonError:
        return True
    except QueryError:
        return False
    return False


def _against_virtlockd(program: str) -> Iterator[str]:
    """Why virtlockd could not start, a sentence each: it is started once, with a /run of its own,
    on the current configuration."""
    if not program or not os.access(program, os.X_OK):
        yield "virtlockd is not installed: tell where it is with --program"
        return
    version = subprocess.run(
        [program, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if version.returncode or "(libvirt)" not in version.stdout:
        said = (version.stdout + version.stderr).strip()
        yield f"{program} is not libvirt's virtlockd: {said!r}"
        return
    script = 'mount -t tmpfs tmpfs /run && mkdir /run/libvirt && exec "$0" --timeout 1'
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    if tried.returncode:
        yield f"virtlockd does not start with this configuration: {tried.stderr.strip()}"
