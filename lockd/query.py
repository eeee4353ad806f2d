"""``lockd status`` and ``lockd locks``: ask a running daemon, and show what it says."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time

from lockd.escape import escaped
from lockd.programs.inspect import LOCKS, PROGRAM, STATUS, VERSION
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, ERROR, HEADER_SIZE, OK, Header, pack_message, read_header
from lockd.wire.xdr import DecodeError, Reader, pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

#: How long an answer may take, in seconds.
_PATIENCE: Final = 30.0

#: The longest cell of a table and the longest line, in characters: of a longer one the beginning
#: and the end are shown. With --json there is all of it.
_WIDEST: Final = 200
_LONGEST: Final = 4096

_MAX_ANSWER: Final = 32 * 1024 * 1024


class QueryError(Exception):
    """The daemon does not answer, or is not lockd; the text says why."""


class OtherDaemonError(QueryError):
    """Another lock daemon answers: virtlockd."""


class CallRefusedError(Exception):
    """The daemon has answered with an error."""


def main(arguments: Sequence[str], address: str) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog=f"lockd {arguments[0]}",
        description={
            "status": "Print the state of the running lockd. Exit status: 0 fine, 1 locks are in"
            " danger or a file system does not answer, 3 lockd does not answer.",
            "locks": "Print the locks that the running lockd holds. Exit status: 0 fine, 1 some"
            " are in danger, 3 lockd does not answer.",
        }[arguments[0]],
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--socket", default=address, help=f"the admin socket ({address})")
    options = parser.parse_args(arguments[1:])
    try:
        answer = ask(options.socket, _status if arguments[0] == "status" else _locks)
    except QueryError as error:
        sys.stderr.write(f"lockd {arguments[0]}: {error}\n")
        return 3
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    elif arguments[0] == "status":
        _show_status(answer)
    else:
        _show_locks(answer)
    problems = answer["problems"] if isinstance(answer, dict) else answer
    return int(any(each["problem"] for each in problems))


def ask(address: str, question: Callable[[socket.socket], Any]) -> Any:
    """The answer of the daemon at an address. Raises :class:`QueryError`."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(address)
            return question(connection)
    except OSError as error:
        raise QueryError(
            f"no lock daemon answers at {address}: {error.strerror or error}"
        ) from error
    except (DecodeError, ValueError, KeyError, TypeError) as error:
        raise QueryError(f"the answer of {address} is invalid: {error}") from error
    except CallRefusedError as error:
        raise OtherDaemonError(f"another lock daemon than lockd answers at {address}") from error


def _status(connection: socket.socket) -> Any:
    return call(connection, STATUS)


def _locks(connection: socket.socket) -> list[dict[str, Any]]:
    """All locks, by lockspace and resource. Locks that are taken or released meanwhile may be
    missing."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    last: int | None = 0
    while last is not None:
        answer = call(connection, LOCKS, pack_uint(last))
        last = answer["last"]
        found.update(((lock["lockspace"], lock["resource"]), lock) for lock in answer["locks"])
    return [lock for _, lock in sorted(found.items())]


def call(connection: socket.socket, procedure: int, arguments: bytes = b"") -> Any:
    """The answer to a call, in what :func:`ask` is given. Raises CallRefusedError, DecodeError,
    ValueError and OSError."""
    header = Header(0, PROGRAM, VERSION, procedure, CALL, 1, OK)
    connection.sendall(pack_message(header, arguments))
    reply = _receive(connection)
    if read_header(reply).status == ERROR:
        raise CallRefusedError
    return json.loads(Reader(reply, HEADER_SIZE).string(_MAX_ANSWER))


def _receive(connection: socket.socket) -> bytes:
    inbox = Inbox(kept=_MAX_ANSWER)
    while data := connection.recv(1 << 20):
        for message in inbox.feed(data):
            return message
    raise QueryError("the lock daemon closed the connection")


def _show_status(status: dict[str, Any]) -> None:
    clients = status["clients"]
    rows = [
        ("version", f"{status['version']}, pid {status['pid']}, since {_when(status['since'])}"),
        ("locks", str(status["locks"])),
        *(
            (f"clients ({name})", f"{each['connected']} of at most {each['max']}")
            for name, each in clients.items()
        ),
        ("lockspaces", ", ".join(status["lockspaces"]) or "none: disks are locked themselves"),
        ("after a crash", _after_a_crash(status)),
    ]
    show_table(rows)
    for warning in status["warnings"]:
        _line(f"warning: {warning}")
    for lack in status.get("lacks", ()):
        _line(f"lacks: {lack}")
    for problem in status["problems"]:
        _line(f"DANGER: {problem['path']}: {problem['problem']}")


def _after_a_crash(status: dict[str, Any]) -> str:
    if status["keeper"] == "none":
        return "the locks are lost: there is no service manager to keep them"
    if status["keeper"] != "ok":
        return f"in danger: {status['keeper']}"
    keeper = "lockd's own supervisor" if status.get("supervised") else "the service manager"
    return f"the locks are kept by {keeper}"


def _show_locks(locks: list[dict[str, Any]]) -> None:
    rows = [("LOCKSPACE", "RESOURCE", "DISK", "OWNER", "PID", "MODE", "SINCE", "STATE")]
    for lock in locks:
        for owner in lock["owners"]:
            rows.append(
                (
                    lock["lockspace"] or "-",
                    lock["resource"],
                    lock["disk"] or "-",
                    owner["guest"],
                    str(owner["pid"]),
                    lock["mode"],
                    _when(lock["since"]),
                    lock["problem"] or "healthy",
                )
            )
    show_table(rows)


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the header."""
    shown = [[escaped(cell, _WIDEST) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _line("  ".join(cells).rstrip())


def _line(text: str) -> None:
    sys.stdout.write(escaped(text, _LONGEST) + "\n")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
