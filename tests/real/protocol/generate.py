"""Plays made from a seed: calls in order and out of it, well-formed and not, whole and in pieces.

What is made depends on nothing but the seed. Names, paths, owners and flags are drawn from few, so
that calls have to do with each other.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from tests.real.protocol import messages
from tests.real.protocol.messages import string, words
from tests.real.protocol.steps import (
    FOREIGN_PIDS,
    ROOT,
    Close,
    Hold,
    Open,
    Play,
    Remove,
    Send,
    home,
    pid,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from typing import Final

    from tests.real.protocol.steps import Step

#: Relative to the play's home.
_LOCKSPACES: Final = ("a", "a", "a", "b", "b", "folder", "new/nested")
_ODD_LOCKSPACES: Final = ("plain", "a/", "unknown", "plain/below", "dangling", "a/../b", "x" * 300)
_DISKS: Final = ("disk0", "disk0", "disk1", "absent")
_ODD_DISKS: Final = ("folder", "link", "dangling", "a//old", "a/r0", "unknown/x", "plain/below")
_RESOURCES: Final = ("r0", "r0", "r1", "r2", "old")
_ODD_RESOURCES: Final[tuple[str | bytes, ...]] = (
    *("", ".", "..", "../disk0", "x/y", "/", "/r0", "r0/", "n" * 255, "n" * 256, "%s%n"),
    *("r0\0rest", "\0", "a\nb", b"\xff\xfe", "\x1b[1m", "\N{SNOWMAN}"),
)

_ACQUIRE_FLAGS: Final = (0, 0, 1, 2, 2, 2, 3, 3)
_ODD_FLAGS: Final = (1, 2, 4, 8, 0x80000000, 0xFFFFFFFF)

_UUIDS: Final = (bytes(16), bytes(range(16)), b"\xff" * 16)
_GUESTS: Final = ("guest", "other guest", "", "\N{SNOWMAN}", "x" * 1000)

_NUMBERS: Final = (0, 1, 2, 3, 4, 7, 8, 28, 99, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

#: Lengths of messages, around the longest.
_LENGTHS: Final = tuple(messages.LONGEST + more for more in (0, 4, 5, 100))

#: Pids that no process has, but that are no larger than a pid can be written, or negative ones.
_ODD_PIDS: Final = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

_SERVERS: Final = ("virtlockd", "virtlockd", "virtlockd", "admin", "nope", "")
_FILTERS: Final = (
    *("1:util", "3:rpc 4:locking", "", " ", "bogus", "1:", "9:x", "1:a  2:b", "3:*x*", "1:a,2:b"),
)
_OUTPUTS: Final = (
    *("3:stderr", "4:stderr", "", "bogus", "1:", "1:file", "9:stderr", "3:stderr 3:stderr"),
    *("3:file:/run/other.log", "3:file:/run/other.log 4:stderr", "1:file:/nope/x"),
)
_LIMITS: Final = (
    *("nclients_max", "nclients_unauth_max", "nclients", "nclients_unauth", "bogus", ""),
    "n" * 80,
)
_WORKERS: Final = ("minWorkers", "maxWorkers", "prioWorkers", "nWorkers", "bogus")

_T = TypeVar("_T")

# How libvirt numbers the types of a parameter.
_UINT: Final = 2
_SIZES: Final = {1: 4, 2: 4, 3: 8, 4: 8, 5: 8, 6: 4}
_STRING: Final = 7


class Generator:
    """Makes plays."""

    def __init__(self, random: random.Random) -> None:
        self._random: Final = random
        self._number = 0
        self._processes = 0

    def plays(self, count: int, first: int = 0) -> Iterator[Play]:
        """``count`` of them, numbered from ``first``."""
        for number in range(first, first + count):
            yield self.play(number)

    def play(self, number: int) -> Play:
        """One play of some kind."""
        self._number = number
        kinds = (self._orderly, self._disorderly, self._administration, self._deadly)
        weights = (40, 37, 20, 3)
        (kind,) = self._random.choices(kinds, weights)
        self._processes = 0
        steps = tuple(kind())
        return Play(number, self._processes, steps, fresh=bool(self._processes))

    # Kinds of plays.

    def _orderly(self) -> Iterator[Step]:
        """What libvirt's own clients do, in any order."""
        connections = self._random.randint(1, 3)
        for connection in range(connections):
            yield Open(connection)
            yield self._call(connection, self._register(odd=0))
        yield self._call(0, self._create_lockspace(odd=0))
        for _ in range(self._random.randint(5, 25)):
            connection = self._random.randrange(connections)
            yield from self._beside(connection)
            yield self._call(connection, self._lock_call(odd=0.05))

    def _disorderly(self) -> Iterator[Step]:
        """Whatever a client can send."""
        connections = self._random.randint(1, 3)
        for connection in range(connections):
            yield Open(connection, admin=self._chance(0.1))
            if self._chance(0.7):
                yield self._call(connection, self._register(odd=0.2))
        for _ in range(self._random.randint(5, 20)):
            connection = self._random.randrange(connections)
            yield from self._beside(connection)
            yield self._anything(connection)

    def _administration(self) -> Iterator[Step]:
        """Admin calls, with clients of both sockets to see and to disconnect."""
        yield Open(0, admin=True)
        yield Open(1, admin=True)
        yield Open(2)
        yield self._call(2, self._register(odd=0))
        if self._chance(0.5):
            yield Send(0, (messages.message(1, words(0), program=messages.ADMIN),))
        for _ in range(self._random.randint(4, 15)):
            connection = self._random.choice((0, 0, 0, 1))
            if self._chance(0.15):
                yield self._call(2, self._lock_call(odd=0.2))
            elif self._chance(0.05):
                yield Open(2)
            else:
                yield self._admin_send(connection)
        yield from self._as_it_was()

    def _deadly(self) -> Iterator[Step]:
        """Guests that lose their connection, and their lives where they held locks."""
        self._processes = self._random.randint(1, 2)
        connections = self._random.randint(1, 3)
        for connection in range(connections):
            process = self._random.randrange(self._processes)
            yield Open(connection, process)
            own = pid(self._number, process)
            yield self._call(connection, self._register(odd=0, own=own))
        yield self._call(0, self._create_lockspace(odd=0))
        for _ in range(self._random.randint(2, 10)):
            connection = self._random.randrange(connections)
            yield self._call(connection, self._lock_call(odd=0))
        for connection in self._random.sample(range(connections), connections):
            if self._chance(0.6):
                yield Close(connection, half=self._chance(0.2))
            else:
                yield Send(connection, (words(self._random.randrange(4)),))
            yield Open(9)
            yield self._call(9, self._register(odd=0))
            yield self._call(9, self._lock_call(odd=0))

    # Steps.

    def _beside(self, connection: int) -> Iterator[Step]:
        """What happens besides the calls."""
        if self._chance(0.04):
            yield Close(connection, half=self._chance(0.3))
            yield Open(connection)
            if self._chance(0.8):
                yield self._call(connection, self._register(odd=0))
        if self._chance(0.04):
            path = self._path(self._random.choice(("disk0", "a/old", "a/r0", "b/r0")))
            yield Hold(path, self._chance(0.5), self._chance(0.5))
        if self._chance(0.01):
            path = self._path(self._random.choice(("disk0", "a/old", "a/r0", "a/r1")))
            yield Remove(path, replace=self._chance(0.3))

    def _call(self, connection: int, call: tuple[int, bytes]) -> Send:
        return self._in_pieces(connection, self._message(call))

    def _message(self, call: tuple[int, bytes], **header: int) -> bytes:
        procedure, payload = call
        serial = self._random.choice((1, 2, self._random.getrandbits(32)))
        return messages.message(procedure, payload, serial=serial, **header)

    def _in_pieces(self, connection: int, data: bytes) -> Send:
        cuts = self._random.randint(1, 4) if self._chance(0.1) else 0
        places = sorted({self._random.randint(0, len(data)) for _ in range(cuts)} | {0, len(data)})
        pieces = [data[a:b] for a, b in itertools.pairwise(places)]
        return Send(connection, tuple(pieces))

    def _anything(self, connection: int) -> Send:
        kind = self._random.random()
        if kind < 0.45:
            return self._call(connection, self._any_call(0.3))
        if kind < 0.6:
            calls = [self._any_call(0.1) for _ in range(self._random.randint(2, 6))]
            return self._in_pieces(connection, b"".join(self._message(call) for call in calls))
        if kind < 0.75:
            return self._in_pieces(connection, self._odd_header())
        if kind < 0.9:
            return self._in_pieces(connection, self._odd_payload())
        return Send(connection, (self._odd_frame(),))

    def _odd_header(self) -> bytes:
        call = self._any_call(0)
        header: dict[str, int] = {}
        for name, usual in (
            ("program", (messages.LOCK, messages.ADMIN, messages.KEEPALIVE)),
            ("version", (1,)),
            ("kind", (0, 1, 2, 3, 5, 6)),
            ("status", (0, 1, 2)),
        ):
            if self._chance(0.3):
                header[name] = self._random.choice((*usual, *usual, *_NUMBERS))
        if header.get("kind") == messages.CALL_WITH_FDS:
            return self._message((call[0], words(0) + call[1]), **header)
        if self._chance(0.2):
            call = (self._random.choice(_NUMBERS), call[1])
        return self._message(call, **header)

    def _odd_payload(self) -> bytes:
        procedure, payload = self._any_call(0.1)
        damaged = bytearray(payload)
        match self._random.randrange(5):
            case 0:
                del damaged[self._random.randint(0, len(damaged)) :]
            case 1:
                damaged += self._random.randbytes(self._random.choice((1, 3, 4, 8, 100)))
            case 2 if damaged:
                damaged[self._random.randrange(len(damaged))] = self._random.choice((0, 1, 255))
            case 3:
                at = self._random.randrange(0, len(damaged) + 1, 4)
                damaged[at : at + 4] = words(self._random.choice((*_NUMBERS, 65536, 65537)))
            case _:
                size = messages.LONGEST_STRING + self._random.choice((0, 1))
                damaged = bytearray(string(b"/" * size) + payload)
        return self._message((procedure, bytes(damaged)))

    def _odd_frame(self) -> bytes:
        """A length that lies, or the beginning of a message and no more."""
        data = self._message(self._any_call(0))
        if self._chance(0.3):
            return data[: self._random.randrange(1, len(data))]
        length = self._random.choice(
            (*range(29), len(data) - 1, len(data) - 4, *_LENGTHS, *_NUMBERS)
        )
        return words(length) + data[4:]

    # Lock calls.

    def _any_call(self, odd: float) -> tuple[int, bytes]:
        kind = self._random.random()
        if kind < 0.15:
            return self._register(odd)
        if kind < 0.2:
            return messages.RESTRICT, words(self._flags((0,), odd))
        return self._lock_call(odd)

    def _lock_call(self, odd: float) -> tuple[int, bytes]:
        kind = self._random.random()
        if kind < 0.1:
            return self._create_lockspace(odd)
        if kind < 0.14:
            return messages.NEW, self._lockspace(odd) + words(self._flags((0,), odd))
        procedure, usual = self._random.choice(
            [
                *([(messages.ACQUIRE_RESOURCE, _ACQUIRE_FLAGS)] * 5),
                *([(messages.RELEASE_RESOURCE, (0,))] * 4),
                (messages.CREATE_RESOURCE, (0,)),
                (messages.DELETE_RESOURCE, (0,)),
            ]
        )
        resource = self._disk(odd) if self._chance(0.3) else self._resource(odd)
        return procedure, resource + words(self._flags(usual, odd / 2))

    def _disk(self, odd: float) -> bytes:
        """Something in the default lockspace, by its whole path or, oddly, by a relative one."""
        path = self._path(self._pick(_DISKS, _ODD_DISKS, odd))
        return string("") + string(
            path.removeprefix(f"{ROOT}/") if self._chance(odd / 10) else path
        )

    def _resource(self, odd: float) -> bytes:
        name = self._random.choice(_ODD_RESOURCES if self._chance(odd) else _RESOURCES)
        return self._lockspace(odd / 2) + string(name)

    def _register(self, odd: float, own: int | None = None) -> tuple[int, bytes]:
        owner = self._pick(FOREIGN_PIDS, _ODD_PIDS, odd) if own is None else own
        payload = self._random.choice(_UUIDS) + string(self._random.choice(_GUESTS))
        payload += words(self._pick((1, 2, 77), _NUMBERS, odd), owner)
        return messages.REGISTER, payload + words(self._flags((0,), odd / 2))

    def _create_lockspace(self, odd: float) -> tuple[int, bytes]:
        space = string(self._random.choice(("", "\0rest"))) if self._chance(odd / 3) else b""
        return messages.CREATE_LOCKSPACE, space or self._lockspace(odd)

    def _lockspace(self, odd: float) -> bytes:
        path = self._path(self._pick(_LOCKSPACES, _ODD_LOCKSPACES, odd))
        if self._chance(odd / 3):
            return string(self._random.choice(("/proc/nope", path.removeprefix(f"{ROOT}/"))))
        return string(path)

    # Admin calls.

    def _admin_send(self, connection: int) -> Send:
        procedure = self._random.choice((*range(1, 20), 4, 5, 8, 9, 10, 11, 12, 13, 13, 13))
        if procedure in {2, 19} and self._chance(0.7):
            procedure = 3
        payload = self._admin_payload(procedure)
        if self._chance(0.95):
            payload += words(0)
        else:
            payload += words(self._random.choice(_ODD_FLAGS))
        if self._chance(0.05):
            payload = payload[: self._random.randint(0, len(payload))]
        return Send(connection, (self._message((procedure, payload), program=messages.ADMIN),))

    def _admin_payload(self, procedure: int) -> bytes:
        random = self._random
        server = string(random.choice(_SERVERS))
        match procedure:
            case 4:
                return words(random.choice((0, 1, 1, 2)))
            case 5 | 6 | 12 | 18:
                return server
            case 7:
                return server + self._parameters(_WORKERS, (0, 0, 1, 5))
            case 8:
                return server + words(random.choice((0, 1, 1, 2)))
            case 9:
                return server + words(0, self._client())
            case 10 | 11:
                return server + words(0, self._client(), 0, 0, 0)
            case 13:
                return server + self._parameters(_LIMITS, (0, 500, 600, 1024, 2000, 0xFFFFFFFF))
            case 16:
                return words(0) if self._chance(0.1) else words(1) + string(random.choice(_OUTPUTS))
            case 17:
                return words(0) if self._chance(0.1) else words(1) + string(random.choice(_FILTERS))
            case 19:
                return words(random.choice((0, 1000)))
            case _:
                return b""

    def _client(self) -> int:
        """An id that a client has with some luck: not one of the player's own connections."""
        return self._random.randint(2, 60)

    def _parameters(self, names: tuple[str, ...], values: tuple[int, ...]) -> bytes:
        count = self._random.choice((0, 1, 1, 1, 2, 2, 3, 32, 33))
        return words(count) + b"".join(self._parameter(names, values) for _ in range(count))

    def _parameter(self, names: tuple[str, ...], values: tuple[int, ...]) -> bytes:
        name = string(self._random.choice((*names[:2], *names[:2], *names)))
        kind = _UINT if self._chance(0.9) else self._random.randint(0, 8)
        value = self._random.choice(values)
        if kind == _STRING:
            return name + words(kind) + string(str(value))
        return name + words(kind) + value.to_bytes(_SIZES.get(kind, 4), "big")

    def _as_it_was(self) -> Iterator[Step]:
        """So that the next play finds the daemon as this one did."""
        yield Open(8, admin=True)
        for server, most in (("virtlockd", 1024), ("admin", 5000)):
            payload = string(server) + words(2)
            for name in _LIMITS[:2]:
                payload += string(name) + words(_UINT, most)
            yield self._reset(13, payload)
        yield self._reset(
            7, string("virtlockd") + words(1) + string("prioWorkers") + words(_UINT, 0)
        )
        yield self._reset(7, string("admin") + words(1) + string("prioWorkers") + words(_UINT, 0))
        yield self._reset(16, words(1) + string("3:stderr"))
        yield self._reset(17, words(0))
        yield self._reset(19, words(0))

    def _reset(self, procedure: int, payload: bytes) -> Send:
        data = messages.message(procedure, payload + words(0), program=messages.ADMIN)
        return Send(8, (data,))

    # Draws.

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _pick(self, usual: tuple[_T, ...], odd: tuple[_T, ...], chance: float) -> _T:
        return self._random.choice(odd if self._chance(chance) else usual)

    def _flags(self, usual: tuple[int, ...], odd: float) -> int:
        return self._pick(usual, _ODD_FLAGS, odd)

    def _path(self, name: str) -> str:
        return f"{home(self._number)}/{name}"
