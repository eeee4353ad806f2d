"""Writes an answer of ``lockcfg who``, for a person and for programs."""

from __future__ import annotations

import time

from lockcfg.report import jsonreport, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockcfg.who.answer import Answer, Holder, User

_LAYERS: Final = {
    "lock-daemon": "the lock daemon",
    "plugin": "libvirt's lockd plugin",
    "qemu": "QEMU itself",
}
_SOURCES: Final = {
    "lockd": "by lockd on this host",
    "note": "by the note in the lock file",
    "text": "by the text that you gave",
    "kernel": "by the kernel of this host",
    "nfs": "by this NFS server's list of clients",
    "image": "by QEMU's own lock of the image",
}
_LIVES: Final = {"live": "lives", "stale": "IS SILENT", "unknown": "unknown whether it lives"}

#: The most lines of one kind that the text shows.
_MOST: Final = 50


def write_text(answer: Answer) -> None:
    """Print the answer for a person."""
    out = terminal.stdout()
    rows: list[tuple[str, str]] = []
    for text in answer.texts:
        rows.append(("said by", _LAYERS[text.layer]))
        rows.append(("it means", text.means))
    rows += [("disk", disk) for disk in answer.disks]
    is_indirect = any(lock.space for lock in answer.locks)
    for lock in answer.locks:
        if is_indirect and not lock.space and lock.locked == "no" and not lock.owners:
            continue  # its lock is in a lockspace: that the disk itself has none says nothing
        state = {
            "no": "not locked",
            "exclusive": "locked",
            "shared": "locked, shared",
            "unknown": "unknown",
        }[lock.locked]
        rows.append(("lock", f"{lock.path}: {'locked' if lock.owners else state}"))
    # A guest may have several of the disks.
    users = [*dict.fromkeys(_user(user) for user in answer.users)]
    rows += [("guest", user) for user in users[:_MOST]]
    if len(users) > _MOST:
        rows.append(("guest", f"and {len(users) - _MOST} more: --json has them all"))
    for holder in answer.holders[:_MOST]:
        rows.append(("holder", _holder(holder)))
        rows.append(("", f"{_LIVES[holder.life.verdict]}: {holder.life.why}"))
    rows += [("not known", each) for each in answer.unknown]
    if answer.is_empty:
        rows.append(("not known", "nothing of that name is seen from this host"))
    if rows:
        out.table(rows)
    for number, step in enumerate(answer.steps):
        if not number:
            out.line()
        word = out.style("next:" if not number else "then:", "info")
        out.line(f"{word} {terminal.escape(step)}")


def _user(user: User) -> str:
    runs = "runs" if user.runs else "does not run"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(user.taken))
    return f"{user.guest} on {user.host}: {runs}" + (f" (snapshot of {when})" if user.taken else "")


def _holder(holder: Holder) -> str:
    who = f"guest '{holder.guest}'" if holder.guest else "a process" if holder.pid else "unknown"
    pid = f" (pid {holder.pid})" if holder.pid else ""
    host = f" on {holder.host}" if holder.host else ""
    since = f" since {holder.since}" if holder.since else ""
    return f"{who}{pid}{host}{since}, {_SOURCES[holder.source]}"


def write_json(answer: Answer) -> None:
    """Print the answer for programs, as ``schemas/output.schema.json`` describes it."""
    jsonreport.write(
        {
            "texts": [
                {"layer": text.layer, "means": text.means, "help": text.help}
                for text in answer.texts
            ],
            "disks": list(answer.disks),
            "guests": [
                {
                    "host": user.host,
                    "guest": user.guest,
                    "uuid": user.uuid,
                    "disk": user.path,
                    "runs": user.runs,
                    "taken": user.taken or None,
                }
                for user in answer.users
            ],
            "locks": [
                {
                    "lockspace": lock.space,
                    "name": lock.name,
                    "file": lock.path,
                    "locked": lock.locked,
                }
                for lock in answer.locks
            ],
            "holders": [_json_of(holder) for holder in answer.holders],
            "unknown": list(answer.unknown),
            "steps": list(answer.steps),
        }
    )


def _json_of(holder: Holder) -> dict[str, Any]:
    return {
        "host": holder.host or None,
        "guest": holder.guest or None,
        "uuid": holder.uuid or None,
        "pid": holder.pid or None,
        "since": holder.since or None,
        "source": holder.source,
        "life": {
            "verdict": holder.life.verdict,
            "age": None if holder.life.age is None else round(holder.life.age, 1),
            "why": holder.life.why,
        },
    }
