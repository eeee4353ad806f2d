"""What lockd does better than virtlockd where it is administered, written down.

A program, as :mod:`tests.real.admin_transcript`: it prints a JSON object of what it saw.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lockd.programs import admin
from lockd.wire.message import CALL, OK, Header, pack_message
from lockd.wire.parameters import UINT
from lockd.wire.xdr import pack_optional, pack_string, pack_uint
from tests.lockd.client import Client
from tests.real.admin_transcript import (
    ADMIN_SOCKET,
    CONNECT_CLOSE,
    GET_FILTERS,
    GET_LIB_VERSION,
    GET_OUTPUTS,
    GET_THREADPOOL,
    HAS_TIMEOUT,
    LOCK_SOCKET,
    LOCKD,
    LOG,
    NO_FLAGS,
    SET_FILTERS,
    SET_LIMITS,
    SET_OUTPUTS,
    SET_THREADPOOL,
    SET_TIMEOUT,
    SYSLOG,
    Daemon,
    call,
    connected,
    nameless_client,
    parameters,
    run_virt_admin,
    running,
    state,
    syslog_fields,
    until_mistake,
    wait_for,
)

if TYPE_CHECKING:
    from typing import Final

    from tests.real.admin_transcript import Transcript

CONF: Final = f'log_outputs = "3:file:{LOG}"\n'
MORE: Final = Path("/run/more")


def set_everything() -> None:
    """Change all that can be changed."""
    for setter, arguments in (
        (SET_LIMITS, LOCKD + parameters(("nclients_max", UINT, 2000))),
        (SET_LIMITS, LOCKD + parameters(("nclients_unauth_max", UINT, 7))),
        (SET_LIMITS, pack_string("admin") + parameters(("nclients_unauth_max", UINT, 8))),
        (SET_THREADPOOL, LOCKD + parameters(("prioWorkers", UINT, 3))),
        (SET_FILTERS, pack_optional("1:x 4:+y")),
        (SET_OUTPUTS, pack_optional(f"4:file:{MORE} 3:stderr")),
        *([(SET_TIMEOUT, pack_uint(2))] if HAS_TIMEOUT else []),
    ):
        assert len(call(setter, arguments + NO_FLAGS)) == 28


def everything() -> list[str]:
    """All that can be changed, and the clients of the service."""
    logs = [call(procedure, NO_FLAGS).hex() for procedure in (GET_FILTERS, GET_OUTPUTS)]
    return [*state(), *logs, run_virt_admin("srv-clients-info admin")[1]]


def changes(command: list[str]) -> Transcript:
    """Changes and ids before and after upgrades and crashes; then the timeout."""
    seen: Transcript = {}
    with running(command, CONF) as daemon:
        with Client(LOCK_SOCKET) as client:
            client.register(pid=os.getpid() + 1)
            Client(LOCK_SOCKET).close()
            wait_for(lambda: connected() == 1)
            set_everything()
            before = everything()
            for label, happen in (
                ("an upgrade", daemon.upgrade),
                ("a crash", daemon.crash),
                ("a crash, then an upgrade", daemon.upgrade),
            ):
                happen()
                seen[label] = everything() == before
            with Client(LOCK_SOCKET) as another:
                another.register(pid=os.getpid() + 1)
                seen["the next id"] = ids()
        if HAS_TIMEOUT:
            seen["the timeout"] = daemon.wait()
    return seen


def ids() -> list[str]:
    """The ids of the clients of the service, as virt-admin shows them."""
    _, output, _ = run_virt_admin("client-list virtlockd")
    return [line.split()[0] for line in output.splitlines()[2:] if line]


def long_journal(command: list[str]) -> Transcript:
    """The same when the journal has been rewritten since the last client came."""
    seen: Transcript = {}
    with running(command, CONF) as daemon:
        call(SET_LIMITS, LOCKD + parameters(("nclients_max", UINT, 3000)) + NO_FLAGS)
        for _ in range(3):
            with Client(LOCK_SOCKET) as client:
                client.register(pid=os.getpid() + 1)
        long = pack_optional("1:" + "x" * 200_000)
        for _ in range(30):
            call(SET_FILTERS, long + NO_FLAGS)
        call(SET_FILTERS, pack_optional("1:x") + NO_FLAGS)
        # A journal is rewritten a second after the start at the earliest.
        end = time.monotonic() + 10
        while journal_number(daemon) == 1 and time.monotonic() < end:
            time.sleep(0.05)
            call(SET_FILTERS, pack_optional("1:x") + NO_FLAGS)
        seen["it was rewritten"] = journal_number(daemon) > 1
        daemon.crash()
        with Client(LOCK_SOCKET) as client:
            client.register(pid=os.getpid() + 1)
            seen["ids"] = ids()
        seen["limits"] = run_virt_admin("srv-clients-info virtlockd")[1].split()[2]
        seen["filters"] = run_virt_admin("daemon-log-filters")[1].split()
    return seen


def journal_number(daemon: Daemon) -> int:
    """The number of the journal that the daemon writes to."""
    names = []
    for each in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed by now
            names.append(os.readlink(each))
    return max(int(name.split("-")[2].split()[0]) for name in names if "lockd-journal" in name)


def a_file_gone(command: list[str]) -> Transcript:
    """An output that cannot be opened when another process takes over."""
    seen: Transcript = {}
    directory = Path("/run/gone")
    directory.mkdir()
    with running(command, CONF) as daemon:
        call(SET_OUTPUTS, pack_optional(f"3:file:{directory}/log") + NO_FLAGS)
        for path in (directory / "log", directory):
            path.unlink() if path.is_file() else path.rmdir()
        daemon.crash()
        seen["outputs"] = run_virt_admin("daemon-log-outputs")[1].split()
        seen["told"] = f"failed to open {directory}/log" in LOG.read_text()
        directory.mkdir()
        daemon.crash()
        seen["outputs, when it is back"] = run_virt_admin("daemon-log-outputs")[1].split()
    return seen


def hard_cases(command: list[str]) -> Transcript:
    """What virtlockd ends of, or cannot do."""
    seen: Transcript = {}
    with running(command, CONF) as daemon, nameless_client() as nameless:
        nameless.register(pid=os.getpid() + 1)
        most = parameters(("prioWorkers", UINT, 0xFFFFFFFF))
        call(SET_THREADPOOL, LOCKD + most + NO_FLAGS)
        seen["workers"] = call(GET_THREADPOOL, LOCKD + NO_FLAGS)[-36:].hex()
        nameless.close()
        for seconds in (1 << 31, 0xFFFFFFFF) if HAS_TIMEOUT else ():
            call(SET_TIMEOUT, pack_uint(seconds) + NO_FLAGS)
            time.sleep(1.2)
            seen[f"timeout {seconds}"] = len(call(GET_LIB_VERSION))
        call(SET_OUTPUTS, pack_optional("  ") + NO_FLAGS)
        seen["blank outputs"] = run_virt_admin("daemon-log-outputs")[1].split()
        with Client(ADMIN_SOCKET) as client:
            # A message that ends with the connection, and what remains of the journal then.
            header = Header(0, admin.PROGRAM, admin.VERSION, CONNECT_CLOSE, CALL, 1, OK)
            client.socket.sendall(pack_message(header) + b"\0\0\0\x1c\0")
            client.receive()
        daemon.crash()
        seen["after half a message"] = len(call(GET_LIB_VERSION))
    return seen


def two_syslogs(command: list[str]) -> Transcript:
    """Two outputs to syslog, with names of their own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(SYSLOG))
        syslog.settimeout(20)
        conf = 'log_outputs = "4:syslog:one 4:syslog:two"\n'
        with running(command, conf), Client(LOCK_SOCKET) as client:
            client.register(pid=os.getpid() + 1)
            client.send(6, pack_string("/no\npe") + pack_string("x") + NO_FLAGS)
            client.receive()
            messages = [*until_mistake(syslog), *until_mistake(syslog)]
    return {"messages": [syslog_fields(each)[:3] for each in messages]}


def main(command: list[str]) -> None:
    """Write everything down."""
    Path("/run/here").mkdir()
    signal.alarm(100)
    sections = (changes, long_journal, a_file_gone, hard_cases, two_syslogs)
    json.dump({section.__name__: section(command) for section in sections}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
