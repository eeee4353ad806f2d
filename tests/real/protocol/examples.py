"""Plays written by hand: for every difference that is allowed, the shortest that shows it; and what
chance seldom draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.real.protocol import messages
from tests.real.protocol.messages import (
    ACQUIRE_RESOURCE,
    CREATE_LOCKSPACE,
    NEW,
    REGISTER,
    RELEASE_RESOURCE,
    message,
    string,
    words,
)
from tests.real.protocol.steps import FOREIGN_PIDS, Close, Open, Play, Send, home, pid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from tests.real.protocol.steps import Step

_NUMBER: Final = 1
_HOME: Final = home(_NUMBER)
_SHARED: Final = 1
_AUTOCREATE: Final = 2


def _register(owner: int = FOREIGN_PIDS[0]) -> bytes:
    return message(REGISTER, bytes(16) + string("guest") + words(1, owner, 0))


def _space(path: str) -> bytes:
    return message(CREATE_LOCKSPACE, string(path))


def _acquire(space: str, name: str, flags: int = 0) -> bytes:
    return message(ACQUIRE_RESOURCE, string(space) + string(name) + words(flags))


def _release(space: str, name: str) -> bytes:
    return message(RELEASE_RESOURCE, string(space) + string(name) + words(0))


def _client(*calls: bytes, process: int | None = None) -> tuple[Step, ...]:
    owner = FOREIGN_PIDS[0] if process is None else pid(_NUMBER, process)
    sent = (Send(0, (call,)) for call in (_register(owner), _space(f"{_HOME}/a"), *calls))
    return Open(0, process), *sent


def _play(*steps: Step, processes: int = 0) -> Play:
    return Play(_NUMBER, processes, steps, fresh=True)


_HELD: Final = _acquire("", f"{_HOME}/disk0")
_SHARED_TWICE: Final = [_acquire(f"{_HOME}/a", "r0", _SHARED | _AUTOCREATE)] * 2

#: Settings of the log, for outputs (procedure 16) and filters (17): each is wrong in another way.
_LOG_SETTINGS: Final = (
    *((16, text) for text in ("1:", "1:bogus:x", "1:bogus", "9:x", "bogus", ":stderr")),
    *((16, text) for text in ("1:stderr:x", "1:file", "1:syslog", "1:stderr 9:stderr")),
    *((16, text) for text in ("1:file:/nope/x", f"1:file:/nope/{'x' * 2000}", f"1:{'d' * 2000}")),
    *((17, text) for text in ("1:", "1:+", "bogus", "9:x", ":a", "1::a", "1:a:")),
    *((17, text) for text in ("1:a:b 9:x", "9:x 1:a:b", f"9:{'d' * 2000}")),
)


def _set_log(procedure: int, text: str) -> bytes:
    return message(procedure, words(1) + string(text) + words(0), program=messages.ADMIN)


def _long_names(length: int) -> tuple[bytes, ...]:
    name = "x" * length
    return (
        _space(f"/{name}"),
        _acquire(f"/{name}", "r0"),
        _acquire("", f"/{name}"),
        _acquire(f"{_HOME}/a", name),
    )


#: Plays of what releases of libvirt have answered in different ways, and chance seldom draws.
EDGES: Final[Mapping[str, Play]] = {
    "names about the length of what is told": _play(
        *_client(
            *(
                call
                for length in (975, 976, 978, 979, 987, 988, 2000)
                for call in _long_names(length)
            )
        )
    ),
    "a link to nothing": _play(
        *_client(*[_space(f"{_HOME}/dangling")] * 2, _acquire(f"{_HOME}/dangling", "r9", 2))
    ),
    "settings of the log": _play(
        Open(0, None, admin=True), *(Send(0, (_set_log(*each),)) for each in _LOG_SETTINGS)
    ),
}

#: The play by the title of the difference.
EXAMPLES: Final[Mapping[str, Play]] = {
    "Who holds it": _play(*_client(_HELD, _HELD)),
    "One disk under two names": _play(*_client(_HELD, _acquire("", f"{_HOME}/link"))),
    "NUL in a string": _play(*_client(_acquire(f"{_HOME}/a", "old\0rest"))),
    "Names that lead out of a lockspace": _play(*_client(_acquire(f"{_HOME}/a", "../disk0"))),
    "Lockspaces that are not absolute paths": _play(*_client(_space(f"{_NUMBER}/b"))),
    "NEW that fails": _play(*_client(message(NEW, string(f"{_HOME}/plain") + words(0)))),
    "Calls that bring descriptors": _play(
        *_client(message(CREATE_LOCKSPACE, words(0) + string(""), kind=messages.CALL_WITH_FDS))
    ),
    "The holder is in the lock file": _play(
        *_client(_acquire(f"{_HOME}/a", "r0", _AUTOCREATE)),
        # It takes lockd a moment, and these calls take longer.
        *[Send(0, (message(CREATE_LOCKSPACE, string("")),))] * 8,
    ),
    "Files of released locks": _play(
        *_client(_acquire(f"{_HOME}/a", "r0", _AUTOCREATE), _release(f"{_HOME}/a", "r0"))
    ),
    "A guest that dies releases everything": _play(
        *_client(*_SHARED_TWICE, process=0), Close(0), processes=1
    ),
}
