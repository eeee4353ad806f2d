"""The answer: which disk, which guests, who holds it, whether that host lives, and the next step.
Pure: it turns evidence into sentences.

The answer says what is unknown. It never claims for sure that a disk is free, as one host cannot
see everything.
"""

from __future__ import annotations

import time

from lockcfg.frozen import Frozen
from lockcfg.who.heartbeat import Life
from lockcfg.who.texts import FIND_HOLDER, FIND_PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Final, Literal

    from lockcfg.who.clues import Reading, Said
    from lockcfg.who.evidence import Evidence, LockFile
    from lockcfg.who.texts import KnownText

    #: What shows a holder. lockd: this host's lockd. note: the note that another host's lockd has
    #: written into the lock file. text: the text that the user pasted. kernel: the process that has
    #: the lock. nfs: the server's list of its clients. image: QEMU's own lock.
    Source = Literal["lockd", "note", "text", "kernel", "nfs", "image"]


class Holder(Frozen):
    """The holder of a lock: its ``host`` and ``guest`` (empty if unknown), its ``pid`` (0 if
    unknown), ``since`` when it holds it (empty if unknown), the ``source`` that shows it, and
    whether the host lives."""

    __slots__ = ("guest", "host", "life", "pid", "since", "source", "uuid")

    def __init__(
        self,
        source: Source,
        life: Life,
        *,
        host: str = "",
        guest: str = "",
        uuid: str = "",
        pid: int = 0,
        since: str = "",
    ) -> None:
        self.source: Final[Source] = source
        self.life: Final = life
        self.host: Final = host
        self.guest: Final = guest
        self.uuid: Final = uuid
        self.pid: Final = pid
        self.since: Final = since


class User(Frozen):
    """A guest that has the disk: its host, whether it runs there, and the time of that fact
    (seconds since the epoch; 0: now)."""

    __slots__ = ("guest", "host", "path", "runs", "taken", "uuid")

    def __init__(
        self, host: str, guest: str, uuid: str, path: str, taken: int, *, runs: bool
    ) -> None:
        self.host: Final = host
        self.guest: Final = guest
        self.uuid: Final = uuid
        self.path: Final = path
        self.taken: Final = taken
        self.runs: Final = runs


class Answer(Frozen):
    """The whole answer. ``steps`` say what to do, in order; ``unknown`` says what could not be
    found out."""

    __slots__ = ("disks", "holders", "locks", "steps", "texts", "unknown", "users")

    def __init__(
        self,
        texts: Sequence[KnownText],
        disks: Sequence[str],
        users: Sequence[User],
        locks: Sequence[LockFile],
        holders: Sequence[Holder],
        steps: Sequence[str],
        unknown: Sequence[str],
    ) -> None:
        self.texts: Final = tuple(texts)
        self.disks: Final = tuple(disks)
        self.users: Final = tuple(users)
        self.locks: Final = tuple(locks)
        self.holders: Final = tuple(holders)
        self.steps: Final = tuple(steps)
        self.unknown: Final = tuple(unknown)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of what the user asks about."""
        return not (self.disks or self.users or self.locks or self.holders or self.texts)


def answer_of(
    reading: Reading,
    evidence: Evidence,
    elsewhere: Iterable[User],
    *,
    me: str,
    life_of: Callable[[str, str], Life],
) -> Answer:
    """The answer. ``elsewhere`` are the users that snapshots show. ``life_of`` tells whether a host
    lives: by one lockspace or, if that is empty, by all known ones. ``me`` is this host's name."""
    here = Life(me, "live", "it is this host")

    def life(host: str, space: str) -> Life:
        return here if host == me else life_of(host, space)

    holders = [*dict.fromkeys(_holders(reading, evidence, me, here, life))]
    users = [*_users_here(evidence, me), *elsewhere]
    disks = [*evidence.disks]
    disks += [user.path for user in users if user.path and user.path not in disks]
    steps = [*dict.fromkeys(_steps(reading, evidence, holders, me))]
    unknown = [*evidence.unknown, *(lock.why for lock in evidence.locks if lock.why)]
    return Answer(reading.texts, disks, users, evidence.locks, holders, steps, unknown)


def _users_here(evidence: Evidence, me: str) -> Iterator[User]:
    for path in evidence.disks:
        for guest in evidence.guests_with(path):
            yield User(me, guest.name, guest.uuid, path, 0, runs=bool(guest.pid))


def _holders(
    reading: Reading,
    evidence: Evidence,
    me: str,
    here: Life,
    life: Callable[[str, str], Life],
) -> Iterator[Holder]:
    for lock in evidence.locks:
        yield from _of_lock(lock, me, here, life)
    for image in evidence.images:
        for guest, pid in image.guests:
            yield Holder("image", here, host=me, guest=guest, pid=pid)
        if not image.guests:
            nobody = Life("", "unknown", "its holder cannot be seen from this host")
            yield Holder("image", nobody)
    if not any(lock.locked != "no" for lock in evidence.locks):
        for said in reading.said:
            yield _of_text(said, me, here, life)


def _of_text(said: Said, me: str, here: Life, life: Callable[[str, str], Life]) -> Holder:
    if said.host:
        lives = life(said.host, "")
    else:
        lives = Life(
            "", "unknown", "the text says 'this host', and it is unknown which host that is"
        )
    return Holder(
        "text",
        here if said.host == me else lives,
        host=said.host,
        guest=said.guest,
        uuid=said.uuid,
        pid=int(said.pid or 0),
        since=said.since,
    )


def _of_lock(
    lock: LockFile, me: str, here: Life, life: Callable[[str, str], Life]
) -> Iterator[Holder]:
    if lock.owners:
        for owner in lock.owners:
            yield Holder(
                "lockd",
                here,
                host=me,
                guest=owner["guest"],
                uuid=owner["uuid"],
                pid=owner["pid"],
                since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(owner["since"])),
            )
        return
    for client in lock.clients:
        renewed = "" if client.since is None else f", it renewed its lease {client.since} s ago"
        why = f"the NFS server calls it {client.status or 'a client'}{renewed}"
        lives = life(client.host, lock.space)
        if lives.verdict == "unknown":
            lives = Life(client.host, "unknown", f"{lives.why}; {why}")
        yield Holder("nfs", lives, host=client.host)
    if lock.locked in ("no", "unknown"):
        return
    note = lock.note
    if note.get("host"):
        pid = note.get("pid", "")
        yield Holder(
            "note",
            life(note["host"], lock.space),
            host=note["host"],
            guest=note.get("guest", ""),
            uuid=note.get("uuid", ""),
            pid=int(pid) if pid.isdigit() else 0,
            since=note.get("since", ""),
        )
    elif lock.pid:
        yield Holder("kernel", here, host=me, pid=lock.pid)
    elif not lock.clients:
        nobody = Life("", "unknown", "the lock file has no note: virtlockd writes none")
        yield Holder("kernel", nobody)


def _steps(
    reading: Reading, evidence: Evidence, holders: Sequence[Holder], me: str
) -> Iterator[str]:
    for holder in holders:
        guest = f"guest '{holder.guest}' (pid {holder.pid})"
        problem = evidence.problems.get(guest) if holder.source == "lockd" else None
        yield _step(holder, me) if problem is None else f"{guest} of this host: {problem}"
    if not holders:
        if any(lock.locked == "unknown" for lock in evidence.locks):
            yield "it is unknown here whether it is locked: ask on a host that sees its file system"
        elif not evidence.sees_locks:
            yield "no lockspace is configured on this host: name it with --lockspace"
        elif evidence.locks:
            yield (
                "no process holds it now, as far as this host sees: start the guest again; if it is"
                " refused again, ask with the new text"
            )
        elif reading.clues and not reading.texts:
            yield (
                "this host sees no lock of that name: ask on a host that has it, or name the"
                " lockspace with --lockspace"
            )
    # An image that is open is QEMU's own lock; a holder of any other kind has the daemon's.
    found = {
        FIND_PROCESS if holder.source == "image" else FIND_HOLDER
        for holder in holders
        if holder.guest or holder.pid
    }
    for text in reading.texts:
        if text.help not in found:
            yield text.help
    if holders or evidence.locks:
        yield "never delete the lock file: the file is not the lock"


def _step(holder: Holder, me: str) -> str:
    who = f"guest '{holder.guest}'" if holder.guest else "a guest"
    if holder.source == "image":
        if holder.guest:
            return f"{who} of this host has the image open: it runs, do not start it a second time"
        return (
            "QEMU or qemu-img has the image open, on another host or where this command cannot"
            " look: run this command on each host that has the disk"
        )
    if holder.host == me and holder.source != "kernel":
        return f"{who} runs on this host: use it where it is, or 'virsh shutdown' it first"
    if not holder.host:
        return "run this command on each host that has the lockspace, to find the holder"
    if holder.source == "kernel":
        return (
            f"the process {holder.pid} of this host holds it: 'lockcfg doctor' tells for which"
            " guest, and 'lockd adopt' and 'lockd takeover' what virtlockd does not tell"
        )
    if holder.life.verdict == "live":
        return f"{who} is on {holder.host}, which lives: use it there, or shut it down there first"
    release = f"'lockcfg release --host {holder.host} --confirmed-dead …'"
    if holder.life.verdict == "stale":
        return (
            f"{holder.host} is silent, which does not show that it is off: switch it off by its"
            f" power controller or fence agent, then {release}"
        )
    return (
        f"whether {holder.host} lives is unknown: look at it; if you give it up, switch it off by"
        f" its power controller or fence agent, then {release}"
    )
