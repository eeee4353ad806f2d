"""What happens to locks, as events that programs understand: each kind has an id.

The same event is a line of the log, in the journal with fields to search for, one object of ``lockd
events --json``, and counted in the metrics. The table in ``docs/reference/monitoring.md`` is made
from :data:`KINDS`.

To add a kind, define it here, with an id from ``uuidgen``, and log it where it happens:
``log.event(Event(kinds.X, "in words", owner.fields() | resource.fields()))``.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final


class Kind:
    """A kind of event: its ``name``, which stays; its ``id``, 128 bits in hex, which the journal
    has as MESSAGE_ID; its ``level`` in the log; what it ``means``, and what to ``do``."""

    __slots__ = ("do", "id", "level", "means", "name")

    def __init__(self, name: str, id: str, level: int, means: str, do: str = "") -> None:
        self.name: Final = name
        self.id: Final = id
        self.level: Final = level
        self.means: Final = means
        self.do: Final = do


_INFO: Final = 2
_WARNING: Final = 3
_ERROR: Final = 4

#: What an operator wants to know of a lock that is not safe.
_LOOK: Final = "`lockd locks`, then the guide on a dead host if another host may have the disk"

GRANTED: Final = Kind(
    "granted", "12cc50113a51455b9d3efbd7d05bd6b1", _INFO, "A guest has got a lock."
)
RELEASED: Final = Kind(
    "released", "99999e3c146c4e099be1e911ebf355dc", _INFO, "A guest has released a lock."
)
REFUSED: Final = Kind(
    "refused",
    "aef48d2cdea94fe0b3debe57ea182996",
    _ERROR,
    "A guest did not get a lock. Usually another one holds it, and the message names the holder.",
    "`lockcfg who`, with the message",
)
LOST: Final = Kind(
    "lost",
    "1883ebd0e37a441ead8c9e1b76ec3430",
    _ERROR,
    "A lock that a guest holds is not safe: it is lost, or its state is unknown. Another guest may"
    " write its disk.",
    _LOOK,
)
REGAINED: Final = Kind(
    "regained",
    "93a34204045d498bb5edb908b8c839f1",
    _ERROR,
    "A lock had been lost and is held again. Another guest may have had it in between.",
    "check the file system in the disk",
)
SAFE: Final = Kind(
    "safe", "51029d1c29664896a46b02ddab8de400", _WARNING, "A lock that was not safe is safe again."
)
ADOPTED: Final = Kind(
    "adopted",
    "567678b2f8a54ab29934d9359ed11555",
    _WARNING,
    "A guest ran without a lock, and holds it from now on.",
)
NOT_ADOPTED: Final = Kind(
    "not-adopted",
    "18da82f966204957801acf385226b25f",
    _ERROR,
    "A guest runs without its lock, and cannot get it: another one has it.",
    "stop one of the two guests now, and check the file system in the disk",
)
SILENT: Final = Kind(
    "silent",
    "d1c2233a5a4a4bfaa73fdd68c5319899",
    _ERROR,
    "A file system does not answer. Calls that need it wait.",
    "check its server",
)
ANSWERS: Final = Kind(
    "answers",
    "0314f4851aad460c87dd1ad64f3c7568",
    _WARNING,
    "A file system that was silent answers again.",
)
OWNER_ENDED: Final = Kind(
    "owner-ended",
    "b65091aed7a243da984c70691b8f6b3b",
    _WARNING,
    "A guest without a connection of its own has ended. Its locks are released.",
)
HUNG_UP: Final = Kind(
    "hung-up",
    "83f3e07c39b24fe4bbd21627dddadb34",
    _WARNING,
    "A guest has closed its connection while it holds locks. lockd ends it.",
)
STUCK: Final = Kind(
    "stuck",
    "4fc9c420c62549e3a80139988091476a",
    _ERROR,
    "A lock was released but cannot be unlocked. lockd tries again.",
)
TOOK_OVER: Final = Kind(
    "took-over",
    "789334b9a5aa4d78b289c6bfad043a0d",
    _WARNING,
    "lockd continues after an upgrade or a crash, with the locks of the previous process.",
)
STOPPED: Final = Kind(
    "guest-paused",
    "53e334f06c594743934fc854a3ec1dad",
    _ERROR,
    "A guest whose lock is lost, or may be soon, is paused before another guest can get its disk.",
    "`lockd status` says what is wrong; the guide on lost locks says how the guest resumes",
)
GOES_ON: Final = Kind(
    "guest-resumed",
    "0e6a92a8537840aa8d864342a7f351e4",
    _WARNING,
    "A guest that was paused for a lock resumes.",
)
KILLED: Final = Kind(
    "guest-killed",
    "cfaaff6727aa46f483645eef724a8958",
    _ERROR,
    "A guest whose lock is lost, or may be soon, is killed, as the configuration says.",
    "check the storage, then start the guest",
)

#: All of them.
KINDS: Final = (
    *(GRANTED, RELEASED, REFUSED),
    *(LOST, REGAINED, SAFE),
    *(ADOPTED, NOT_ADOPTED),
    *(SILENT, ANSWERS),
    *(STOPPED, GOES_ON, KILLED),
    *(OWNER_ENDED, HUNG_UP, STUCK, TOOK_OVER),
)


class Event:
    """An event: its ``kind``, a ``message`` for people, and ``fields`` by name, which
    ``schemas/lockd-output.schema.json`` lists. ``time`` is in seconds since the epoch."""

    __slots__ = ("fields", "kind", "message", "time")

    def __init__(self, kind: Kind, message: str, fields: Mapping[str, str | int] = {}) -> None:
        self.kind: Final = kind
        self.message: Final = message
        self.fields: Final = fields
        self.time: Final = time.time()

    def record(self) -> dict[str, Any]:
        """The event as JSON can have it."""
        return {
            "time": round(self.time, 3),
            "event": self.kind.name,
            "id": self.kind.id,
            "message": self.message,
            **self.fields,
        }
