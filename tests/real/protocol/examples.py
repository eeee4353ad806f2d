"""Plays written by hand: for every difference that is allowed, the shortest that shows it."""

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
