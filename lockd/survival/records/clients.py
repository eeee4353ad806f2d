"""The records of the clients: the connections, the owner that each has registered as, calls without
an answer, and answers that a client has not read yet.

A client has a number while it is connected; later another client may get that number. Bytes are in
hex.
"""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay


#: The kinds of records that tell of one client.
OF_CLIENT: Final = (
    "client",
    "owner",
    "restricted",
    "received",
    "more",
    "unsent",
    "sent",
    "doubtful",
    "waiting",
    "busy",
    "gone",
)


def ids(service: str, next_id: int) -> str:
    """``ids``: the id of the client that comes next: service, id."""
    return record("ids", service, next_id)


def client(number: int, service: str, uid: int, gid: int, pid: int, since: float, id: int) -> str:
    """``client``: a connection: number, service, uid, gid, pid, since, id."""
    return record("client", number, service, uid, gid, pid, since, id)


def owner(number: int, owner: Sequence[object], started: int) -> str:
    """``owner``: a client registered: number, the owner, start time of the process."""
    return record("owner", number, owner, started)


def restricted(number: int) -> str:
    """``restricted``: a client that may do nothing more: number."""
    return record("restricted", number)


def received(number: int, rest: bytes, skip: int) -> str:
    """``received``: the beginning of a message: number, bytes, how many bytes to skip."""
    return record("received", number, rest.hex(), skip)


def more(number: int, rest: bytes, skip: int) -> str:
    """``more``: the next part of the same message: number, bytes, how many bytes to skip now."""
    return record("more", number, rest.hex(), skip)


def unsent(number: int, data: bytes) -> str:
    """``unsent``: the rest of a reply: number, bytes."""
    return record("unsent", number, data.hex())


def sent(number: int, count: int) -> str:
    """``sent``: the client has got more of it: number, how many bytes."""
    return record("sent", number, count)


def doubtful(number: int, data: bytes) -> str:
    """``doubtful``: a reply that may or may not have been sent: number, bytes; no bytes once it is
    known."""
    return record("doubtful", number, data.hex())


def waiting(number: int, messages: Iterable[bytes]) -> str:
    """``waiting``: calls that wait for a file system: number, the list of them."""
    return record("waiting", number, [each.hex() for each in messages])


def busy(number: int, *, is_busy: bool) -> str:
    """``busy``: a call that has waited has begun, and may take long: number, 0 once it is over."""
    return record("busy", number, int(is_busy))


def gone(number: int) -> str:
    """``gone``: a connection that is closed: number."""
    return record("gone", number)


class Client:
    """A client as its records tell of it. ``owner`` are the fields of the owner that it registered
    as, None if it has not; ``rest`` and ``skip`` are the state of its inbox."""

    __slots__ = (
        *(
            "busy",
            "doubtful",
            "gid",
            "id",
            "number",
            "owner",
            "pid",
            "rest",
            "restricted",
            "service",
            "since",
        ),
        *("skip", "started", "uid", "unsent", "waiting"),
    )

    def __init__(
        self, number: int, service: str, uid: int, gid: int, pid: int, since: float, id: int
    ) -> None:
        self.number: Final = number
        self.service: Final = service
        self.uid: Final = uid
        self.gid: Final = gid
        self.pid: Final = pid
        self.since: Final = since
        self.id: Final = id
        self.owner: list[Any] | None = None
        self.started = 0
        self.restricted = False
        self.rest = b""
        self.skip = 0
        self.unsent = b""
        self.doubtful = b""
        self.waiting: list[bytes] = []
        self.busy = False


#: How many fields of a connection this version knows.
_FIELDS: Final = 7


class Records:
    """The clients, by number, and the id of the one that comes next, by service."""

    def __init__(self) -> None:
        self.clients: Final[dict[int, Client]] = {}
        self.next_ids: Final[dict[str, int]] = {}
        self.replays: Final[dict[str, Replay]] = {
            "ids": self._ids,
            "client": self._client,
            "owner": self._owner,
            "restricted": self._restricted,
            "received": self._received,
            "more": self._more,
            "unsent": self._unsent,
            "sent": self._sent,
            "doubtful": self._doubtful,
            "waiting": self._waiting,
            "busy": self._busy,
            "gone": self._gone,
        }

    def take_clients(self) -> Iterator[Client]:
        """All clients, in the order in which they came. Each is forgotten then, so that what is
        made of others has its room."""
        numbers = iter([*self.clients])
        return (self.clients.pop(number) for number in numbers)

    def _ids(self, fields: list[Any]) -> None:
        service, next_id = fields[:2]
        self.next_ids[service] = next_id

    def _client(self, fields: list[Any]) -> None:
        connected = Client(*fields[:_FIELDS])
        self.clients[connected.number] = connected
        # The last ones may be gone already.
        next_id = self.next_ids.get(connected.service, 1)
        self.next_ids[connected.service] = max(next_id, connected.id + 1)

    def _owner(self, fields: list[Any]) -> None:
        number, owner, started = fields[:3]
        self.clients[number].owner = owner
        self.clients[number].started = started

    def _restricted(self, fields: list[Any]) -> None:
        self.clients[fields[0]].restricted = True

    def _received(self, fields: list[Any]) -> None:
        number, rest, skip = fields[:3]
        self.clients[number].rest = bytes.fromhex(rest)
        self.clients[number].skip = skip

    def _more(self, fields: list[Any]) -> None:
        number, rest, skip = fields[:3]
        self.clients[number].rest += bytes.fromhex(rest)
        self.clients[number].skip = skip

    def _unsent(self, fields: list[Any]) -> None:
        number, data = fields[:2]
        self.clients[number].unsent = bytes.fromhex(data)

    def _sent(self, fields: list[Any]) -> None:
        number, count = fields[:2]
        self.clients[number].unsent = self.clients[number].unsent[count:]

    def _doubtful(self, fields: list[Any]) -> None:
        number, data = fields[:2]
        self.clients[number].doubtful = bytes.fromhex(data)

    def _waiting(self, fields: list[Any]) -> None:
        number, messages = fields[:2]
        self.clients[number].waiting = [bytes.fromhex(each) for each in messages]

    def _busy(self, fields: list[Any]) -> None:
        number, is_busy = fields[:2]
        self.clients[number].busy = bool(is_busy)

    def _gone(self, fields: list[Any]) -> None:
        del self.clients[fields[0]]
