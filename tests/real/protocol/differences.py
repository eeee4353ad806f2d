"""What lockd may answer otherwise than virtlockd, and the comparison that lets nothing else pass.

``docs/explanation/lockd-and-virtlockd.md`` has the same list for people: :attr:`Allowed.title` is
what an entry is called there.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.real.protocol import messages
from tests.real.protocol.messages import (
    ACQUIRE_RESOURCE,
    CREATE_LOCKSPACE,
    CREATE_RESOURCE,
    NEW,
)
from tests.real.protocol.steps import (
    LINKS,
    ROOT,
    Close,
    Hold,
    Open,
    Remove,
    Seen,
    Send,
    home,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tests.real.protocol.messages import Error
    from tests.real.protocol.steps import Play, Step, Transcript

_INTERNAL_ERROR: Final = 1
_INVALID_ARG: Final = 8
_SYSTEM_ERROR: Final = 38
_RPC: Final = 39
_BUSY: Final = 87

_UNREADABLE: Final = b"Unable to decode message payload"


class Exchange(NamedTuple):
    """A call, and what either daemon answered: None if it did not. ``more`` tells that there
    were files before it in lockd's case that there were not in virtlockd's."""

    call: bytes
    theirs: bytes | None
    ours: bytes | None
    more: bool = False

    @property
    def errors(self) -> tuple[Error | None, Error | None]:
        """The error in either answer."""
        return (
            messages.error_of(self.theirs) if self.theirs else None,
            messages.error_of(self.ours) if self.ours else None,
        )

    @property
    def procedure(self) -> int:
        """The procedure of the lock program that was called; 0 for other programs."""
        if len(self.call) < messages.HEADER_SIZE:
            return 0
        header = messages.header(self.call)
        return header.procedure if header.program == messages.LOCK else 0

    @property
    def strings(self) -> tuple[bytes, ...]:
        """The call's strings."""
        return messages.lock_strings(self.call)


class Moment(NamedTuple):
    """A step, and what came before it: the resources that calls had to do with, that of the step
    too, as lockspace and name, and whether lockd had files that virtlockd had not (``more``)."""

    step: Step
    home: str
    resources: frozenset[tuple[bytes, bytes]] = frozenset()
    more: bool = False

    def twice_named(self) -> set[str]:
        """The files that more than one resource is, by their paths below the play's home."""
        paths = Counter(map(self._path, self.resources))
        return {path for path, count in paths.items() if count > 1}

    def _path(self, resource: tuple[bytes, bytes]) -> str:
        space, name = (text.split(b"\0")[0].decode(errors="replace") for text in resource)
        path = os.path.normpath(os.path.join(ROOT, f"{space}/{name}" if space else name))
        path = path.removeprefix(f"{self.home}/")
        return LINKS.get(path, path)


def _resources(step: Step) -> set[tuple[bytes, bytes]]:
    """What the calls of a step acquire or make."""
    whole, _ = messages.split(step.data if isinstance(step, Send) else b"")
    calls = [Exchange(call, None, None) for call in whole]
    return {
        (call.strings[0], call.strings[1])
        for call in calls
        if call.procedure in {ACQUIRE_RESOURCE, CREATE_RESOURCE} and len(call.strings) == 2
    }


class Allowed(NamedTuple):
    """A difference that is meant. ``answers`` says whether an answer differs in just this way;
    ``seen`` gives what was seen of lockd besides, as it would be without this difference.

    Where one daemon did what the other refused, or where what was seen ``parts`` them, they are
    no longer in the same state, and the rest of the play compares nothing.
    """

    title: str
    answers: Callable[[Exchange], bool] | None = None
    seen: Callable[[Moment, Seen, Seen], Seen] | None = None
    parts: bool = False


def _names_the_holder(exchange: Exchange) -> bool:
    theirs, ours = exchange.errors
    if theirs is None or ours is None or theirs.code != _BUSY:
        return False
    more = ours.message.removeprefix(theirs.message)
    return (
        more.startswith(b" by ")
        and ours.message == theirs.message + more
        and ours.strings == (theirs.strings[0], (theirs.strings[1] or b"") + more, None)
        and ours[:2] + ours[4:] == theirs[:2] + theirs[4:]
    )


def _is_the_same_disk(exchange: Exchange) -> bool:
    theirs, ours = exchange.errors
    return (
        exchange.procedure == ACQUIRE_RESOURCE
        and exchange.theirs is not None
        and theirs is None
        and ours is not None
        and ours.code == _BUSY
        and b", under its other name " in ours.message
    )


def _with_what_another_name_loses(moment: Moment, theirs: Seen, ours: Seen) -> Seen:
    """virtlockd opens and closes the file once more, or removes it, and the lock goes with it."""
    lost = set(ours.locks) - set(theirs.locks)
    paths = {path for path, _ in lost}
    if not set(theirs.locks) < set(ours.locks) or not paths <= moment.twice_named():
        return ours
    there = {file[0] for file in theirs.files}
    files = tuple(file for file in ours.files if file[0] in there or file[0] not in paths)
    return ours._replace(locks=theirs.locks, files=files)


def _has_nul(exchange: Exchange) -> bool:
    _, ours = exchange.errors
    return (
        ours is not None
        and (ours.code, ours.message) == (_RPC, _UNREADABLE)
        and any(b"\0" in string for string in exchange.strings)
    )


def _is_no_file_name(exchange: Exchange) -> bool:
    _, ours = exchange.errors
    if exchange.procedure < CREATE_RESOURCE or len(exchange.strings) != 2:
        return False
    space, name = exchange.strings
    odd = b"/" in name or name in {b"", b".", b".."} if space else not name.startswith(b"/")
    return odd and ours is not None and ours.code == _INVALID_ARG


def _is_no_clear_path(exchange: Exchange) -> bool:
    _, ours = exchange.errors
    if exchange.procedure not in {NEW, CREATE_LOCKSPACE} or not exchange.strings:
        return False
    (path,) = exchange.strings
    odd = not path.startswith(b"/") or b".." in path.split(b"/")
    return odd and ours is not None and ours.code == _INVALID_ARG


def _new_says_that_it_failed(exchange: Exchange) -> bool:
    theirs, ours = exchange.errors
    return (
        exchange.procedure == NEW
        and exchange.theirs is not None
        and theirs is None
        and ours is not None
        and ours.code in {_INTERNAL_ERROR, _SYSTEM_ERROR}
    )


def _brings_descriptors(exchange: Exchange) -> bool:
    return (
        len(exchange.call) >= messages.HEADER_SIZE
        and messages.header(exchange.call).kind == messages.CALL_WITH_FDS
        and exchange.ours is None
    )


def _finds_a_released_file(exchange: Exchange) -> bool:
    theirs, _ = exchange.errors
    return (
        exchange.more
        and exchange.procedure in {ACQUIRE_RESOURCE, CREATE_LOCKSPACE, NEW}
        and theirs is not None
        and theirs.numbers[0] in {errno.ENOENT, errno.ENOTDIR}
    )


def _without_holders(_: Moment, __: Seen, ours: Seen) -> Seen:
    locked = {path for path, _ in ours.locks}
    return ours._replace(
        files=tuple((path, mode, 0 if path in locked else size) for path, mode, size in ours.files)
    )


def _without_released(_: Moment, theirs: Seen, ours: Seen) -> Seen:
    """What was not removed at once may be there yet, and may be locked again as it was."""
    modes = {path: mode for path, mode, _ in theirs.files}
    locked = {path for path, _ in ours.locks}
    return ours._replace(
        files=tuple(
            (path, modes[path] if path in locked and path in modes else mode, size)
            for path, mode, size in ours.files
            if path in modes or path in locked or size or not mode.startswith("-")
        )
    )


def _with_what_the_dead_hold(moment: Moment, theirs: Seen, ours: Seen) -> Seen:
    kept = set(theirs.locks) - set(ours.locks)
    if (
        isinstance(moment.step, Close | Send)
        and theirs.ended == ours.ended != ()
        and set(ours.locks) < set(theirs.locks)
        and {kind for _, kind in kept} == {"READ"}
    ):
        return ours._replace(locks=theirs.locks)
    return ours


ALLOWED: Final = (
    Allowed("Who holds it", answers=_names_the_holder),
    Allowed(
        "One disk under two names",
        answers=_is_the_same_disk,
        seen=_with_what_another_name_loses,
        parts=True,
    ),
    Allowed("NUL in a string", answers=_has_nul),
    Allowed("Names that lead out of a lockspace", answers=_is_no_file_name),
    Allowed("Lockspaces that are not absolute paths", answers=_is_no_clear_path),
    Allowed("NEW that fails", answers=_new_says_that_it_failed),
    Allowed("Calls that bring descriptors", answers=_brings_descriptors),
    Allowed("The holder is in the lock file", seen=_without_holders),
    Allowed("Files of released locks", answers=_finds_a_released_file, seen=_without_released),
    Allowed("A guest that dies releases everything", seen=_with_what_the_dead_hold, parts=True),
)


class Verdict(NamedTuple):
    """How far two transcripts were compared: the first difference that is not allowed, and at
    which step, and which that are were met."""

    compared: int
    difference: str = ""
    met: frozenset[str] = frozenset()


class _Connection:
    """The calls that went out on a connection and wait for their answers."""

    def __init__(self) -> None:
        self._waiting: Final[list[bytes]] = []
        self._rest = b""

    def send(self, data: bytes) -> None:
        whole, self._rest = messages.split(self._rest + data)
        self._waiting.extend(whole)

    def call(self, answer: bytes) -> bytes:
        """What is answered by that; answers come in the order of the calls."""
        while self._waiting:
            call = self._waiting.pop(0)
            if _is_answer(call, answer):
                return call
        return b""


def _is_answer(call: bytes, answer: bytes) -> bool:
    if min(len(call), len(answer)) < messages.HEADER_SIZE:
        return False
    asked, got = messages.header(call), messages.header(answer)
    return (
        asked.kind in {messages.CALL, messages.CALL_WITH_FDS}
        and (asked.program, asked.version) == (got.program, got.version)
        and (asked.procedure, asked.serial) == (got.procedure, got.serial)
    )


def compare(play: Play, theirs: Transcript, ours: Transcript) -> Verdict:
    """Compare what was seen of virtlockd with what was seen of lockd."""
    met: set[str] = set()
    moment = Moment(Open(0), home(play.number))
    connections: dict[int, _Connection] = {}
    steps = zip(play.steps, theirs.seen, ours.seen, strict=False)
    for number, (step, before, after) in enumerate(steps):
        match step:
            case Open(connection):
                connections.setdefault(connection, _Connection())
            case Send(connection) if connection in connections:
                connections[connection].send(step.data)
            case Close(connection, half=False):
                connections.pop(connection, None)
        moment = moment._replace(step=step, resources=moment.resources | _resources(step))
        allowed = _allowed(moment, before, after, connections)
        if isinstance(allowed, str):
            return Verdict(number, f"{step_in_words(step)}\n{allowed}", frozenset(met))
        titles, parted = allowed
        met.update(titles)
        if parted:
            return Verdict(number, met=frozenset(met))
        more = {file[0] for file in after.files} - {file[0] for file in before.files}
        moment = moment._replace(more=bool(more))
        for connection in before.closed:
            connections.pop(connection, None)
        if isinstance(step, Hold | Remove) and before.files != after.files:
            # It was perhaps one that only one of the daemons had left there.
            return Verdict(number, met=frozenset(met))
    if theirs.trouble != ours.trouble:
        difference = f"{_pair(theirs.trouble or 'well', ours.trouble or 'well')}\n{ours.log}"
        return Verdict(len(theirs.seen), difference, frozenset(met))
    difference = _left(theirs, ours)
    # Who keeps a lock file from being removed at once, may let it be removed a moment later.
    if difference and not any(isinstance(step, Hold) for step in play.steps):
        return Verdict(len(theirs.seen), difference, frozenset(met))
    return Verdict(len(theirs.seen), met=frozenset(met))


def _left(theirs: Transcript, ours: Transcript) -> str:
    """How the files differ in the end, when nothing is left for a moment only."""
    locked = {path for path, _ in ours.seen[-1].locks} if ours.seen else set()
    both = ([file for file in each.left if file[0] not in locked] for each in (theirs, ours))
    before, after = both
    if before == after:
        return ""
    return f"in the end there are\n{_pair(before, after)}"


def _allowed(
    moment: Moment, theirs: Seen, ours: Seen, connections: dict[int, _Connection]
) -> tuple[list[str], bool] | str:
    """What the differences that are allowed are called, and whether they part the daemons; or how
    the first that is not allowed looks."""
    found: list[str] = []
    answers = dict(theirs.replies), dict(ours.replies)
    for connection in sorted({*answers[0], *answers[1]}):
        waiting = connections.get(connection, _Connection())
        both = (each.get(connection, ()) for each in answers)
        for before, after in itertools.zip_longest(*both):
            call = waiting.call(before or after)
            if before == after:
                continue
            exchange = Exchange(call, before, after, moment.more)
            why = next((a for a in ALLOWED if a.answers and a.answers(exchange)), None)
            if why is None:
                texts = (data and messages.in_words(data) for data in (before, after))
                return f"of {messages.in_words(call)}\n{_pair(*texts)}"
            found.append(why.title)
            if moment.more or None in exchange.errors:
                return found, True
    theirs, ours = theirs._replace(replies=()), ours._replace(replies=())
    parted = False
    for each in ALLOWED:
        if each.seen and theirs != ours:
            without = each.seen(moment, theirs, ours)
            if without != ours:
                found.append(each.title)
                parted |= each.parts
            ours = without
    return (found, parted) if theirs == ours else _seen_in_words(theirs, ours)


def _seen_in_words(theirs: Seen, ours: Seen) -> str:
    return "\n".join(
        f"{name}: {_pair(before, after)}"
        for name, before, after in zip(Seen._fields, theirs, ours, strict=True)
        if before != after
    )


def _pair(theirs: object, ours: object) -> str:
    return f"  virtlockd: {theirs}\n  lockd:     {ours}"


def step_in_words(step: Step) -> str:
    """A step for a person to read, bytes and all."""
    if not isinstance(step, Send):
        return str(step)
    whole, rest = messages.split(step.data)
    texts = [messages.in_words(data) for data in (*whole, *([rest] if rest else []))]
    pieces = " | ".join(piece.hex() for piece in step.pieces)
    return f"Send({step.connection}) {texts} = {pieces[:2000]}"
